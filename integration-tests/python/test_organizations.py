"""Organizations through the HTTP door: who may do what where, in which role, as whose guest, and under which conditions."""

import pytest

from api import Api

RUN = {"display_name": "r"}


def account(admin: Api, id: str, role: str | None = None, resource: str = "*", parent: str | None = None) -> Api:
    """A service account with a role, as whoever has a key of it."""
    path = f"{parent}/serviceAccounts" if parent else "serviceAccounts"
    name = admin.make(path, {"service_account_id": id})["name"]
    if role:
        admin.make("bindings", {"binding": {"principal": name, "role": role, "resource": resource}})
    caller = Api(admin.suite, admin.make(f"{name}/apiKeys", {})["secret"])
    caller.name = name
    return caller


def reason(answer) -> str:
    return answer.json()["error"]["reason"]


@pytest.fixture(scope="module")
def admin(suite) -> Api:
    return Api(suite)


@pytest.fixture(scope="module")
def tenants(admin) -> dict[str, str]:
    """Two organizations, each with a project and a run in it."""
    projects = {}
    for id in ("north", "south"):
        admin.make("organizations", {"organization_id": id, "organization": {"title": id.title()}})
        projects[id] = admin.make(f"organizations/{id}/projects", {"project_id": f"{id}-lab"})["name"]
        admin.make(f"{projects[id]}/experiments/0/runs", RUN)
    return projects


# What each role may do, in an organization in which it is held. In the other nothing is.
ACTS = {
    "see runs": ("GET", "{project}/runs", None),
    "make a run": ("POST", "{project}/experiments/0/runs", RUN),
    "retitle the project": ("PATCH", "{project}?update_mask=title", {"title": "t"}),
    "give a role": ("POST", "{project}:grant", {"principal": "{guest}", "role": "roles/viewer"}),
    "make a project": ("POST", "organizations/{tenant}/projects", {}),
    "make a group": ("POST", "organizations/{tenant}/groups", {}),
    "make a service account": ("POST", "organizations/{tenant}/serviceAccounts", {}),
    "see the organization": ("GET", "organizations/{tenant}", None),
    "tag the project": ("POST", "{project}:classify", {"tags": {"tier": "test"}}),
    "see the guardrails": ("GET", "organizations/{tenant}/guardrails", None),
    "forbid something": ("POST", "organizations/{tenant}/guardrails", {"guardrail_id": "x"}),
    "delete the organization": ("DELETE", "organizations/{tenant}", None),
    "make an organization": ("POST", "organizations", {}),
}
TABLE = {
    "viewer": {"see runs"},
    "editor": {"see runs", "make a run"},
    "manager": {"see runs", "make a run", "retitle the project", "give a role"},
    "auditor": {"see the organization", "see the guardrails"},
    "approver": {"see runs"},
    "operator": {"see runs"},
    "security-admin": {"see the organization", "see the guardrails", "forbid something"},
    "org-admin": set(ACTS) - {"delete the organization", "make an organization"},
    "admin": set(ACTS) - {"make an organization"},
}


@pytest.mark.parametrize("role", TABLE)
def test_each_role_may_in_its_own_organization_what_the_table_says_and_nothing_in_another_s4_132(
    admin, tenants, role
):
    guest = account(admin, f"guest-of-{role}")
    caller = account(admin, f"north-{role}", f"roles/{role}", "organizations/north")
    for tenant, project in tenants.items():
        for act, (verb, path, body) in ACTS.items():
            words = {"tenant": tenant, "project": project, "guest": guest.name}
            body = body and {key: value.format(**words) if isinstance(value, str) else value for key, value in body.items()}
            answer = caller.request(verb, path.format(**words), json=body)
            may = tenant == "north" and act in TABLE[role]
            assert (answer.status_code not in (401, 403)) == may, f"{role} in {tenant}: {act}: {answer.text}"
            assert answer.status_code < 500, answer.text
    seen = [project["name"] for page in caller.pages("projects", "projects") for project in page]
    assert tenants["north"] in seen and tenants["south"] not in seen, "and lists show the one, and not the other"
    refused = caller.get(f"{tenants['south']}/runs")
    assert "runs" not in refused.text.replace("experiments.runs", ""), "nor say what there is"


