"""Guardrails through the HTTP door: what an organization forbids whatever roles give, why, and that it is decided again."""

import json

import pytest

from api import Api
from suite import Suite

DONE, REFUTED, DENIED = 0, 1, 5
MLFLOW = "/projects/lab/api/2.0/mlflow"
PRODUCTION = {"moves": [{"version": 1, "stage": "STAGE_PRODUCTION"}]}


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: its organization forbids things."""
    with Suite(cairn, tmp_path_factory.mktemp("guardrails") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    api = Api(suite)
    api.make("organizations", {"organization_id": "acme"})
    api.make("organizations/acme/projects", {"project_id": "lab"})
    return api


def person(root: Api, name: str, role: str, resource: str) -> Api:
    """Somebody with a role, and a key."""
    user = root.make("users", {"user": {"display_name": name, "email": f"{name}@example.org"}})["name"]
    root.make("bindings", {"binding": {"principal": user, "role": role, "resource": resource}})
    caller = Api(root.suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"])
    caller.name, caller.key = user, caller.headers["Authorization"].removeprefix("Bearer ")
    return caller


@pytest.fixture(scope="module")
def people(root) -> dict[str, Api]:
    return {"ada": person(root, "ada", "roles/manager", "projects/lab"),
            "bob": person(root, "bob", "roles/manager", "projects/lab"),
            "amy": person(root, "amy", "roles/approver", "projects/lab"),
            "sec": person(root, "sec", "roles/security-admin", "organizations/acme"),
            "aud": person(root, "aud", "roles/auditor", "organizations/acme")}


@pytest.fixture
def forbid(suite, people):
    """Switches guardrails on by name, and off again after the test."""
    made = []

    def switch_on(id: str, template: str, **parameters: str) -> str:
        given = [f"--set={key}={value}" for key, value in parameters.items()]
        guardrail = suite.cli_json("guardrails", "--organization", "acme", "create", id, "--template", template, *given,
                                   key=people["sec"].key)
        made.append(guardrail["name"])
        return guardrail["name"]

    yield switch_on
    for name in made:
        assert suite.cli("guardrails", "delete", name, key=people["sec"].key).returncode == DONE


def model(api: Api, name: str) -> str:
    made = api.make("projects/lab/models", {"registered_model_id": name})["name"]
    api.make(f"{made}/versions", {"model_version": {}})
    return made


def forbidden(answer, guardrail: str) -> str:
    """The decision that a guardrail forbade something by."""
    assert answer.status_code == 403, answer.text
    error = answer.json()
    error = error.get("error", error)
    assert error["reason"] == "GUARDRAIL_FORBIDS", answer.text
    told = error["context"]
    assert told["guardrail"] == guardrail, answer.text
    return told["decision_id"]


def decided_again(suite, decision: str, allowed: bool, guardrail: str = "") -> None:
    """The log leads to the same decision, and names what forbade it."""
    told = suite.cli_json("authz", "replay", decision)
    assert told["agrees"], told
    assert told["replayed"].get("allowed", False) == allowed and told["replayed"].get("guardrail", "") == guardrail, told
    explained = suite.cli_json("authz", "explain", decision)
    assert explained.get("guardrail", "") == guardrail and explained.get("allowed", False) == allowed, explained


def test_production_takes_two_approvals_through_every_door_s4_132(suite, people, forbid):
    ada, bob, amy = people["ada"], people["bob"], people["amy"]
    name = model(ada, "twice")
    guardrail = forbid("two", "approvals")
    by_hand = ada.post(f"{name}/versions/1:transition", json={"stage": "STAGE_PRODUCTION"})
    decided_again(suite, forbidden(by_hand, guardrail), False, guardrail)
    dialect = ada.post(f"{suite.url}{MLFLOW}/model-versions/transition-stage",
                       json={"name": "twice", "version": "1", "stage": "Production"})
    assert dialect.status_code == 403 and guardrail in dialect.text, dialect.text
    forbidden(ada.post(f"{name}/promotions", json=PRODUCTION), guardrail)
    assert ada.post(f"{name}/versions/1:transition", json={"stage": "STAGE_STAGING"}).status_code == 200, "nothing else"

    terms = {"protected_stages": ["STAGE_PRODUCTION"], "approvals_required": 2}
    assert bob.patch("projects/lab/promotionPolicies/default", json={"terms": terms}).status_code == 200
    asked = ada.make(f"{name}/promotions", PRODUCTION)
    amy.make(f"{asked['name']}:approve", {})
    assert bob.make(f"{asked['name']}:approve", {})["state"] == "PROMOTION_STATE_COMPLETED"


def test_nobody_approves_a_version_that_they_registered_s4_132(suite, people, forbid):
    ada, bob, amy = people["ada"], people["bob"], people["amy"]
    name = model(bob, "own")
    asked = ada.make(f"{name}/promotions", {"moves": [{"version": 1, "alias": "champion"}]})
    guardrail = forbid("own-work", "approver-not-author")
    decision = forbidden(bob.post(f"{asked['name']}:approve", json={}), guardrail)
    decided_again(suite, decision, False, guardrail)
    said = suite.cli("authz", "explain", decision).stdout
    assert guardrail in said
    amy.make(f"{asked['name']}:approve", {})
    # What was allowed is decided again with what was known then: that she is no author of it.
    audit = suite.cli_json("audit", "list", "--principal", amy.name, "--limit", "100")
    [approved] = [record for record in audit if record["type"].endswith("PromotionApproved") and "/own" in record["resource"]]
    decided_again(suite, approved["decision_id"], True)


def test_a_freeze_forbids_until_it_is_lifted_and_cannot_lock_anybody_out_s4_132(suite, people, forbid):
    ada = people["ada"]
    name = model(ada, "frozen")
    guardrail = forbid("freeze", "freeze-window", **{"from": "2020-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z",
                                                     "permissions": "guarded"})
    decided_again(suite, forbidden(ada.delete(name), guardrail), False, guardrail)
    binding = {"principal": people["amy"].name, "role": "roles/viewer", "resource": "projects/lab"}
    root = Api(suite)
    forbidden(root.post("bindings", json={"binding": binding}), guardrail)
    assert ada.post(f"{name}/versions", json={"model_version": {}}).status_code == 200, "ordinary work goes on"
    changed = suite.cli("guardrails", "update", guardrail, "--template", "freeze-window", "--set",
                        "from=2020-01-01T00:00:00Z", "--set", "until=2020-01-02T00:00:00Z", key=people["sec"].key)
    assert changed.returncode == DONE, changed.stderr
    assert ada.delete(name).status_code == 200


def test_what_is_not_known_forbids_s4_132(suite, people, forbid):
    ada = people["ada"]
    name = model(ada, "unknown")
    fresh = forbid("fresh", "fresh-login", permissions="registry.models.delete")
    decision = forbidden(ada.delete(name), fresh)
    assert "login_age" in suite.cli_json("authz", "explain", decision)["guardrail_fault"]
    decided_again(suite, decision, False, fresh)


def test_networks_are_tried_out_before_they_are_enforced_s4_132(suite, people, forbid):
    ada = people["ada"]
    name = model(ada, "near")
    assert ada.delete(f"{model(ada, 'gone')}").status_code == 200
    elsewhere = "acme=source-network,networks=203.0.113.0/24,permissions=registry.models.delete"
    told = suite.cli_json("authz", "preview", "--guard", elsewhere, "--resource", "projects/lab")
    assert {flip["permission"] for flip in told["flips"]} == {"registry.models.delete"}, told
    assert ada.get(name).status_code == 200
    guardrail = forbid("inside", "source-network", networks="203.0.113.0/24", permissions="registry.models.delete")
    forbidden(ada.delete(name), guardrail)
    question = {"principal": ada.name, "permission": "registry.models.delete", "resource": name}
    for address, allowed in (("203.0.113.9", True), ("192.0.2.1", False), ("", False)):
        answer = Api(suite).make("permissions:check", {**question, "source_address": address})
        assert answer.get("allowed", False) == allowed, answer
        assert answer.get("guardrail", "") == ("" if allowed else guardrail)


def test_a_policy_of_ones_own_is_validated_and_kept_s4_132(suite, people, tmp_path):
    sec, ada, aud = people["sec"], people["ada"], people["aud"]
    file = tmp_path / "policy.cedar"
    on = ("guardrails", "--organization", "acme")
    for text, problem in (("permit (principal, action, resource);", "permits"),
                          ("forbid (principal, action, resource) when { context.moon };", "moon"),
                          ("forbid (principal, action, resource) when { context has source };", "`has`")):
        file.write_text(text)
        told = suite.cli(*on, "validate", "--policy", str(file), key=sec.key)
        assert told.returncode == REFUTED and problem in told.stdout, told.stdout + told.stderr
        assert "GUARDRAIL_INVALID" in suite.cli(*on, "create", "odd", "--policy", str(file), key=sec.key).stderr
    assert 'action "registry.promotions.approve"' in suite.cli(*on, "schema", key=sec.key).stdout
    file.write_text(f'forbid (principal == User::"{ada.name}", action, resource) when {{ resource.name like "*/models/kept" }};')
    assert suite.cli(*on, "validate", "--policy", str(file), key=sec.key).returncode == DONE
    assert suite.cli(*on, "create", "mine", "--policy", str(file), key=ada.key).returncode == DENIED
    made = suite.cli_json(*on, "create", "mine", "--policy", str(file), "--description", "kept", key=sec.key)
    kept = model(ada, "kept")
    forbidden(ada.delete(kept), made["name"])
    assert [one["name"] for one in suite.cli_json(*on, "list", key=aud.key)] == [made["name"]]
    assert aud.get(made["name"]).json()["policy"] == file.read_text()
    assert aud.get(f"{kept}/versions").status_code == 403, "who watches sees no data"
    assert sec.get(kept).status_code == 403
    suite.cli_json(*on, "delete", "mine", key=sec.key)
    assert ada.delete(kept).status_code == 200
    before = aud.get(made["name"], params={"as_of": made["create_time"]})
    assert before.status_code == 200 and "delete_time" not in before.json()


def test_each_role_of_one_duty_is_listed_with_what_it_permits_s4_132(suite):
    roles = {role["name"]: role["permissions"] for role in suite.cli_json("roles", "list")}
    assert "registry.promotions.approve" in roles["roles/approver"]
    assert "ledger.audit.read" in roles["roles/auditor"] and "config.secrets.access" not in roles["roles/auditor"]
    assert "registry.hooks.administer" in roles["roles/operator"]
    assert "auth.guardrails.create" in roles["roles/security-admin"]
    assert not [word for word in roles["roles/security-admin"] if word.startswith("experiments.")]
    assert json.dumps(list(roles)).index("roles/admin") > 0 and list(roles)[-1] == "roles/admin"
