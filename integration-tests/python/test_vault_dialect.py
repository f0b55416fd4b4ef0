"""Programs read and write secrets with HashiCorp Vault's own Python client, unchanged: `hvac`."""

import hvac
import pytest
import requests

import canary
from api import Api
from suite import Suite

CANARY = "canary-of-the-vault-dialect-8842"


@pytest.fixture(scope="module")
def admin(suite) -> Api:
    return Api(suite)


def client(suite, key: str | None = None, **options) -> hvac.Client:
    return hvac.Client(url=suite.url, token=key or suite.key, **options)


@pytest.fixture(scope="module")
def vault(suite, admin) -> hvac.Client:
    admin.make("projects", {"project_id": "vaulted"})
    return client(suite, namespace="vaulted")


def value(vault, path: str, **options) -> dict:
    answer = vault.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True, **options)
    return answer["data"]["data"]


def test_a_secret_is_written_read_by_version_and_destroyed_s4_131(vault, admin):
    kv = vault.secrets.kv.v2
    first = kv.create_or_update_secret("warehouse", {"user": "ada", "port": 5432})
    assert first["data"]["version"] == 1 and first["data"]["destroyed"] is False
    kv.create_or_update_secret("warehouse", {"user": "grace", "nested": {"deep": [1, None]}})
    assert value(vault, "warehouse") == {"user": "grace", "nested": {"deep": [1, None]}}
    assert value(vault, "warehouse", version=1) == {"user": "ada", "port": 5432}
    told = kv.read_secret_metadata("warehouse")["data"]
    assert told["current_version"] == 2 and sorted(told["versions"]) == ["1", "2"] and told["oldest_version"] == 1
    kv.patch("warehouse", {"user": "joan"})
    assert value(vault, "warehouse") == {"user": "joan", "nested": {"deep": [1, None]}}

    kv.delete_latest_version_of_secret("warehouse")
    with pytest.raises(hvac.exceptions.InvalidPath):
        value(vault, "warehouse")
    deleted = kv.read_secret_version("warehouse", raise_on_deleted_version=False)["data"]
    assert deleted["data"] is None and deleted["metadata"]["deletion_time"] and deleted["metadata"]["version"] == 3
    kv.undelete_secret_versions("warehouse", [3])
    assert value(vault, "warehouse")["user"] == "joan"
    kv.delete_secret_versions("warehouse", [1, 2, 99])
    kv.destroy_secret_versions("warehouse", [1, 3])
    states = {number: (bool(facts["deletion_time"]), facts["destroyed"])
              for number, facts in kv.read_secret_metadata("warehouse")["data"]["versions"].items()}
    assert states == {"1": (False, True), "2": (True, False), "3": (False, True)}
    kv.undelete_secret_versions("warehouse", [1, 2, 3])
    assert value(vault, "warehouse", version=2)["user"] == "grace"
    for version in (1, 3, 99):
        with pytest.raises(hvac.exceptions.InvalidPath):
            value(vault, "warehouse", version=version)

    # It is a secret like any other, and each reading is on record.
    native = admin.get("projects/vaulted/secrets/warehouse").json()
    assert (native["last_version"], native["latest_version"]) == (3, 2)
    read = admin.get("audit", params={"resource": "projects/vaulted/secrets/warehouse"}).json()
    assert any(record["outcome"] == "OUTCOME_READ" for record in read["audit_records"]), read
    kv.delete_metadata_and_all_versions("warehouse")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_metadata("warehouse")
    assert admin.get("projects/vaulted/secrets/warehouse").json()["deleted"] is True
    assert kv.create_or_update_secret("warehouse", {"a": "b"}, cas=0)["data"]["version"] == 4, "no number is given twice"


def test_a_write_can_depend_on_what_was_seen_s4_131(vault):
    kv = vault.secrets.kv.v2
    for cas in (1, 7):
        with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set parameter did not match"):
            kv.create_or_update_secret("seen", {"n": 1}, cas=cas)
    assert kv.create_or_update_secret("seen", {"n": 1}, cas=0)["data"]["version"] == 1
    for cas in (0, 2):
        with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set parameter did not match"):
            kv.create_or_update_secret("seen", {"n": 2}, cas=cas)
    assert kv.create_or_update_secret("seen", {"n": 2}, cas=1)["data"]["version"] == 2
    assert value(vault, "seen") == {"n": 2}


def test_both_doors_lead_to_the_same_values_s4_131(vault, admin):
    admin.make("projects/vaulted/secrets", {"secret_id": "native", "value": "plain text"})
    assert value(vault, "native") == {"value": "plain text"}
    vault.secrets.kv.v2.create_or_update_secret("native", {"value": "another"})
    assert admin.get("projects/vaulted/secrets/native/versions/latest:access").json()["value"] == "another"
    for fields in ({"value": '{"looks": "like JSON"}'}, {"value": ""}, {}, {"value": 7}, {"value": "[1]"}, {"a": "é\n"}):
        vault.secrets.kv.v2.create_or_update_secret("native", fields)
        assert value(vault, "native") == fields


