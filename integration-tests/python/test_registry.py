"""Models under four eyes: over REST, over MLflow's protocol and from the command line, by people with different roles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api import Api
from suite import Suite

STORY = Path(__file__).parent.parent / "mlflow" / "registry_story.py"
STORY_SECONDS_MAX = 900
MLFLOW = "/api/2.0/mlflow"
DONE, DENIED = 0, 5


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: its project has a policy."""
    with Suite(cairn, tmp_path_factory.mktemp("registry") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


def person(root: Api, name: str, role: str) -> Api:
    """Somebody with a role in the default project, and a key."""
    user = root.make("users", {"user": {"display_name": name, "email": f"{name}@example.org"}})["name"]
    root.make("bindings", {"binding": {"principal": user, "role": role, "resource": "projects/default"}})
    key = root.make(f"{user}/apiKeys", {"api_key": {}})["secret"]
    return Api(root.suite, key)


@pytest.fixture(scope="module")
def people(root) -> dict[str, Api]:
    """Ada works in the project; Bob and Eve manage it."""
    return {"ada": person(root, "ada", "roles/editor"), "bob": person(root, "bob", "roles/manager"),
            "eve": person(root, "eve", "roles/manager")}


@pytest.fixture(scope="module")
def policy(root, people) -> dict:
    """What the project asks for from now on."""
    terms = {"protected_aliases": ["champion"], "protected_stages": ["STAGE_PRODUCTION"]}
    answer = people["bob"].patch("projects/default/promotionPolicies/default", json={"terms": terms})
    assert answer.status_code == 200, answer.text
    return answer.json()


def model(api: Api, name: str, versions: int) -> str:
    """A model with so many versions."""
    made = api.make("projects/default/models", {"registered_model_id": name})["name"]
    for _ in range(versions):
        api.make(f"{made}/versions", {"model_version": {"metrics": {"auc": 0.9}}})
    return made


def refused(answer, reason: str) -> dict:
    assert answer.status_code >= 400, answer.text
    error = answer.json()
    error = error.get("error", error)
    assert error["reason"] == reason, answer.text
    return error


def test_a_model_is_registered_promoted_and_found_over_rest(root):
    made = root.make("projects/default/models", {"display_name": "churn model"})
    assert made["name"] == "projects/default/models/churn~20model"
    version = root.make(f"{made['name']}/versions", {"model_version": {
        "source_uri": "s3://models/churn", "framework": "sklearn", "hyperparameters": {"depth": "5"},
        "metrics": {"auc": 0.91}, "tags": {"team": "sales"}, "description": "*first*",
        "signature": {"inputs": [{"label": "age", "dtype": "int64"}], "outputs": [{"dtype": "float64"}]},
        "reference_statistics": {"sha256": "0" * 64, "uri": "s3://models/churn.stats"}}})
    assert (version["version"], version["stage"], version["artifact_uri"]) == (1, "STAGE_NONE", "s3://models/churn")
    staged = root.make(f"{version['name']}:transition", {"stage": "STAGE_STAGING"})
    assert staged["stage"] == "STAGE_STAGING"
    root.make(f"{version['name']}:transition", {"stage": "STAGE_PRODUCTION"})
    found = root.get(f"{made['name']}:resolve", params={"stage": "STAGE_PRODUCTION"}).json()
    assert (found["name"], found["hyperparameters"], found["metrics"]) == (version["name"], {"depth": "5"}, {"auc": 0.91})
    listed = root.get("projects/default/modelVersions", params={"filter": "stage = 'Production' AND tags.team = 'sales'"})
    assert [item["name"] for item in listed.json()["model_versions"]] == [version["name"]]
    summary = root.get("projects/default:summarizeRegistry").json()
    assert summary["version_count_by_framework"]["sklearn"] == 1


def test_who_asks_is_refused_and_a_second_person_lets_it_happen(people, policy):
    ada, bob = people["ada"], people["bob"]
    name = model(bob, "fraud", 2)
    first = bob.make(f"{name}/promotions", {"moves": [{"version": 1, "alias": "champion"}], "comment": "the first"})
    refused(bob.post(f"{first['name']}:approve", json={}), "PROMOTION_OWN")
    refused(ada.post(f"{first['name']}:approve", json={}), "ACCESS_DENIED")
    people["eve"].make(f"{first['name']}:approve", {})

    for direct in (ada.post(f"{name}:setAlias", json={"alias": "champion", "version": 2}),
                   bob.post(f"{name}:removeAlias", json={"alias": "champion"}),
                   bob.delete(f"{name}/versions/1"), bob.delete(name)):
        error = refused(direct, "TARGET_PROTECTED")
        assert error["context"]["ask"] == f"POST /api/v1/{name}/promotions"
    asked = ada.make(f"{name}/promotions", {"moves": [{"version": 2, "alias": "champion"}]})
    assert [condition["kind"] for condition in asked["unmet_conditions"]] == ["APPROVALS"]
    done = bob.make(f"{asked['name']}:approve", {"comment": "looks right"})
    assert done["state"] == "PROMOTION_STATE_COMPLETED"
    assert ada.get(f"{name}:resolve", params={"alias": "champion"}).json()["version"] == 2
    assert ada.get(f"{name}/versions/1").json()["stage"] == "STAGE_ARCHIVED"


def test_a_role_given_after_the_request_does_not_count_for_it(root, people, policy):
    ada = people["ada"]
    name = model(ada, "late", 1)
    asked = ada.make(f"{name}/promotions", {"moves": [{"version": 1, "alias": "champion"}]})
    late = person(root, "late", "roles/manager")
    refused(late.post(f"{asked['name']}:approve", json={}), "APPROVER_ROLE_TOO_RECENT")
    again = people["bob"].make(f"{asked['name']}:approve", {})
    assert again["state"] == "PROMOTION_STATE_COMPLETED"
    # For what is asked from now on it does.
    second = ada.make(f"{name}/promotions", {"moves": [{"version": 1, "stage": "STAGE_PRODUCTION"}]})
    assert late.make(f"{second['name']}:approve", {})["state"] == "PROMOTION_STATE_COMPLETED"


def test_mlflows_protocol_moves_nothing_that_is_protected_and_opens_a_promotion(people, policy):
    ada = people["ada"]
    name = model(ada, "mlflow", 1)
    alias = ada.post(f"{MLFLOW}/registered-models/alias", json={"name": "mlflow", "alias": "champion", "version": "1"})
    assert (alias.status_code, alias.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert f"POST /api/v1/{name}/promotions" in alias.json()["message"]
    stage = {"name": "mlflow", "version": "1", "stage": "Production"}
    answers = [ada.post(f"{MLFLOW}/model-versions/transition-stage", json=stage) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [403, 403]
    [promotion] = ada.get(f"{name}/promotions").json()["promotions"]
    assert all(promotion["name"] in answer.json()["message"] for answer in answers), answers[0].text
    done = people["bob"].make(f"{promotion['name']}:approve", {})
    assert done["state"] == "PROMOTION_STATE_COMPLETED"
    seen = ada.get(f"{MLFLOW}/model-versions/get", params={"name": "mlflow", "version": "1"}).json()["model_version"]
    assert seen["current_stage"] == "Production"


def test_a_bypass_is_the_administrators_alone_and_is_on_record(root, people, policy):
    name = model(people["ada"], "urgent", 1)
    bypass = {"moves": [{"version": 1, "alias": "champion"}], "justification": "the old one is on fire"}
    refused(people["bob"].post(f"{name}:bypassPromotion", json=bypass), "ACCESS_DENIED")
    root.make(f"{name}:bypassPromotion", bypass)
    assert root.get(f"{name}:resolve", params={"alias": "champion"}).json()["version"] == 1
    [event] = root.pages("events", "events", type="PromotionBypassed", resource=name)[0]
    assert event["data"]["justification"] == bypass["justification"], event


def test_the_command_line_shows_and_moves_models(suite, people, policy):
    def said(*args: str, key: str | None = None) -> str:
        done = suite.cli(*args, key=key)
        assert done.returncode == DONE, f"{args}: {done.stdout}{done.stderr}"
        return done.stdout

    def key(who: str) -> str:
        return people[who].headers["Authorization"].removeprefix("Bearer ")

    said("models", "create", "cli", "--tag", "team=risk")
    people["ada"].make("projects/default/models/cli/versions", {"model_version": {"framework": "sklearn"}})
    assert "projects/default/models/cli" in said("models", "list", "--filter", "tags.team = 'risk'")
    assert "is now version 1" in said("models", "alias", "cli", "baseline", "1")
    assert "is now in staging" in said("models", "stage", "cli", "1", "staging")
    table = said("models", "versions", "cli")
    assert "staging" in table and "baseline" in table and "sklearn" in table
    shown = json.loads(said("--json", "models", "show", "cli", "--alias", "baseline"))
    assert (shown["version"], shown["stage"]) == (1, "STAGE_STAGING")
    denied = suite.cli("models", "alias", "cli", "champion", "1")
    assert denied.returncode != DONE and "promotions" in denied.stderr
    asked = json.loads(said("--json", "promotions", "create", "cli", "1", "--alias", "champion", key=key("ada")))
    assert "0 of 1 approvals" in said("promotions", "list", "cli")
    own = suite.cli("promotions", "approve", asked["name"], key=key("ada"))
    assert own.returncode == DENIED
    assert "completed" in said("promotions", "approve", asked["name"], key=key("bob"))
    assert json.loads(said("--json", "models", "summary"))["alias_count"] >= 2
    assert "has no alias" in said("models", "alias", "cli", "baseline", "--remove")


@pytest.mark.parametrize("prefix", ["", "/projects/default"], ids=["root", "project"])
def test_an_unmodified_client_keeps_models_s4_54(cairn, tmp_path, prefix):
    # In a process of its own: the client keeps its tracking address in the process.
    with Suite(cairn, tmp_path / "data") as suite:
        told = subprocess.run([sys.executable, STORY, "--uri", suite.url + prefix, f"--token={suite.key}"],
                              capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
        assert told.returncode == 0, told.stdout + told.stderr
        assert told.stdout.count("as it should be") == 4


def test_a_policy_is_set_and_read_from_the_command_line(suite, root):
    name = model(root, "ruled", 1)
    suite.cli_json("promotions", "policy", "set", "ruled", "--protect-alias", "best", "--protect-stage", "production",
                   "--approvals", "2", "--approver-role", "roles/admin", "--min", "auc=0.8", "--calm-period", "1h")
    set_ = suite.cli_json("promotions", "policy", "get", "ruled")
    assert set_["name"] == f"{name}/promotionPolicies/default"
    terms = set_["terms"]
    assert (terms["protected_aliases"], terms["protected_stages"]) == (["best"], ["STAGE_PRODUCTION"])
    assert (terms["approvals_required"], terms["approver_roles"]) == (2, ["roles/admin"])
    assert (terms["metric_thresholds"], terms["calm_period"]) == ([{"metric": "auc", "min": 0.8}], "3600s")
    refused(root.post(f"{name}:setAlias", json={"alias": "best", "version": 1}), "TARGET_PROTECTED")
    wrong = suite.cli("promotions", "policy", "set", "ruled", "--min", "auc")
    assert wrong.returncode == 2 and "METRIC=VALUE" in wrong.stderr
