"""Configuration by environment, and secrets: through the gateway and the command line, as people use them."""

import json
import os
import queue
import subprocess
import threading
import time

import pytest

from api import Api, eventually
from suite import Suite

PROJECT = "projects/default"
SECRET = f"{PROJECT}/secrets/bank-key"


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    with Suite(cairn, tmp_path_factory.mktemp("config") / "data") as running:
        yield running


@pytest.fixture
def api(suite):
    return Api(suite)


def cli(suite, *args: str, stdin: str | None = None, key: str | None = None) -> subprocess.CompletedProcess:
    """The command line, with something on its standard input or with nothing there."""
    env = {**suite.env, "CAIRN_URL": suite.url, "CAIRN_API_KEY": key or suite.key}
    return subprocess.run([suite.cairn, *args], env=env, input=stdin or "", capture_output=True, text=True, timeout=60)


def ok(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def reason(answer) -> str:
    return answer.json()["error"]["reason"]


def key_of(api, role: str, resource: str) -> str:
    """The key of a new service account with one role."""
    name = f"sa-{os.urandom(4).hex()}"
    account = api.make("serviceAccounts", {"service_account_id": name})["name"]
    api.make("bindings", {"binding": {"principal": account, "role": role, "resource": resource}})
    return api.make(f"{account}/apiKeys", {"api_key": {"title": "test"}})["secret"]


def test_a_secret_is_written_read_by_version_and_destroyed_s4_131(api):
    made = api.make(f"{PROJECT}/secrets", {"secret_id": "rest", "secret": {"description": "d"}, "value": "one"})
    assert (made["name"], made["latest_version"]) == (f"{PROJECT}/secrets/rest", 1)
    version = api.make(f"{made['name']}/versions", {"value": "two"})
    assert version["name"].endswith("/versions/2") and "value" not in version
    assert api.get(f"{made['name']}/versions/1:access").json()["value"] == "one"
    latest = api.get(f"{made['name']}/versions/latest:access")
    assert latest.json() == {"name": version["name"], "value": "two"}
    assert latest.headers["Cache-Control"] == "no-store"
    assert made["name"] in {secret["name"] for secret in api.get("secrets").json()["secrets"]}
    assert "value" not in api.get(made["name"]).text
    assert api.make(f"{version['name']}:destroy", {"reason": "test"})["state"] == "STATE_DESTROYED"
    answer = api.get(f"{version['name']}:access")
    assert (answer.status_code, reason(answer)) == (400, "SECRET_VERSION_DESTROYED")
    assert api.get(f"{made['name']}/versions/latest:access").json()["value"] == "one"
    assert api.delete(made["name"]).json()["deleted"] is True
    assert api.get(f"{made['name']}/versions/1:access").status_code == 400


def test_the_command_line_takes_values_from_standard_input_or_a_file_and_rotates_keys_s4_125(suite, api, tmp_path):
    file = tmp_path / "value"
    file.write_text("from a file\n")
    ok(cli(suite, "secrets", "create", "bank-key", "--description", "for the bank", stdin="from a pipe\n"))
    ok(cli(suite, "secrets", "add", "bank-key", "--value-file", str(file)))
    assert ok(cli(suite, "secrets", "access", "bank-key")) == "from a file"
    assert ok(cli(suite, "secrets", "access", "bank-key", "1")) == "from a pipe"
    kept = tmp_path / "kept"
    ok(cli(suite, "secrets", "access", "bank-key", "--to", str(kept)))
    assert kept.read_text() == "from a file" and kept.stat().st_mode & 0o777 == 0o600
    assert "bank-key" in ok(cli(suite, "secrets", "list"))
    usage = cli(suite, "secrets", "add", "bank-key", "a-value-as-an-argument")
    assert usage.returncode != 0, "no value is taken from arguments"

    before = json.loads(ok(cli(suite, "--json", "secrets", "keeper")))
    after = json.loads(ok(cli(suite, "--json", "secrets", "rotate-key")))
    assert before["newest_key"] != after["newest_key"] and list(after["wrapped"]) == [after["newest_key"]]
    assert ok(cli(suite, "secrets", "access", "bank-key")) == "from a file"
    ok(cli(suite, "secrets", "disable", "bank-key", "2"))
    assert ok(cli(suite, "secrets", "access", "bank-key")) == "from a pipe"
    ok(cli(suite, "secrets", "enable", "bank-key", "2"))
    ok(cli(suite, "secrets", "destroy", "bank-key", "1", "--reason", "old"))
    refused = cli(suite, "secrets", "access", "bank-key", "1")
    assert refused.returncode != 0 and "SECRET_VERSION_DESTROYED" in refused.stderr


def test_reading_a_value_is_a_right_of_its_own_and_on_record_s4_125(suite, api):
    name = api.make(f"{PROJECT}/secrets", {"secret_id": "audited", "value": "canary-audited"})["name"]
    editor = Api(suite, key_of(api, "roles/editor", PROJECT))
    reader = Api(suite, key_of(api, "roles/manager", name))
    assert editor.post(f"{name}/versions", json={"value": "canary-more"}).ok
    assert editor.get(f"{name}/versions/latest:access").status_code == 403
    answer = reader.get(f"{name}/versions/latest:access", params={"reason": "the nightly job"})
    assert answer.json()["value"] == "canary-more"
    records = api.get("audit", params={"request_id": answer.headers["x-request-id"]}).json()["audit_records"]
    assert [record["outcome"] for record in records] == ["OUTCOME_READ"]
    told = json.dumps(api.get("audit", params={"page_size": 200}).json())
    assert "the nightly job" in json.dumps(api.get("events", params={"page_size": 50}).json())
    assert "canary-audited" not in told and "canary-more" not in told


def test_environments_inherit_differ_and_are_compared_s4_123(suite, api):
    ok(cli(suite, "config", "environments", "init"))
    ok(cli(suite, "config", "environments", "init"))
    names = [one["name"].rsplit("/", 1)[1] for one in api.get(f"{PROJECT}/environments").json()["environments"]]
    assert names == ["base", "dev", "prod", "staging"]
    assert len(api.get("config").json()["environments"]) >= 4
    ok(cli(suite, "config", "set", "base", "batch.size=32", "region=eu", "--reason", "to begin with"))
    ok(cli(suite, "config", "set", "dev", "batch.size=8"))
    config = api.get(f"config/{PROJECT}/environments/dev").json()
    assert {entry["key"]: entry["value"] for entry in config["entries"]} == {"batch.size": 8, "region": "eu"}
    assert '"value":8,' in api.get(f"config/{PROJECT}/environments/dev").text, "whole numbers stay whole"
    assert ok(cli(suite, "config", "get", "dev", "batch.size")).strip() == "8"
    assert ok(cli(suite, "config", "get", "staging", "batch.size")).strip() == "32"
    (difference,) = json.loads(ok(cli(suite, "--json", "config", "diff", "dev", "prod")))
    assert (difference["key"], difference["left"], difference["right"]) == ("batch.size", 8, 32)


def test_entries_are_made_read_changed_and_removed_s4_130(suite, api):
    api.make(f"{PROJECT}/environments", {"environment_id": "crud"})
    entry = f"config/{PROJECT}/environments/crud/entries/limits"
    set_ = api.put(entry, json={"value": {"rows": 10, "names": ["a", None]}, "reason": "first"})
    assert set_.json()["value"] == {"rows": 10, "names": ["a", None]}, set_.text
    assert api.get(entry).json()["author"] == "users/admin"
    stale = api.put(entry, json={"value": 1, "etag": "0"})
    assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
    assert api.put(entry, json={"value": 2, "etag": "1"}).json()["revision"] == 2
    assert api.delete(entry).json()["value"] == 2
    assert reason(api.get(entry)) == "CONFIG_ENTRY_NOT_FOUND"
    for bad in ({"value": 2**60}, {}, {"value": "x", "reason": "y" * 1001}):
        assert api.put(entry, json=bad).status_code == 400
    assert api.put(f"config/{PROJECT}/environments/crud/entries/Not-A-Key", json={"value": 1}).status_code == 400


def test_a_change_is_a_revision_with_an_author_and_can_be_undone_s4_124(suite, api):
    api.make(f"{PROJECT}/environments", {"environment_id": "history"})
    ok(cli(suite, "config", "set", "history", "a=1", "--reason", "one"))
    position = api.get("events", params={"page_size": 1}).json()["events"][0]["position"]
    ok(cli(suite, "config", "set", "history", "a=2", "b=x", "--reason", "two"))
    then = api.get(f"config/{PROJECT}/environments/history", params={"as_of": position}).json()
    assert [(entry["key"], entry["value"]) for entry in then["entries"]] == [("a", 1)]
    ok(cli(suite, "config", "rollback", "history", "1", "--reason", "it broke"))
    history = json.loads(ok(cli(suite, "--json", "config", "history", "history")))
    assert [(one["revision"], one["reason"], one["author"]) for one in history] == [
        (3, "it broke", "users/admin"), (2, "two", "users/admin"), (1, "one", "users/admin")]
    assert history[0]["rolled_back_to"] == 1
    assert json.loads(ok(cli(suite, "--json", "config", "get", "history")))["entries"][0]["value"] == 1


def test_a_value_that_does_not_fit_is_refused_and_a_reference_is_never_followed_s4_126(suite, api, tmp_path):
    api.make(f"{PROJECT}/environments", {"environment_id": "typed"})
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "integer", "minimum": 1}))
    ok(cli(suite, "config", "schemas", "set", "workers", str(schema)))
    refused = cli(suite, "config", "set", "typed", "workers=canary-many")
    assert refused.returncode != 0 and "CONFIG_VALUE_INVALID" in refused.stderr and "canary" not in refused.stderr
    ok(cli(suite, "config", "set", "typed", "workers=4"))
    api.make(f"{PROJECT}/secrets", {"secret_id": "referred", "value": "canary-referred"})
    reference = f"secret://{PROJECT}/secrets/referred@1"
    ok(cli(suite, "config", "set", "typed", f"password={reference}"))
    for command in (["get", "typed"], ["diff", "typed"], ["history", "typed"]):
        told = ok(cli(suite, "--json", "config", *command))
        assert reference in told and "canary-referred" not in told
    refused = cli(suite, "config", "set", "typed", f"password=secret://{PROJECT}/secrets/none")
    assert "SECRET_REFERENCE_INVALID" in refused.stderr


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
def test_a_change_reaches_who_watches_within_a_second_s4_126_s4_130(suite, api, accept):
    environment = f"watched-{os.urandom(2).hex()}"
    api.make(f"{PROJECT}/environments", {"environment_id": environment})
    path = f"config/{PROJECT}/environments/{environment}"
    heard: queue.Queue = queue.Queue()

    def listen():
        with Api(suite).get(f"{path}:watch", stream=True, headers={"Accept": accept}) as answer:
            for line in answer.iter_lines():
                text = line.decode().removeprefix("data:").strip()
                if text.startswith("{"):
                    heard.put((time.monotonic(), json.loads(text)))

    threading.Thread(target=listen, daemon=True).start()
    assert "entries" not in heard.get(timeout=20)[1] or heard.empty()
    for value in (1, 2, 3):
        began = time.monotonic()
        assert api.put(f"{path}/entries/a", json={"value": value}).ok
        at, told = heard.get(timeout=20)
        told = told.get("result", told)
        assert told["entries"][0]["value"] == value
        assert at - began < 1


def test_a_data_folder_without_its_key_file_is_not_started(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        Api(suite).make(f"{PROJECT}/secrets", {"secret_id": "s", "value": "kept"})
    keys = suite.folder("config") / "sealing-keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    moved = tmp_path / "backup.json"
    keys.rename(moved)
    other = Suite(cairn, tmp_path / "data")
    with pytest.raises(RuntimeError, match="sealing-keys.json"):
        other.start()
    moved.rename(keys)
    with Suite(cairn, tmp_path / "data") as suite:
        assert eventually(lambda: Api(suite).get(f"{PROJECT}/secrets/s/versions/1:access").json())["value"] == "kept"
