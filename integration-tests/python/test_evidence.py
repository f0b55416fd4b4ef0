"""Evidence of a promotion: one file, verified by somebody with no account, no network and none of our variables."""

import json
import random
import subprocess

import pytest

from api import Api
from suite import Suite

HOLDS, REFUTED, UNUSABLE = range(3)


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    with Suite(cairn, tmp_path_factory.mktemp("evidence") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def key(suite) -> str:
    """What the log is verified with, as an auditor got it once."""
    done = suite.cli("audit", "checkpoint", "--keys")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def person(root: Api, name: str, role: str) -> tuple[Api, str]:
    """Somebody with a role in the default project: a client with their key, and the binding."""
    user = root.make("users", {"user": {"display_name": name}})["name"]
    given = {"principal": user, "role": role, "resource": "projects/default"}
    binding = root.make("bindings", {"binding": given})["name"]
    return Api(root.suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"]), binding


@pytest.fixture(scope="module")
def promoted(suite) -> dict:
    """A promotion with everything that it rests on; since then the role of who agreed has been withdrawn."""
    root = Api(suite)
    ada, _ = person(root, "ada", "roles/editor")
    bob, binding = person(root, "bob", "roles/manager")
    terms = {"protected_aliases": ["champion"], "metric_thresholds": [{"metric": "auc", "min": 0.8}]}
    assert bob.patch("projects/default/promotionPolicies/default", json={"terms": terms}).ok
    run = ada.run("fraud model")
    ada.make(f"{run}:logBatch", {"params": {"depth": "5"}, "metrics": [{"key": "loss", "value": 0.25, "step": 1}],
                                 "tags": {"mlflow.source.git.commit": "0123abcd"}})
    ada.make(f"{run}:logInputs", {"datasets": [{"display_name": "transactions", "digest": "d1", "source": "s3://b/t"}]})
    assert ada.put(f"{run}/files/model/model.txt", data=b"weights").ok
    model = ada.make("projects/default/models", {"registered_model_id": "fraud"})["name"]
    ada.make(f"{model}/versions", {"model_version": {"source_run": run, "source_uri": f"runs:/{run.rsplit('/', 1)[1]}/model", "metrics": {"auc": 0.9}}})
    asked = ada.make(f"{model}/promotions", {"moves": [{"version": 1, "alias": "champion"}], "comment": "better"})
    done = bob.make(f"{asked['name']}:approve", {"comment": "looked at it"})
    assert done["state"] == "PROMOTION_STATE_COMPLETED"
    assert root.delete(f"{binding}?reason=left").ok
    return {"name": asked["name"], "run": run, "model": model}


def pack(suite, promotion: str, file) -> dict:
    done = suite.cli("--json", "evidence", "pack", "--promotion", promotion, "--output", str(file))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def verify(cairn, file, key: str, *flags: str) -> subprocess.CompletedProcess:
    command = [cairn, *flags, "evidence", "verify", str(file), "--key", key]
    return subprocess.run(command, env={}, capture_output=True, text=True)


def test_an_auditor_verifies_a_promotion_from_one_file(cairn, suite, key, promoted, tmp_path):
    file = tmp_path / "promotion.json"
    made = pack(suite, promoted["name"], file)
    assert made["events"] >= 9 and made["promotion"] == promoted["name"]
    done = verify(cairn, file, key, "--json")
    assert done.returncode == HOLDS, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["verified"] and told["holds"] and told["events"] == made["events"]
    story = told["story"]
    assert story["promotion"]["state"] == "COMPLETED"
    [approval] = story["promotion"]["approvals"]
    assert approval["approver"] != story["promotion"]["requester"] and approval["decision_id"]
    [run] = story["runs"]
    assert run["name"] == promoted["run"] and run["params"] == {"depth": "5"}
    assert run["code"] == {"mlflow.source.git.commit": "0123abcd"} and run["metrics"] == {"loss": "0.25"}
    assert run["datasets"] == [{"name": "transactions", "digest": "d1", "source": "s3://b/t"}]
    assert run["artifacts"]["model/model.txt"]["size_bytes"] == len(b"weights")
    assert {finding["rule"] for finding in story["findings"]} >= {
        "the request names the policy in force", "nobody agrees to what they asked for", "enough have agreed"}
    shown = verify(cairn, file, key)
    assert shown.returncode == HOLDS and "completed" in shown.stdout and "ok     enough have agreed" in shown.stdout


def test_by_its_short_name_and_before_anybody_agreed(cairn, suite, key, promoted, tmp_path):
    model = promoted["model"]
    open_one = Api(suite).make(f"{model}/promotions", {"moves": [{"version": 1, "alias": "other"}]})["name"]
    file = tmp_path / "open.json"
    pack(suite, f"fraud/{open_one.rsplit('/', 1)[1]}", file)
    done = verify(cairn, file, key, "--json")
    assert done.returncode == HOLDS, done.stderr
    assert json.loads(done.stdout)["story"]["promotion"]["state"] == "PENDING"


def test_a_hundred_random_changes_of_a_file_are_all_refused(cairn, suite, key, promoted, tmp_path):
    file = tmp_path / "true.json"
    pack(suite, promoted["name"], file)
    true = file.read_bytes()
    chance = random.Random(4711)
    for number in range(100):
        touched, at = bytearray(true), chance.randrange(len(true))
        match number % 4:
            case 0:
                touched[at] ^= 1 << chance.randrange(8)
            case 1:
                del touched[at : at + chance.randrange(1, 200)]
            case 2:
                touched[at:at] = chance.randbytes(chance.randrange(1, 20))
            case _:
                other = chance.randrange(len(true))
                touched[at : at + 64], touched[other : other + 64] = true[other : other + 64], true[at : at + 64]
        if bytes(touched) == true:
            continue
        file.write_bytes(touched)
        done = verify(cairn, file, key)
        assert done.returncode in (REFUTED, UNUSABLE), f"change {number} at {at}: {done.stdout}"


def test_a_key_of_another_log_and_a_promotion_that_is_none_are_refused(cairn, suite, key, promoted, tmp_path):
    file = tmp_path / "true.json"
    pack(suite, promoted["name"], file)
    with Suite(cairn, tmp_path / "other") as other:
        strange = other.cli("audit", "checkpoint", "--keys").stdout.strip()
    done = verify(cairn, file, strange)
    assert done.returncode == REFUTED and "REFUTED" in done.stderr
    assert verify(cairn, tmp_path / "missing", key).returncode == UNUSABLE
    unknown = suite.cli("evidence", "pack", "--promotion", "fraud/none", "--output", str(tmp_path / "none"))
    assert unknown.returncode == 4 and not (tmp_path / "none").exists()
    small = suite.cli("evidence", "pack", "--promotion", promoted["name"], "--events-max", "3")
    assert small.returncode == 1 and "--events-max" in small.stderr


def test_an_approver_may_hold_the_role_through_a_group_of_the_projects_organization(cairn, suite, key, tmp_path):
    root = Api(suite)
    organization = root.make("organizations", {"organization_id": "acme"})["name"]
    project = root.make(f"{organization}/projects", {"project_id": "acme-risk"})["name"]
    groups = [root.make(f"{organization}/groups", {"group_id": group, "group": {}})["name"] for group in ("staff", "leads")]
    staff, leads = groups
    ada, eve = (root.make("users", {"user": {"display_name": name}})["name"] for name in ("ada", "eve"))
    root.make("bindings", {"binding": {"principal": ada, "role": "roles/editor", "resource": project}})
    root.make("bindings", {"binding": {"principal": leads, "role": "roles/manager", "resource": organization}})
    root.make(f"{staff}:addMembers", {"members": [eve]})
    root.make(f"{leads}:addMembers", {"members": [staff]})
    author, approver = (Api(suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"]) for user in (ada, eve))

    terms = {"protected_aliases": ["champion"]}
    assert approver.patch(f"{project}/promotionPolicies/default", json={"terms": terms}).ok
    model = author.make(f"{project}/models", {"registered_model_id": "risk"})["name"]
    author.make(f"{model}/versions", {"model_version": {"source_uri": "s3://bucket/risk"}})
    asked = author.make(f"{model}/promotions", {"moves": [{"version": 1, "alias": "champion"}]})["name"]
    done = approver.make(f"{asked}:approve", {})
    assert done["state"] == "PROMOTION_STATE_COMPLETED"

    file = tmp_path / "through-groups.json"
    pack(suite, asked, file)
    told = verify(cairn, file, key)
    assert told.returncode == HOLDS, told.stdout + told.stderr
    assert f"gives roles/manager on {organization}" in told.stdout and f"to {leads}, whose member they were" in told.stdout