def test_a_right_comes_with_membership_and_goes_with_it_s4_132(admin, tenants):
    member = account(admin, "member")
    inner = admin.make("organizations/north/groups", {"group_id": "inner", "group": {"display_name": "Inner"}})["name"]
    outer = admin.make("organizations/north/groups", {"group_id": "outer", "group": {"external_id": "4711"}})["name"]
    admin.make(f"{tenants['north']}:grant", {"principal": outer, "role": "roles/editor"})
    admin.make(f"{outer}:addMembers", {"members": [inner]})
    runs = f"{tenants['north']}/experiments/0/runs"
    assert member.post(runs, json=RUN).status_code == 403
    admin.make(f"{inner}:addMembers", {"members": [member.name]})
    assert member.post(runs, json=RUN).status_code == 200, "through the group around the group"
    held = member.get("auth/whoami").json()["grants"]
    assert [(grant["role"], grant["group"]) for grant in held] == [("roles/editor", outer)]
    admin.make(f"{inner}:removeMembers", {"members": [member.name]})
    assert member.post(runs, json=RUN).status_code == 403, "with the answer"
    found = admin.get("organizations/north/groups", params={"external_id": "4711"}).json()["groups"]
    assert [group["name"] for group in found] == [outer]
    assert reason(admin.post(f"{inner}:addMembers", json={"members": [outer]})) == "GROUP_NESTED_TOO_DEEP"


def test_a_right_depends_on_where_the_caller_is_and_on_what_the_project_is_s4_132(admin, tenants):
    caller = account(admin, "conditional")
    runs, project = f"{tenants['south']}/runs", tenants["south"]

    def give(condition):
        return admin.make(f"{project}:grant", {"principal": caller.name, "role": "roles/viewer", "condition": condition})["name"]

    elsewhere = give({"source_networks": ["203.0.113.0/24"]})
    assert caller.get(runs).status_code == 403, "comes from another network"
    here = give({"source_networks": ["127.0.0.0/8", "::1/128"]})
    assert caller.get(runs).status_code == 200
    for name in (elsewhere, here):
        assert admin.delete(name).status_code == 200
    give({"project_tags": {"tier": "test"}})
    assert caller.get(runs).status_code == 403, "the project is not tagged"
    admin.make(f"{project}:classify", {"tags": {"tier": "test"}})
    assert caller.get(runs).status_code == 200
    admin.make(f"{project}:classify", {"tags": {"tier": "prod"}})
    assert caller.get(runs).status_code == 403
    admin.make(f"{project}:grant", {"principal": caller.name, "role": "roles/viewer", "condition": {"start_time": "2999-01-01T00:00:00Z"}})
    assert caller.get(runs).status_code == 403, "not yet"
    bad = admin.post(f"{project}:grant", json={"principal": caller.name, "role": "roles/viewer", "condition": {"source_networks": ["everywhere"]}})
    assert (bad.status_code, reason(bad)) == (400, "VALIDATION_ERROR")


def test_permissions_are_granted_checked_explained_and_revoked_s4_141(admin, tenants):
    caller, project = account(admin, "asked-about"), tenants["north"]
    question = {"principal": caller.name, "permission": "experiments.runs.list", "resource": project}
    refused = caller.get(f"{project}/runs")
    decision = refused.json()["error"]["details"][0]["metadata"]["decision_id"]
    answer = admin.make("permissions:check", question)
    assert (answer.get("allowed", False), answer["denial"]) == (False, "DENIAL_NOT_GRANTED")

    granted = admin.make(f"permissions/{project}:grant", {"principal": caller.name, "role": "roles/viewer", "reason": "asked"})
    answer = admin.make("permissions:check", question)
    assert (answer["allowed"], answer["binding"]) == (True, granted["name"])
    assert caller.get(f"{project}/runs").status_code == 200
    everywhere = admin.make("permissions", {"binding": {"principal": caller.name, "role": "roles/viewer", "resource": "*"}})
    listed = admin.get("permissions", params={"principal": caller.name}).json()["bindings"]
    assert {binding["name"] for binding in listed} == {granted["name"], everywhere["name"]}

    denial = {"principal": caller.name, "effect": "EFFECT_DENY", "permissions": ["experiments.runs.list"]}
    denial = admin.make(f"permissions/{project}:grant", denial)
    answer = admin.make("permissions:check", question)
    assert answer["denial"] == "DENIAL_DENIED"
    assert [grant["binding"] for grant in answer["grants"] if grant.get("denies")] == [denial["name"]]
    assert caller.get(f"{project}/runs").status_code == 403

    explained = admin.get(f"permissions/decisions/{decision}:explain").json()
    assert (explained["principal"], explained["denial"]) == (caller.name, "DENIAL_NOT_GRANTED")
    for name in (denial["name"], granted["name"], everywhere["name"]):
        assert admin.delete(f"permissions/{name}", params={"reason": "done"}).json()["delete_time"]
    assert caller.get(f"{project}/runs").status_code == 403
    assert admin.get("permissions", params={"principal": caller.name}).json().get("bindings", []) == []


