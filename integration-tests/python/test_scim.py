"""A directory keeps people and groups through SCIM 2.0: an independent tester, and what the tester does not look at."""

import time

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

import canary
from api import Api
from suite import Suite

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
WORDS = [f"auth.users.{verb}" for verb in ("create", "get", "list", "update", "disable", "enable", "delete")] + [
    f"auth.groups.{verb}" for verb in ("create", "get", "list", "update", "delete")] + [
    f"auth.groupMembers.{verb}" for verb in ("add", "list", "remove")]


def directory(admin: Api, id: str, base: str = "/scim/v2") -> Api:
    """A service account with the words that a directory needs and no others, at a base address."""
    name = admin.make("serviceAccounts", {"service_account_id": id})["name"]
    admin.make("bindings", {"binding": {"principal": name, "role": "roles/admin", "resource": "*"}})
    key = admin.make(f"{name}/apiKeys", {"api_key": {"permissions": WORDS}})["secret"]
    caller = Api(admin.suite, key)
    caller.base = base
    caller.headers["Content-Type"] = "application/scim+json"
    caller.key = key
    return caller


@pytest.fixture(scope="module")
def admin(suite) -> Api:
    return Api(suite)


@pytest.fixture(scope="module")
def scim(admin) -> Api:
    return directory(admin, "directory")