def test_a_list_names_what_the_caller_may_see_s4_131(suite, admin, vault):
    admin.make("projects", {"project_id": "vault-lists"})
    lists = client(suite, namespace="vault-lists")
    with pytest.raises(hvac.exceptions.InvalidPath):
        lists.secrets.kv.v2.list_secrets("")
    for name in ("b", "a", "c.d"):
        lists.secrets.kv.v2.create_or_update_secret(name, {"n": name})
    assert lists.secrets.kv.v2.list_secrets("")["data"]["keys"] == ["a", "b", "c.d"]
    strict = client(suite, namespace="vault-lists", strict_http=True)
    assert strict.secrets.kv.v2.list_secrets("")["data"]["keys"] == ["a", "b", "c.d"]
    with pytest.raises(hvac.exceptions.InvalidPath):
        lists.secrets.kv.v2.list_secrets("folder")

    # Whoever may read one secret sees that one, and reads no other.
    name = admin.make("serviceAccounts", {"service_account_id": "one-secret"})["name"]
    binding = {"principal": name, "role": "roles/manager", "resource": "projects/vault-lists/secrets/b"}
    admin.make("bindings", {"binding": binding})
    one = client(suite, admin.make(f"{name}/apiKeys", {})["secret"], namespace="vault-lists")
    assert one.is_authenticated()
    assert one.secrets.kv.v2.list_secrets("")["data"]["keys"] == ["b"]
    assert value(one, "b") == {"n": "b"}
    for path in ("a", "none"):
        with pytest.raises(hvac.exceptions.Forbidden):
            value(one, path)
    with pytest.raises(hvac.exceptions.Forbidden):
        one.secrets.kv.v2.create_or_update_secret("new", {"n": "n"})


def test_the_project_is_said_by_path_namespace_or_key_s4_131(suite, admin, vault):
    vault.secrets.kv.v2.create_or_update_secret("where", {"is": "vaulted"})
    client(suite).secrets.kv.v2.create_or_update_secret("where", {"is": "default"})
    assert value(client(suite), "where") == {"is": "default"}
    below = hvac.Client(url=f"{suite.url}/projects/vaulted", token=suite.key)
    assert value(below, "where") == {"is": "vaulted"}
    name = admin.make("serviceAccounts", {"service_account_id": "narrowed-to-vaulted"})["name"]
    admin.make("bindings", {"binding": {"principal": name, "role": "roles/manager", "resource": "*"}})
    narrowed = admin.make(f"{name}/apiKeys", {"api_key": {"scopes": ["projects/vaulted"]}})["secret"]
    assert value(client(suite, narrowed), "where") == {"is": "vaulted"}
    with pytest.raises(hvac.exceptions.InvalidPath, match="PROJECT_NOT_FOUND|None|"):
        value(client(suite, namespace="no-such-project"), "where")


def test_what_clients_ask_first_is_answered_s4_131(suite, vault):
    assert vault.is_authenticated() and not client(suite, "hvs.nobody").is_authenticated()
    assert vault.sys.is_initialized() and not vault.sys.is_sealed()
    assert vault.sys.read_health_status(method="GET")["sealed"] is False
    assert vault.sys.read_health_status().status_code == 200
    assert vault.auth.token.lookup_self()["data"]["display_name"].count("/") == 1
    mount = requests.get(f"{suite.url}/v1/sys/internal/ui/mounts/secret/where", timeout=30).json()["data"]
    assert mount["path"] == "secret/" and mount["options"] == {"version": "2"}
    assert "secret/" in requests.get(f"{suite.url}/v1/sys/internal/ui/mounts", timeout=30).json()["data"]["secret"]


def test_what_has_no_place_here_is_refused_in_vaults_words_s4_131(suite, vault):
    kv = vault.secrets.kv.v2

    def said(answer) -> str:
        return " ".join(answer.json()["errors"])

    for path in ("team/warehouse", "a/b/c", "x/versions/1"):
        with pytest.raises(hvac.exceptions.InvalidRequest):
            kv.create_or_update_secret(path, {"a": "b"})
    with pytest.raises(hvac.exceptions.InvalidPath, match="no method answers"):
        kv.read_secret_version("where", mount_point="kv", raise_on_deleted_version=True)
    with pytest.raises(hvac.exceptions.InvalidPath, match="no method answers"):
        vault.auth.approle.login("r", "s")
    url, head = f"{suite.url}/v1/secret", {"X-Vault-Token": suite.key, "X-Vault-Namespace": "vaulted"}
    for body, word in (("{", "VAULT_BODY_INVALID"), ("{}", "VAULT_BODY_INVALID"), ('{"data": "x"}', "VAULT_BODY_INVALID"),
                       ('{"data": {}, "options": {"cas": "x"}}', "VAULT_BODY_INVALID"),
                       ('{"data": {}, "options": {"ttl": 1}}', "VAULT_UNSUPPORTED"),
                       ('{"data": {"a": "%s"}}' % ("x" * 70_000), "VALIDATION_ERROR")):
        answer = requests.post(f"{url}/data/refused", data=body, headers=head, timeout=30)
        assert answer.status_code == 400 and word in said(answer), answer.text
    answer = requests.post(f"{url}/data/refused", data=b" " * 300_000, headers=head, timeout=30)
    assert answer.status_code == 413, answer.text
    answer = requests.post(f"{url}/destroy/where", json={"versions": list(range(1, 200))}, headers=head, timeout=30)
    assert answer.status_code == 400 and "VAULT_BODY_INVALID" in said(answer)
    for credential in ({}, {"X-Vault-Token": "nobody"}):
        answer = requests.get(f"{url}/data/where", headers=credential, timeout=30)
        assert answer.status_code == 403 and said(answer), answer.text
    # The header counts here, and nowhere else.
    assert requests.get(f"{suite.url}/api/v1/projects", headers=head, timeout=30).status_code == 401


def test_a_value_is_in_no_file_and_no_log_s4_131(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data", env={"RUST_LOG": "debug"}) as suite:
        vault = client(suite)
        vault.secrets.kv.v2.create_or_update_secret("sealed", {"password": CANARY})
        assert value(vault, "sealed") == {"password": CANARY}
        requests.post(f"{suite.url}/v1/secret/data/sealed", data='{"data": "%s"' % CANARY,
                      headers={"X-Vault-Token": suite.key}, timeout=30)
        assert canary.traces(suite.data, CANARY) == []
        assert not canary.sightings(suite.log.read_bytes(), CANARY)