def test_users_are_created_read_listed_changed_disabled_and_deleted_s4_140(admin):
    made = admin.make("users", {"user": {"display_name": "Ada", "email": "ada@example.org"}})
    name = made["name"]
    assert (made["state"], admin.get(name).json()) == ("STATE_ACTIVE", made)
    taken = admin.post("users", json={"user": {"email": "ada@example.org"}})
    assert (taken.status_code, reason(taken)) == (409, "EMAIL_TAKEN")
    changed = admin.patch(f"{name}?update_mask=display_name", json={"display_name": "Ada L.", "etag": made["etag"]}).json()
    assert (changed["display_name"], changed["email"]) == ("Ada L.", "ada@example.org")
    stale = admin.patch(name, json={"display_name": "x", "etag": made["etag"]})
    assert reason(stale) == "ETAG_MISMATCH"
    others = {admin.make("users", {"user": {"display_name": f"u{at}"}})["name"] for at in range(3)}
    pages = admin.pages("users", "users", page_size=2)
    assert all(len(page) <= 2 for page in pages) and len(pages) > 1
    assert others | {name} <= {user["name"] for page in pages for user in page}

    admin.make(f"{name}:disable", {"reason": "on leave"})
    assert admin.get(name).json()["state"] == "STATE_DISABLED"
    assert name in {user["name"] for user in admin.get("users", params={"state": "STATE_DISABLED"}).json()["users"]}
    admin.make(f"{name}:enable", {})
    assert admin.delete(name).status_code == 200
    gone = admin.get(name).json()
    assert (gone["state"], gone.get("display_name", ""), gone.get("email", "")) == ("STATE_DELETED", "", "")
    assert name not in {user["name"] for page in admin.pages("users", "users") for user in page}
    assert admin.get("users/u-none").status_code == 404


def test_the_command_line_knows_organizations_groups_roles_and_denials(suite, admin):
    cli = suite.cli_json
    assert cli("orgs", "create", "west", "--title", "West")["name"] == "organizations/west"
    assert cli("projects", "create", "west-lab", "--organization", "west")["organization"] == "organizations/west"
    assert [project["name"] for project in cli("projects", "list", "--organization", "west")] == ["projects/west-lab"]
    account = cli("sa", "create", "west-bot", "--organization", "west")["name"]
    assert [found["name"] for found in cli("sa", "list", "--organization", "west")] == [account]

    role = cli("roles", "create", "west/labeler", "--permission", "experiments.runs.get", "--permission", "experiments.runs.list")
    assert role["name"] == "organizations/west/roles/labeler"
    assert role["name"] in [found["name"] for found in cli("roles", "list", "--organization", "west")]
    group = cli("groups", "--organization", "west", "create", "lab", "--display-name", "Lab")["name"]
    cli("groups", "add", group, account)
    assert cli("groups", "members", group) == [account]
    bound = cli("bindings", "create", "--principal", group, "--role", role["name"], "--resource", "projects/west-lab",
                "--from", "127.0.0.0/8", "--hours", "1-7@00:00-00:00")
    assert bound["condition"]["source_networks"] == ["127.0.0.0/8"]
    asked = ("authz", "check", "experiments.runs.get", "projects/west-lab", "--principal", account)
    assert cli(*asked, "--from", "127.0.0.1")["allowed"] is True
    assert not cli(*asked, "--from", "192.0.2.1").get("allowed")
    denied = cli("bindings", "deny", "--principal", account, "--permission", "experiments.runs.get", "--resource", "projects/west-lab")
    assert cli("bindings", "get", denied["name"])["effect"] == "EFFECT_DENY"
    assert cli(*asked, "--from", "127.0.0.1")["denial"] == "DENIAL_DENIED"
    shown = suite.cli(*asked, "--from", "127.0.0.1").stdout
    assert shown.startswith("refused denied") and "denies" in shown, shown
    cli("bindings", "delete", denied["name"])

    apart = cli("orgs", "separate", "west", "--pair", "editor,manager", "--reason", "four eyes")
    assert apart["separated_duties"] == [{"role": "roles/editor", "other_role": "roles/manager", "reason": "four eyes"}]
    refused = suite.cli("roles", "delete", "west/labeler")
    assert refused.returncode != 0 and "ROLE_IN_USE" in refused.stderr
    cli("bindings", "delete", bound["name"])
    cli("roles", "delete", "west/labeler")
    cli("projects", "classify", "west-lab", "tier=test")
    assert cli("projects", "get", "west-lab")["tags"] == {"tier": "test"}
    refused = suite.cli("orgs", "delete", "west")
    assert refused.returncode != 0 and "ORGANIZATION_NOT_EMPTY" in refused.stderr
    cli("projects", "delete", "west-lab")
    cli("orgs", "delete", "west")
    assert "organizations/west" not in [found["name"] for found in cli("orgs", "list")]
    cli("orgs", "restore", "west")