def person(scim: Api, user_name: str, **more) -> dict:
    answer = scim.post(f"{scim.base}/Users", json={"schemas": [USER], "userName": user_name, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def patch(scim: Api, path: str, *operations: dict, **options):
    return scim.patch(f"{scim.base}{path}", json={"schemas": [PATCH], "Operations": list(operations)}, **options)


def refused(answer, status: int, kind: str | None = None) -> None:
    body = answer.json()
    assert answer.status_code == status and body["status"] == str(status), answer.text
    assert body["schemas"] == [ERROR] and body.get("scimType") == kind, answer.text
    assert answer.headers["content-type"] == "application/scim+json"


@pytest.mark.parametrize("base", ["/scim/v2", "/scim/v2/organizations/tested"])
def test_an_independent_tester_has_nothing_to_complain_of_s4_140(admin, base):
    if base.endswith("tested"):
        admin.make("organizations", {"organization_id": "tested"})
    caller = directory(admin, "tester-" + str(len(base)), base)
    with httpx2.Client(base_url=admin.suite.url + base, headers={"Authorization": f"Bearer {caller.key}"}) as http:
        results = check_server(SyncSCIMClient(http))
    found = [f"{result.status.name} {result.title} {result.resource_type}: {result.reason}" for result in results]
    assert not [result for result in results if result.status in (Status.ERROR, Status.CRITICAL)], "\n".join(found)
    assert len([result for result in results if result.status == Status.SUCCESS]) > 60, "\n".join(found)
    assert not [line for line in found if line.startswith("SKIPPED")], "\n".join(found)


def test_who_is_not_active_is_refused_within_a_second_and_logs_in_anew_later_s4_140(admin, scim):
    ada = person(scim, "ada-out@example.org")
    name = f"users/{ada['id']}"
    admin.make("bindings", {"binding": {"principal": name, "role": "roles/viewer", "resource": "*"}})
    key = admin.make(f"{name}/apiKeys", {})["secret"]
    holder = Api(admin.suite, key)
    pair = Api(admin.suite, stranger=True).make("auth/login", {"api_key": key})
    session = Api(admin.suite, pair["access_token"])
    refresh = {"refresh_token": pair["refresh_token"]}
    for caller in (holder, session):
        assert caller.get("projects").status_code == 200
    assert len(admin.get(f"{name}/sessions").json()["sessions"]) == 1

    begin = time.monotonic()
    answer = patch(scim, f"/Users/{ada['id']}", {"op": "replace", "value": {"active": False}})
    assert answer.status_code == 200 and answer.json()["active"] is False, answer.text
    for caller in (holder, session):
        assert caller.get("projects").status_code == 401
    answer = Api(admin.suite, stranger=True).post("auth/refresh", json=refresh)
    assert answer.status_code == 401, answer.text
    assert time.monotonic() - begin < 1
    assert not admin.get(f"{name}/sessions").json().get("sessions")
    assert admin.get(name).json()["state"] == "STATE_DISABLED"

    # Whoever leaves `active` out lets nobody in.
    answer = scim.put(f"{scim.base}/Users/{ada['id']}", json={"schemas": [USER], "userName": "ada-out@example.org"})
    assert answer.json()["active"] is False
    assert patch(scim, f"/Users/{ada['id']}", {"op": "Replace", "path": "active", "value": "True"}).json()["active"]
    assert holder.get("projects").status_code == 200, "keys are held as before"
    assert session.get("projects").status_code == 401, "sessions are not"
    assert Api(admin.suite, stranger=True).post("auth/refresh", json=refresh).status_code == 401


def test_what_a_directory_says_comes_back_and_what_others_change_shows_s4_140(admin, scim):
    said = {"externalId": "00u1", "name": {"familyName": "Hopper", "givenName": "Grace"}, "displayName": "Amazing Grace",
            "emails": [{"value": "Grace@Example.org", "type": "work", "primary": True},
                       {"value": "grace@home.example", "type": "home"}], "active": True}
    made = person(scim, "Grace@Example.org", title="Rear Admiral", **said)
    assert {name: made[name] for name in said} == said and made["userName"] == "Grace@Example.org"
    assert "title" not in made, "what Cairn does not keep is taken and forgotten"
    native = admin.get(f"users/{made['id']}").json()
    assert (native["display_name"], native["email"]) == ("Amazing Grace", "grace@example.org")
    shown = scim.get(made["meta"]["location"])
    assert shown.json() == made and shown.headers["etag"] == made["meta"]["version"]
    assert scim.get(made["meta"]["location"], headers={"If-None-Match": made["meta"]["version"]}).status_code == 304

    assert admin.patch(f"users/{made['id']}", json={"display_name": "Grace", "email": "g@navy.example"}).ok
    after = scim.get(made["meta"]["location"]).json()
    assert after["displayName"] == "Grace" and after["userName"] == "Grace@Example.org"
    assert [email["value"] for email in after["emails"]] == ["g@navy.example", "grace@home.example"]

    stale = {"If-Match": made["meta"]["version"]}
    refused(patch(scim, f"/Users/{made['id']}", {"op": "remove", "path": "name"}, headers=stale), 412)
    fresh = {"If-Match": after["meta"]["version"]}
    answer = patch(scim, f"/Users/{made['id']}", {"op": "remove", "path": "name"}, headers=fresh)
    assert answer.status_code == 200 and "name" not in answer.json()

    # Whom no directory has described is there too, and can be taken over.
    other = admin.make("users", {"user": {"display_name": "Jean", "email": "jean@example.org"}})["name"].split("/")[1]
    found = scim.get(f"{scim.base}/Users", params={"filter": 'userName eq "JEAN@example.org"'}).json()
    assert found["totalResults"] == 1 and found["Resources"][0]["id"] == other
    refused(scim.post(f"{scim.base}/Users", json={"schemas": [USER], "userName": "jean@example.org"}), 409, "uniqueness")
    refused(scim.post(f"{scim.base}/Users", json={"schemas": [USER], "userName": "grace@example.ORG"}), 409, "uniqueness")
    taken = {"schemas": [USER], "userName": "j2", "emails": [{"value": "Jean@example.org"}]}
    refused(scim.post(f"{scim.base}/Users", json=taken), 409, "uniqueness")

    assert scim.delete(f"{scim.base}/Users/{made['id']}").status_code == 204
    for answer in (scim.get(made["meta"]["location"]), scim.delete(made["meta"]["location"])):
        refused(answer, 404)
    assert person(scim, "grace@example.org")["id"] != made["id"]


def test_lists_are_filtered_and_paged_as_the_standard_says_s4_140(scim):
    made = [person(scim, f"page-{at}", name={"familyName": "Pager", "givenName": str(at)}, externalId=f"page-{at}")
            for at in range(5)]
    ids = sorted(user["id"] for user in made)
    find = 'name.familyName eq "pager"'

    def listed(path="/Users", **params):
        answer = scim.get(scim.base + path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    whole = listed(filter=find)
    assert [user["id"] for user in whole["Resources"]] == ids and whole["totalResults"] == 5
    page = listed(filter=find, startIndex=4, count=3)
    assert [user["id"] for user in page["Resources"]] == ids[3:]
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, 4, 2)
    none = listed(filter=find, count=0)
    assert none["Resources"] == [] and none["totalResults"] == 5
    assert listed(filter=find, startIndex=-3, count=1)["startIndex"] == 1
    assert listed(filter=find, count=10_000)["itemsPerPage"] == 5
    walked, start = [], 1
    while rows := listed(startIndex=start, count=7)["Resources"]:
        walked += [user["id"] for user in rows]
        start += len(rows)
    assert walked == sorted(walked) and set(ids) <= set(walked) and len(walked) == listed(count=0)["totalResults"]
    for text, count in {f'{find} and not (userName ew "1" or userName ew "2")': 3, f'{find} and userName gt "page-2"': 2,
                        'externalId eq "page-3"': 1, f'id eq "{ids[0]}" and active eq true': 1,
                        'userName eq "page-1" and active eq false': 0}.items():
        assert listed(filter=text)["totalResults"] == count, text
    shown = listed(filter='userName eq "page-1"', attributes="userName,name.givenName")["Resources"][0]
    assert set(shown) == {"schemas", "id", "userName", "name"} and shown["name"] == {"givenName": "1"}
    search = {"schemas": [SEARCH], "filter": find, "startIndex": 2, "count": 2, "attributes": ["userName"]}
    answer = scim.post(f"{scim.base}/Users/.search", json=search).json()
    assert [user["id"] for user in answer["Resources"]] == ids[1:3] and "name" not in answer["Resources"][0]

    for text in ("userName", 'userName eq "a', "shoeSize eq 40", 'name eq "a"', "(" * 40 + "active eq true" + ")" * 40,
                 'userName eq "' + "a" * 5000 + '"'):
        refused(scim.get(f"{scim.base}/Users", params={"filter": text}), 400, "invalidFilter")
    refused(scim.get(f"{scim.base}/Users", params={"count": "many"}), 400, "invalidValue")


def test_groups_hold_people_and_give_what_they_hold_s4_140(admin, suite):
    admin.make("organizations", {"organization_id": "scim-groups"})
    scim = directory(admin, "group-directory", "/scim/v2/organizations/scim-groups")
    ada, bea = (person(scim, f"group-{name}") for name in ("ada", "bea"))
    made = scim.post(f"{scim.base}/Groups", json={"schemas": [GROUP], "displayName": "Fraud", "externalId": "g-7",
                                                  "members": [{"value": ada["id"]}]})
    assert made.status_code == 201, made.text
    group = made.json()
    assert group["members"] == [{"value": ada["id"], "$ref": ada["meta"]["location"], "type": "User"}]
    name = f"organizations/scim-groups/groups/{group['id']}"
    assert admin.get(name).json()["display_name"] == "Fraud"
    admin.make("serviceAccounts", {"service_account_id": "in-a-group"})
    assert admin.post(f"{name}:addMembers", json={"members": ["serviceAccounts/in-a-group"]}).ok

    both = patch(scim, f"/Groups/{group['id']}", {"op": "Add", "path": "members", "value": [{"value": bea["id"]}]}).json()
    assert {member["value"] for member in both["members"]} == {ada["id"], bea["id"]}, "and no service accounts"
    found = scim.get(f"{scim.base}/Groups", params={"filter": f'members eq "{bea["id"]}"', "excludedAttributes": "members"})
    assert [shown["id"] for shown in found.json()["Resources"]] == [group["id"]]
    assert "members" not in found.json()["Resources"][0]
    left = patch(scim, f"/Groups/{group['id']}", {"op": "remove", "path": f'members[value eq "{ada["id"]}"]'}).json()
    assert [member["value"] for member in left["members"]] == [bea["id"]]
    put = scim.put(f"{scim.base}/Groups/{group['id']}", json={"schemas": [GROUP], "displayName": "Fraud 2"}).json()
    assert put["displayName"] == "Fraud 2" and "members" not in put and "externalId" not in put
    assert admin.get(f"{name}/members").json()["members"] == ["serviceAccounts/in-a-group"], "it stays"

    # A group that holds something takes nobody in for a directory that does not hold it.
    admin.make("bindings", {"binding": {"principal": name, "role": "roles/editor", "resource": "*"}})
    answer = patch(scim, f"/Groups/{group['id']}", {"op": "add", "path": "members", "value": [{"value": ada["id"]}]})
    refused(answer, 403)
    assert "GRANT_TOO_WIDE" in answer.json()["detail"]
    count = scim.get(f"{scim.base}/Groups").json()["totalResults"]
    refused(scim.post(f"{scim.base}/Groups", json={"schemas": [GROUP], "displayName": "x", "members": [{"value": "u-no"}]}), 400)
    assert scim.get(f"{scim.base}/Groups").json()["totalResults"] == count, "half of a group is none"
    assert scim.delete(f"{scim.base}/Groups/{group['id']}").status_code == 204
    refused(scim.get(f"{scim.base}/Groups/{group['id']}"), 404)


def test_what_does_not_fit_is_refused_in_the_words_of_the_standard_s4_140(admin, scim):
    ada = person(scim, "fit-ada")
    path = f"/Users/{ada['id']}"
    refused(scim.post(f"{scim.base}/Users", data="{"), 400, "invalidSyntax")
    refused(scim.post(f"{scim.base}/Users", json={"userName": "a"}), 400, "invalidSyntax")
    refused(scim.post(f"{scim.base}/Users", json={"schemas": [USER]}), 400, "invalidValue")
    refused(scim.post(f"{scim.base}/Users", json={"schemas": [USER], "userName": "a" * 1000}), 400, "invalidValue")
    refused(scim.post(f"{scim.base}/Users", data=b" " * (2 << 20)), 413)
    refused(scim.post(f"{scim.base}/Users", data="a=b", headers={"Content-Type": "text/plain"}), 415)
    refused(patch(scim, path, {"op": "add", "path": "shoeSize", "value": 40}), 400, "invalidPath")
    refused(patch(scim, path, {"op": "replace", "path": 'emails[type eq "fax"].value', "value": "a@b.c"}), 400, "noTarget")
    refused(patch(scim, path, {"op": "replace", "path": "id", "value": "u-1"}), 400, "mutability")
    refused(patch(scim, path, {"op": "remove", "path": "userName"}), 400, "mutability")
    refused(patch(scim, path, *[{"op": "add", "path": "displayName", "value": "a"}] * 1001), 400, "invalidSyntax")
    refused(scim.get(f"{scim.base}/Shoes"), 404)
    search = {"schemas": [SEARCH], "filter": 'displayName pr'}
    both = scim.post(f"{scim.base}/.search", json=search).json()["Resources"]
    assert {shown["meta"]["resourceType"] for shown in both} <= {"User", "Group"} and both
    for end in ("/.search", "/Users", "/Groups"):
        refused(scim.post(f"/scim/v2/organizations/%20{end}", json=search), 400)
    refused(scim.post(f"{scim.base}/Schemas", json={}), 405)

    stranger = Api(admin.suite, stranger=True)
    refused(stranger.get(f"{scim.base}/Users"), 401)
    assert stranger.get(f"{scim.base}/ServiceProviderConfig").status_code == 200
    # Whoever sees themselves does not keep the directory.
    own = Api(admin.suite, admin.make(f"users/{ada['id']}/apiKeys", {})["secret"])
    assert own.get(scim.base + path).status_code == 200
    refused(own.put(scim.base + path, json={"schemas": [USER], "userName": "root"}), 403)
    refused(own.post(f"{scim.base}/Users", json={"schemas": [USER], "userName": "b"}), 403)
    refused(own.get(f"{scim.base}/Users"), 403)


def test_the_last_administrator_cannot_be_shut_out_s4_140(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        admin = Api(suite)
        root = admin.get("bindings").json()["bindings"][0]["principal"]
        assert root.startswith("users/"), root
        base = f"/scim/v2/Users/{root.split('/')[1]}"
        body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
        for answer in (admin.patch(base, json=body), admin.delete(base)):
            refused(answer, 400)
            assert "LAST_ADMINISTRATOR" in answer.json()["detail"]
        assert admin.get(base).json()["active"] is True


def test_of_whom_a_directory_removed_nothing_is_left_s4_140(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data", env={"RUST_LOG": "debug"}) as suite:
        scim = directory(Api(suite), "directory")
        made = person(scim, "xanthippe.kanarienvogel@canary-birds.example", externalId="Bartholomew-Neverforgotten",
                      name={"familyName": "Wilhelmina-Canary", "givenName": "Ottokar-Canary"},
                      emails=[{"value": "second-canary@canary-birds.example"}])
        scim.get(f"{scim.base}/Users", params={"filter": 'externalId eq "Bartholomew-Neverforgotten"'})
        refused(scim.get(f"{scim.base}/Users", params={"filter": 'userName eq "xanthippe.kanarienvogel" and'}), 400,
                "invalidFilter")
        assert patch(scim, f"/Users/{made['id']}", {"op": "replace", "path": "name.givenName", "value": "Zephyrine"}).ok
        words = ["xanthippe.kanarienvogel", "Bartholomew-Neverforgotten", "Wilhelmina-Canary", "Ottokar-Canary",
                 "second-canary", "Zephyrine"]
        kept = canary.traces(suite.data, *words)
        assert kept and all("auth-people.sqlite" in trace for trace in kept), kept
        assert scim.delete(f"{scim.base}/Users/{made['id']}").status_code == 204
        assert canary.traces(suite.data, *words) == []
        log = suite.log.read_bytes()
        assert not canary.sightings(log, *words)
