"""Signed models: the genuine command line signs a folder, the unmodified MLflow client logs and registers it."""

import base64
import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from api import Api
from suite import Suite

SIGNING_SECONDS_MAX = 120
DONE, REFUTED = 0, 1
MANGLED_MAX = 40


class Key:
    """A key pair in files, as the signing tool takes it."""

    def __init__(self, folder: Path, name: str, curve=ec.SECP256R1):
        secret = ec.generate_private_key(curve())
        self.secret, self.public = folder / f"{name}.pem", folder / f"{name}.pub"
        self.secret.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                     serialization.NoEncryption()))
        self.public.write_bytes(secret.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        self.fingerprint = hashlib.sha256(self.public.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: its project has a policy."""
    with Suite(cairn, tmp_path_factory.mktemp("signing") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {"release": Key(folder, "release"), "wide": Key(folder, "wide", ec.SECP384R1),
            "widest": Key(folder, "widest", ec.SECP521R1), "stranger": Key(folder, "stranger")}


@pytest.fixture(scope="module")
def trusted(suite, keys) -> None:
    """The project trusts three keys and requires nothing."""
    given = [f"--key={name}={keys[name].public}" for name in ("release", "wide", "widest")]
    done = suite.cli("models", "signing-policy", "set", *given)
    assert done.returncode == DONE, done.stderr


@pytest.fixture
def client(suite, monkeypatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", suite.key)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return MlflowClient(suite.url, suite.url)


def folder(tmp_path: Path) -> Path:
    """A model as frameworks save them, with files that signing passes over."""
    model = tmp_path / "model"
    (model / "data").mkdir(parents=True)
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / "data" / "model.pkl").write_bytes(bytes(range(256)) * 64)
    (model / ".gitattributes").write_text("*.pkl filter=lfs\n")
    return model


def sign(model: Path, key: Key) -> None:
    tool("sign", "key", str(model), "--private_key", str(key.secret), "--signature", str(model / "model.sig"))


def tool(*args: str) -> None:
    done = subprocess.run([sys.executable, "-m", "model_signing", *args], capture_output=True, text=True,
                          timeout=SIGNING_SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr


def logged(client: MlflowClient, model: Path) -> tuple[str, str]:
    """The folder as artifacts of a run: where it lies, and the run's id."""
    run = client.create_run("0").info.run_id
    client.log_artifacts(run, str(model), "model")
    return f"runs:/{run}/model", run


def registered(client: MlflowClient, name: str, model: Path):
    source, run = logged(client, model)
    return client.create_model_version(name, source, run_id=run)


def told(answer) -> dict:
    """Why a request was refused: the reason, and what goes with it."""
    return answer.json()["error"]["details"][0]


def version(root: Api, name: str, number: int = 1) -> dict:
    answer = root.get(f"projects/default/models/{name}/versions/{number}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def listing(model: Path) -> dict[str, str]:
    files = sorted(path for path in model.rglob("*") if path.is_file())
    return {path.relative_to(model).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["release", "wide", "widest"])
def test_what_the_genuine_tool_signed_and_the_mlflow_client_registers_is_verified(
        suite, root, client, keys, trusted, tmp_path, name):
    model = folder(tmp_path)
    sign(model, keys[name])
    client.create_registered_model(f"signed-{name}")
    registered(client, f"signed-{name}", model)
    seen, files = version(root, f"signed-{name}"), listing(model)
    check = seen["signature_check"]
    assert (check["state"], check["key_name"]) == ("SIGNATURE_STATE_VERIFIED", name)
    assert check["key_fingerprint"] == keys[name].fingerprint
    assert check["signature_sha256"] == files["model.sig"]
    manifest = "".join(f"{files[path]}  {path}\n" for path in sorted(files))
    assert seen["artifact_manifest"]["sha256"] == hashlib.sha256(manifest.encode()).hexdigest()
    assert seen["artifact_manifest"]["file_count"] == len(files) == 4
    pages = root.pages(f"{seen['name']}/artifacts", "artifacts", page_size=3)
    assert [len(page) for page in pages] == [3, 1]
    assert {file["path"]: file["sha256"] for page in pages for file in page} == files
    card = root.get(f"{seen['name']}:card").json()["markdown"]
    assert f"verified, by key {name}" in card
    # The same on the caller's own machine, with ours and with the genuine tool.
    same = suite.cli_json("models", "verify", f"signed-{name}", "1", "--key", str(keys[name].public),
                          "--signature", str(model / "model.sig"))
    assert same["file_count"] == 4
    other = suite.cli("models", "verify", f"signed-{name}", "1", "--key", str(keys["stranger"].public),
                      "--signature", str(model / "model.sig"))
    assert other.returncode != DONE and "not verified" in other.stderr
    fetched = client.download_artifacts(seen["source_run"].rsplit("/")[-1], "model", str(tmp_path / "fetched"))
    tool("verify", "key", fetched, "--signature", f"{fetched}/model.sig", "--public_key", str(keys[name].public))


def test_the_files_of_a_logged_model_are_noted_and_verified(root, client, keys, trusted, tmp_path):
    model = folder(tmp_path)
    sign(model, keys["release"])
    made = client.create_logged_model("0", name="kept")
    client.log_model_artifacts(made.model_id, str(model))
    client.create_registered_model("logged")
    client.create_model_version("logged", f"models:/{made.model_id}", model_id=made.model_id)
    seen = version(root, "logged")
    assert seen["signature_check"]["state"] == "SIGNATURE_STATE_VERIFIED"
    # A version made from a version has its files.
    client.create_registered_model("copied")
    client.create_model_version("copied", "models:/logged/1")
    assert version(root, "copied")["artifact_manifest"] == seen["artifact_manifest"]
    # What becomes of the files later does not change what was registered.
    (model / "MLmodel").write_text("flavors: {other: {}}\n")
    client.log_model_artifact(made.model_id, str(model / "MLmodel"))
    assert version(root, "logged")["artifact_manifest"] == seen["artifact_manifest"]


def test_a_folder_that_was_changed_after_signing_is_refused_and_the_file_is_named(root, client, keys, trusted, tmp_path):
    model = folder(tmp_path)
    sign(model, keys["release"])
    signed = listing(model)["data/model.pkl"]
    (model / "data" / "model.pkl").write_bytes(b"something else")
    found = listing(model)["data/model.pkl"]
    client.create_registered_model("tampered")
    source, run = logged(client, model)
    with pytest.raises(MlflowException, match="data/model.pkl") as refused:
        client.create_model_version("tampered", source, run_id=run)
    assert signed in str(refused.value) and found in str(refused.value)
    body = {"model_version": {"source_uri": source, "source_run": run}}
    answer = root.post("projects/default/models/tampered/versions", json=body)
    assert answer.status_code == 400, answer.text
    why = told(answer)
    assert why["reason"] == "MODEL_SIGNATURE_MISMATCH"
    file = why["metadata"]
    assert (file["path"], file["expected"], file["found"]) == ("data/model.pkl", signed, found)
    assert root.get("projects/default/models/tampered/versions/1").status_code == 404
    # Nor is one more file, nor a signature that was changed.
    for spoil in (lambda: (model / "extra.bin").write_text("x"),
                  lambda: (model / "model.sig").write_text((model / "model.sig").read_text()[:-2])):
        spoil()
        with pytest.raises(MlflowException, match="model.sig"):
            registered(client, "tampered", model)


def test_a_key_that_nobody_trusts_is_noted_as_such_and_refused_where_a_signature_is_required(
        suite, root, client, keys, trusted, tmp_path):
    model = folder(tmp_path)
    sign(model, keys["stranger"])
    client.create_registered_model("foreign")
    registered(client, "foreign", model)
    check = version(root, "foreign")["signature_check"]
    assert (check["state"], check["key_fingerprint"]) == ("SIGNATURE_STATE_UNTRUSTED", keys["stranger"].fingerprint)
    done = suite.cli("models", "signing-policy", "set", "foreign", "--required")
    assert done.returncode == DONE, done.stderr
    with pytest.raises(MlflowException, match="trusted"):
        registered(client, "foreign", model)
    # The model trusts the key from now on, beside those of its project.
    done = suite.cli("models", "signing-policy", "set", "foreign", "--required",
                     "--key", f"partner={keys['stranger'].public}")
    assert done.returncode == DONE, done.stderr
    registered(client, "foreign", model)
    assert version(root, "foreign", 2)["signature_check"]["key_name"] == "partner"


def test_an_unsigned_version_is_refused_where_one_must_be_signed(suite, root, client, keys, trusted, tmp_path):
    model = folder(tmp_path)
    client.create_registered_model("strict")
    registered(client, "strict", model)
    assert version(root, "strict")["signature_check"]["state"] == "SIGNATURE_STATE_ABSENT"
    done = suite.cli("models", "signing-policy", "set", "strict", "--required")
    assert done.returncode == DONE, done.stderr
    policy = suite.cli_json("models", "signing-policy", "get", "strict")
    assert policy["required"] is True and not policy.get("keys")
    with pytest.raises(MlflowException, match="must be signed"):
        registered(client, "strict", model)
    elsewhere = root.post("projects/default/models/strict/versions",
                          json={"model_version": {"source_uri": "s3://bucket/model"}})
    assert (elsewhere.status_code, told(elsewhere)["reason"]) == (400, "MODEL_SIGNATURE_MISSING")
    sign(model, keys["release"])
    registered(client, "strict", model)
    assert version(root, "strict", 2)["signature_check"]["state"] == "SIGNATURE_STATE_VERIFIED"


def test_only_administrators_say_whose_signatures_count(root, keys):
    policy = {"keys": [{"name": "mine", "public_key_pem": keys["stranger"].public.read_text()}]}
    path = "projects/default/signingPolicies/default"
    for role in ("roles/editor", "roles/manager"):
        user = root.make("users", {"user": {"display_name": role[6:], "email": f"{role[6:]}@example.org"}})["name"]
        root.make("bindings", {"binding": {"principal": user, "role": role, "resource": "projects/default"}})
        api = Api(root.suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"])
        assert api.patch(path, json=policy).status_code == 403
        assert api.get(path).status_code == 200
    for wrong in ("no key", keys["stranger"].secret.read_text()):
        answer = root.patch(path, json={"keys": [{"name": "wrong", "public_key_pem": wrong}]})
        assert (answer.status_code, told(answer)["reason"]) == (400, "SIGNING_KEY_INVALID")
    stale = root.patch(path, json={**policy, "etag": "999"})
    assert stale.status_code == 409, stale.text


def trust(suite, model: str, *keys: str) -> None:
    done = suite.cli("models", "signing-policy", "set", model, *(f"--key={key}" for key in keys))
    assert done.returncode == DONE, done.stderr


def kinds(promotion: dict) -> list[str]:
    return [condition["kind"] for condition in promotion.get("unmet_conditions", [])]


@pytest.fixture(scope="module")
def manager(suite, root) -> Api:
    user = root.make("users", {"user": {"display_name": "mia", "email": "mia@example.org"}})["name"]
    root.make("bindings", {"binding": {"principal": user, "role": "roles/manager", "resource": "projects/default"}})
    return Api(suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"])


@pytest.fixture
def promoted(suite, root, client, keys, trusted, manager, tmp_path) -> str:
    """A promotion that had to be of a signed version; its key was taken back and given again before it moved."""
    model, partner = folder(tmp_path), f"partner={keys['stranger'].public}"
    client.create_registered_model("guarded")
    registered(client, "guarded", model)
    trust(suite, "guarded", partner)
    sign(model, keys["stranger"])
    registered(client, "guarded", model)
    suite.cli_json("promotions", "policy", "set", "guarded", "--protect-alias", "champion", "--require-signature")
    policy = suite.cli_json("promotions", "policy", "get", "guarded")
    assert policy["terms"]["trusted_signature_required"] is True
    unsigned, signed = (suite.cli_json("promotions", "create", "guarded", number, "--alias", "champion") for number in "12")
    assert (kinds(unsigned), kinds(signed)) == (["APPROVALS", "SIGNATURE"], ["APPROVALS"])
    assert "version 1 has no signature that counts: it is not signed" in suite.cli("promotions", "list", "guarded").stdout
    newest = root.get("events", params={"order": "ORDER_NEWEST_FIRST", "page_size": 1}).json()
    then = newest["events"][0]["position"]

    trust(suite, "guarded")
    waiting = manager.make(f"{signed['name']}:approve", {})
    assert (waiting["state"], kinds(waiting)) == ("PROMOTION_STATE_PENDING", ["SIGNATURE"])
    assert keys["stranger"].fingerprint in waiting["unmet_conditions"][0]["message"]
    # At the moment before, it lacked no signature.
    assert kinds(root.get(signed["name"], params={"as_of": then}).json()) == ["APPROVALS"]
    answer = root.post(f"{signed['name']}:complete", json={})
    assert (answer.status_code, told(answer)["reason"]) == (400, "PROMOTION_CONDITIONS_UNMET")
    refused = suite.cli("promotions", "complete", signed["name"])
    assert refused.returncode != DONE and "trusted no longer" in refused.stderr
    softer = {"terms": {"protected_aliases": ["champion"]}}
    answer = manager.patch("projects/default/models/guarded/promotionPolicies/default", json=softer)
    assert (answer.status_code, told(answer)["reason"]) == (403, "POLICY_RELAXED")

    trust(suite, "guarded", partner)
    assert "completed" in suite.cli("promotions", "complete", signed["name"]).stdout
    assert root.get("projects/default/models/guarded:resolve", params={"alias": "champion"}).json()["version"] == 2
    answer = manager.make(f"{unsigned['name']}:approve", {})
    assert (answer["state"], kinds(answer)) == ("PROMOTION_STATE_PENDING", ["SIGNATURE"])
    return signed["name"]


def test_what_moves_by_a_signature_whose_key_is_trusted_then_is_judged_again_from_one_file(
        cairn, suite, keys, promoted, tmp_path):
    file = tmp_path / "signed.json"
    suite.cli_json("evidence", "pack", "--promotion", promoted, "--output", str(file))
    log_key = suite.cli("audit", "checkpoint", "--keys").stdout.strip()

    def verified(text: str) -> subprocess.CompletedProcess:
        file.write_text(text)
        command = [cairn, "--json", "evidence", "verify", str(file), "--key", log_key]
        return subprocess.run(command, env={}, capture_output=True, text=True)

    true = file.read_text()
    done = verified(true)
    assert done.returncode == DONE, done.stdout + done.stderr
    findings = {finding["rule"]: finding for finding in json.loads(done.stdout)["story"]["findings"]}
    found = findings["projects/default/models/guarded/versions/2 is signed by a key that was trusted when it moved"]
    assert found["holds"] and keys["stranger"].fingerprint in found["why"]
    assert "trusted by projects/default/models/guarded as set at position" in found["why"]

    # Who leaves off what became of the keys in the end, and seals the file again, tells a story that does not follow;
    # and who lets it follow, one in which the rule was not kept.
    pack = json.loads(true)
    signing = [at for at, event in enumerate(pack["events"]) if '"stream":"registry.signing-' in event["entry"]]
    assert len(signing) >= 4, "the project's keys, and the model's: given, taken, given again"
    del pack["events"][signing[-1]]
    told_wrong = verified(sealed(pack))
    assert told_wrong.returncode == REFUTED and "does not follow" in told_wrong.stderr, told_wrong.stderr
    [finding] = [one for one in pack["story"]["findings"] if one["rule"] == found["rule"]]
    finding["holds"] = False
    finding["why"] = "event 2 of the policy of projects/default/models/guarded is not the one that was in force"
    told_true = verified(sealed(pack))
    assert told_true.returncode == REFUTED and "a rule was not kept" in told_true.stderr, told_true.stderr
    del pack["events"][signing[-2]]
    assert verified(sealed(pack)).returncode == REFUTED

    chance = random.Random(97)
    for number in range(MANGLED_MAX):
        at = chance.randrange(len(true))
        touched = true[:at] + chance.choice("0aZ,{\" ") + true[at + 1:]
        assert touched == true or verified(touched).returncode != DONE, f"change {number} at {at}"


def sealed(pack: dict) -> str:
    """The file with its digest made anew."""
    def text(digest: str) -> str:
        return json.dumps({**pack, "sha256": digest}, indent=2, ensure_ascii=False) + "\n"
    return text(base64.b64encode(hashlib.sha256(text("").encode()).digest()).decode())
