"""People log in by a genuine provider of OpenID Connect, in a browser and from the command line; and out again."""

import json
import os
import re
import stat
import subprocess
import time

import pytest
import requests

from api import Api, eventually
from lemonldap import LemonLdap, Visitor
from oidc_provider import Browser, Provider, query
from suite import Suite

ACCOUNTS = {
    "ada": {"name": "Ada L.", "email": "ada@example.org", "email_verified": True, "groups": ["ds", "unheard"]},
    "bob": {"name": "Bob", "email": "bob@example.org", "email_verified": True, "groups": []},
    "eve": {"name": "Eve", "email": "ada@example.org", "email_verified": True, "groups": []},
    "lost": {"name": "Lost"},
    "large": {"name": "Large", "groups": ["ds"], "hasgroups": True},
}
ROLES = [{"group": "ds", "role": "roles/editor", "resource": "projects/default"},
         {"group": "leads", "role": "roles/manager", "resource": "projects/default"}]
OWN_PAGE = {"x-cairn-csrf": "1"}


class House:
    """A suite and a provider that know each other."""

    def __init__(self, suite: Suite, provider: Provider, client: dict):
        self.suite, self.provider, self.client = suite, provider, client
        self.admin = Api(suite)

    def login(self, person: str, provider: str = "corp") -> tuple[Browser, requests.Response]:
        browser = Browser(person)
        return browser, browser.go(f"{self.suite.url}/oauth2/login?identity_provider={provider}&return_to=/api/v1/auth/whoami")

    def whoami(self, person: str) -> str:
        browser, answer = self.login(person)
        assert answer.status_code == 200, answer.text
        return answer.json()["principal"]

    def roles(self, user: str) -> set[tuple[str, str]]:
        found = self.admin.get("bindings", params={"principal": user}).json().get("bindings", [])
        return {(one["role"], one["reason"]) for one in found}

    def said(self) -> list[str]:
        """Why logins were refused, as the log has it."""
        lines = [json.loads(line) for line in self.suite.log.read_text().splitlines() if "login refused" in line]
        return [line["reason"] for line in lines]


@pytest.fixture(scope="module")
def house(cairn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("login")
    env = {"CAIRN__LOGIN__ALLOWED_PRIVATE": "127.0.0.1", "CAIRN__LOGIN__PROVIDER_KEYS_AGAIN_MS": "500"}
    with Suite(cairn, folder / "data", env) as suite, Provider(folder, ACCOUNTS) as provider:
        client = provider.client(f"{suite.url}/oauth2/callback/corp", backchannel_logout_session_required=True,
                                 backchannel_logout_uri=f"{suite.url}/oauth2/backchannel_logout/corp")
        provider.start()
        house = House(suite, provider, client)
        house.admin.make("identityProviders", {"identity_provider_id": "corp", "identity_provider": {
            "title": "Corp", "issuer": provider.issuer, "client_id": client["client_id"],
            "client_secret": client["client_secret"], "scopes": ["profile", "email", "groups"], "groups_claim": "groups",
            "group_roles": ROLES, "creates_users": True}})
        yield house


def test_somebody_whom_nobody_added_logs_in_by_code_and_pkce_and_gets_what_their_groups_give_s4_133(house):
    browser, answer = house.login("ada")
    assert answer.status_code == 200, answer.text
    who = answer.json()
    assert who["principal"].startswith("users/u-")
    asked = query(next(url for url in browser.seen if "/auth?" in url and url.startswith(house.provider.issuer)))
    assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43 and len(asked["state"]) == 43 and len(asked["nonce"]) == 43
    user = house.admin.get(who["principal"]).json()
    assert (user["display_name"], user["email"]) == ("Ada L.", "ada@example.org")
    assert house.roles(who["principal"]) == {("roles/editor", "by a group of identityProviders/corp")}
    # The same person is the same user, whatever becomes of their name; and a mail address makes nobody somebody else.
    assert house.whoami("ada") == who["principal"]
    eve = house.whoami("eve")
    assert eve != who["principal"] and "email" not in {k for k, v in house.admin.get(eve).json().items() if v}
    assert house.whoami("bob") not in {eve, who["principal"]}


def test_roles_by_groups_are_worked_out_at_each_login_and_those_given_by_hand_stay(house):
    user = house.whoami("ada")
    house.admin.make("bindings", {"binding": {"principal": user, "role": "roles/viewer", "resource": "*", "reason": "by hand"}})
    house.provider.stop()
    house.provider.accounts["ada"]["groups"] = ["leads"]
    house.provider.start()
    # With other keys now, which are read again because a token names one that is not known.
    time.sleep(0.6)
    assert house.whoami("ada") == user
    assert house.roles(user) == {("roles/manager", "by a group of identityProviders/corp"), ("roles/viewer", "by hand")}
    house.provider.stop()
    house.provider.accounts["ada"]["groups"] = ["ds"]
    house.provider.start()
    time.sleep(0.6)
    house.whoami("ada")
    assert house.roles(user) == {("roles/editor", "by a group of identityProviders/corp"), ("roles/viewer", "by hand")}


def test_groups_that_are_missing_or_not_all_there_let_nobody_in(house):
    for person, word in [("lost", "groups_missing")]:
        _, answer = house.login(person)
        assert answer.status_code == 403 and "LOGIN_GROUPS_MISSING" in answer.text, answer.text
        assert house.said()[-1] == word


def test_a_login_that_is_not_the_browsers_own_comes_to_nothing_and_looks_alike_s0_91(house):
    callback = f"{house.suite.url}/oauth2/callback/corp"
    login = f"{house.suite.url}/oauth2/login?identity_provider=corp&return_to=/api/v1/auth/whoami"

    def returned() -> tuple[Browser, str]:
        """A browser that its provider sends back, and where to."""
        browser = Browser("bob")
        return browser, browser.go(login, until=callback).target

    def outcome(browser, url: str) -> requests.Response:
        return browser.get(url, allow_redirects=False, timeout=30)

    tries = []
    browser, back = returned()
    tries.append(("another browser", requests.Session(), back, "not_begun"))
    tries.append(("another state", browser, re.sub(r"state=[^&]+", "state=other", back), "state"))
    tries.append(("a forged code", browser, re.sub(r"code=[^&]+", "code=forged", back), "code"))
    tries.append(("another issuer", browser, re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Fevil.example", back), "answering_issuer"))
    tries.append(("no issuer", browser, re.sub(r"&iss=[^&]+", "", back), "no_answering_issuer"))
    tries.append(("another provider's address", browser, back.replace("/corp?", "/other?"), "other_provider"))
    tries.append(("no code", browser, re.sub(r"code=[^&]+&", "", back), "no_code"))
    tries.append(("refused there", browser, re.sub(r"code=[^&]+", "error=access_denied", back), "refused_by_provider"))
    seen = set()
    for what, who, url, word in tries:
        answer = outcome(who, url)
        assert (answer.status_code, house.said()[-1]) == (401, word), (what, answer.text)
        assert "set-cookie" not in answer.headers, what
        seen.add(re.sub(r"[0-9a-f-]{36}", "", answer.text))
    assert len(seen) == 1, "from outside they look alike"
    # The code is used once: what came first counts.
    browser, back = returned()
    before = {cookie.name: cookie.value for cookie in browser.cookies}
    assert outcome(browser, back).status_code == 303
    browser.cookies.update(before)
    assert outcome(browser, back).status_code == 401 and house.said()[-1] == "code", "a code that was used"


def test_a_browser_holds_its_session_by_a_cookie_that_changes_nothing_from_elsewhere(house):
    browser, answer = house.login("bob")
    user = answer.json()["principal"]
    session = next(cookie for cookie in browser.cookies if cookie.name == "cairn")
    assert session.has_nonstandard_attr("HttpOnly") and session.get_nonstandard_attr("SameSite") == "Lax"
    assert session.path == "/" and not session.domain_specified
    api = f"{house.suite.url}/api/v1"
    change = {"display_name": "Bobby"}

    def patch(headers):
        # On a connection of its own: what is refused before its body is read ends the connection.
        held = {"cookie": f"cairn={session.value}", **headers}
        return requests.patch(f"{api}/{user}?update_mask=display_name", json=change, headers=held, timeout=30)

    origin = {"origin": house.suite.url}
    for headers in [{}, OWN_PAGE, origin, {**OWN_PAGE, "origin": "https://evil.example"}, {**OWN_PAGE, "origin": "null"}]:
        answer = patch(headers)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "CROSS_SITE_REFUSED"), headers
    assert patch({**OWN_PAGE, **origin}).json()["display_name"] == "Bobby"
    # Whoever plants a cookie beside gains nothing, and neither does who guesses one.
    seen = lambda cookie: requests.get(f"{api}/{user}", headers={"cookie": cookie}, timeout=30).status_code  # noqa: E731
    assert seen(f"cairn={session.value}") == 200
    other = "A" if session.value[-2] != "A" else "B"
    for cookie in (f"cairn={session.value[:-2]}{other}{session.value[-1]}", f"cairn={session.value}; cairn=x", "cairn=x", "cairn=ses-a.b"):
        assert seen(cookie) == 401, cookie
    # Each login makes a session of its own: nobody is logged in to one that they were handed.
    again, _ = house.login("bob")
    assert next(cookie.value for cookie in again.cookies if cookie.name == "cairn") != session.value
    # Out: from a page of ours only, and then for good.
    assert browser.post(f"{house.suite.url}/oauth2/logout", timeout=30).status_code == 403
    out = browser.post(f"{house.suite.url}/oauth2/logout", headers={**OWN_PAGE, **origin}, timeout=30)
    assert out.json()["end_session_endpoint"].startswith(house.provider.issuer)
    assert seen(f"cairn={session.value}") == 401
    assert again.get(f"{api}/{user}", timeout=30).status_code == 200, "another session is another's"


def test_who_logs_out_at_the_provider_is_out_here_too(house):
    browser, answer = house.login("bob")
    assert answer.status_code == 200
    own = f"{house.suite.url}/api/v1/{answer.json()['principal']}"
    assert browser.get(own, timeout=30).status_code == 200
    page = browser.get(f"{house.provider.issuer}/session/end", timeout=30)
    xsrf = re.search(r'name="xsrf" value="(\w+)"', page.text)[1]
    browser.post(f"{house.provider.issuer}/session/end/confirm", data={"xsrf": xsrf, "logout": "yes"}, timeout=30)
    eventually(lambda: browser.get(own, timeout=30).status_code == 401)
    forged = requests.post(f"{house.suite.url}/oauth2/backchannel_logout/corp", data={"logout_token": "a.b.c"}, timeout=30)
    assert (forged.status_code, forged.json()["error"]) == (400, "invalid_request")


def test_who_is_disabled_or_not_expected_stays_outside(house):
    user = house.whoami("bob")
    house.admin.make(f"{user}:disable", {"reason": "left"})
    _, answer = house.login("bob")
    assert answer.status_code == 403 and "LOGIN_NOT_ADMITTED" in answer.text
    house.admin.make(f"{user}:enable", {})
    assert house.whoami("bob") == user
    # Nobody new comes in by a provider that adds nobody; and none at all by one that is switched off.
    name = "identityProviders/corp"
    off = {"params": {"update_mask": "creates_users"}, "json": {"creates_users": False}}
    assert house.admin.patch(name, **off).status_code == 200
    house.provider.accounts["new"] = {"name": "New", "groups": []}
    house.provider.stop()
    house.provider.start()
    time.sleep(0.6)
    _, answer = house.login("new")
    assert answer.status_code == 403 and "LOGIN_NOT_ADMITTED" in answer.text and house.said()[-1] == "not_admitted"
    on = {"params": {"update_mask": "creates_users"}, "json": {"creates_users": True}}
    assert house.admin.patch(name, **on).status_code == 200
    assert house.admin.patch(name, params={"update_mask": "disabled"}, json={"disabled": True}).status_code == 200
    answer = requests.get(f"{house.suite.url}/oauth2/login?identity_provider=corp", timeout=30)
    assert answer.status_code == 503 and "IDENTITY_PROVIDER_UNAVAILABLE" in answer.text
    assert house.admin.patch(name, params={"update_mask": "disabled"}, json={"disabled": False}).status_code == 200


def test_a_providers_secret_is_in_no_answer_and_in_no_file_but_sealed(house):
    secret = house.client["client_secret"]
    shown = house.admin.get("identityProviders/corp")
    assert "client_secret" not in {key for key, value in shown.json().items() if value}
    assert shown.json()["redirect_uri"] == f"{house.suite.url}/oauth2/callback/corp"
    assert secret not in shown.text + house.admin.get("identityProviders").text
    holding = [path.name for path in house.suite.data.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert holding == [] and secret not in house.suite.log.read_text()
    mode = stat.S_IMODE((house.suite.folder("auth") / "auth-secrets.json").stat().st_mode)
    assert mode == 0o600
    # It is not sent to somebody else, either.
    moved = house.admin.patch("identityProviders/corp", json={"issuer": "https://evil.example"})
    assert moved.status_code == 400 and "client_secret" in moved.json()["error"]["message"]


def test_an_identity_provider_is_checked_before_anybody_relies_on_it(house):
    assert house.admin.make("identityProviders/corp:check", {})["usable_keys"] == 2
    for id, issuer, problem in [("plain", "http://id.example.org", "https"), ("slash", f"{house.provider.issuer}?a=b", "query")]:
        wrong = {"identity_provider_id": id, "identity_provider": {"issuer": issuer, "client_id": "a", "client_secret": "b"}}
        answer = house.admin.post("identityProviders", json=wrong)
        assert answer.status_code == 400 and problem in answer.text, answer.text
    other = {"issuer": f"{house.provider.issuer}/", "client_id": "a", "client_secret": "b"}
    house.admin.make("identityProviders", {"identity_provider_id": "other", "identity_provider": other})
    problems = house.admin.make("identityProviders/other:check", {})["problems"]
    assert any("calls itself" in problem for problem in problems), problems
    metadata = {"issuer": "https://169.254.169.254", "client_id": "a", "client_secret": "b"}
    house.admin.make("identityProviders", {"identity_provider_id": "metadata", "identity_provider": metadata})
    assert "private" in str(house.admin.make("identityProviders/metadata:check", {})["problems"])
    # With more than one, people choose.
    page = requests.get(f"{house.suite.url}/oauth2/login", timeout=30)
    assert page.text.count("identity_provider=") == 3 and "Corp" in page.text
    for id in ("other", "metadata"):
        assert house.admin.delete(f"identityProviders/{id}").status_code == 200


def test_nobody_gives_by_a_group_what_they_could_not_give_by_hand(house):
    house.admin.make("serviceAccounts", {"service_account_id": "giver"})
    key = house.admin.make("serviceAccounts/giver/apiKeys", {})["secret"]
    for role in ("roles/manager",):
        house.admin.make("bindings", {"binding": {"principal": "serviceAccounts/giver", "role": role, "resource": "*"}})
    giver = Api(house.suite, key)
    wide = {"group_roles": [{"group": "ds", "role": "roles/admin", "resource": "*"}]}
    assert giver.patch("identityProviders/corp", json=wide).status_code == 403


def test_people_of_debians_lemonldap_log_in_by_code_and_pkce_s4_133(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data", {"CAIRN__LOGIN__ALLOWED_PRIVATE": "127.0.0.1"}) as suite, \
            LemonLdap(tmp_path, f"{suite.url}/oauth2/callback/lemon") as portal:
        issuer = requests.get(f"{portal.issuer}.well-known/openid-configuration", timeout=30).json()["issuer"]
        admin = Api(suite)
        admin.make("identityProviders", {"identity_provider_id": "lemon", "identity_provider": {
            "issuer": issuer, **portal.client, "groups_claim": "groups", "creates_users": True,
            "scopes": ["profile", "email", "groups"],
            "group_roles": [{"group": "timelords", "role": "roles/manager", "resource": "projects/default"}]}})
        whoami = f"{suite.url}/oauth2/login?return_to=/api/v1/auth/whoami"
        doctor = Visitor("dwho").go(whoami).json()
        assert {(grant["role"], grant["resource"]) for grant in doctor["grants"]} == {("roles/manager", "projects/default")}
        known = admin.get(doctor["principal"]).json()
        assert (known["display_name"], known["email"]) == ("Doctor Who", "dwho@badwolf.org")
        rose = Visitor("rtyler").go(whoami).json()
        assert rose["principal"] != doctor["principal"] and not rose.get("grants"), "in another group"
        assert Visitor("dwho").go(whoami).json()["principal"] == doctor["principal"]


class Cli:
    """A command line without a key, with a configuration folder of its own."""

    def __init__(self, suite: Suite, folder):
        self.cairn, self.folder = suite.cairn, folder
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("CAIRN")}
        self.env |= {"CAIRN_URL": suite.url, "XDG_CONFIG_HOME": str(folder), "BROWSER": "/nonexistent"}

    def run(self, *args: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.cairn, *args], env=self.env, capture_output=True, text=True, timeout=120)

    def begin(self, *args: str) -> subprocess.Popen:
        return subprocess.Popen([self.cairn, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def held(self) -> dict:
        return json.loads((self.folder / "cairn" / "credentials.json").read_text())


def printed(process: subprocess.Popen, pattern: str) -> str:
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[0]
    raise RuntimeError(f"the command line never printed {pattern}: {process.wait()}")


def test_the_command_line_logs_in_by_the_browser_renews_its_session_and_logs_out(house, tmp_path):
    cli = Cli(house.suite, tmp_path)
    assert cli.run("projects", "list").returncode == 5, "nobody is logged in yet"
    process = cli.begin("--json", "login", "--no-browser")
    address = printed(process, r"http://\S+")
    assert Browser("ada").go(address).text.startswith("You can close this page")
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    user = json.loads(told)["principal"]
    assert user == house.whoami("ada")
    file = tmp_path / "cairn" / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert user in cli.run("whoami").stdout
    # A token that ends soon is exchanged, once, however many command lines want it at the same time.
    held = cli.held()
    before = held[house.suite.url]
    held[house.suite.url] = {**before, "expires": int(time.time()) + 5}
    file.write_text(json.dumps(held))
    several = [cli.begin("whoami") for _ in range(4)]
    assert all(user in process.communicate(timeout=60)[0] for process in several)
    after = cli.held()[house.suite.url]
    assert after["refresh_token"] != before["refresh_token"] and "_2_" in after["refresh_token"]
    assert "cairn-cli" in cli.run("sessions", "list").stdout
    assert cli.run("logout").returncode == 0
    assert cli.held() == {} and cli.run("projects", "list").returncode == 5
    old = Api(house.suite, after["access_token"]).get("auth/whoami")
    assert old.json()["error"]["reason"] == "CREDENTIAL_REVOKED"


def test_the_command_line_logs_in_with_a_code_that_is_typed_in_elsewhere(house, tmp_path):
    cli = Cli(house.suite, tmp_path)
    process = cli.begin("--json", "login", "--device")
    code = printed(process, r"[A-Z]{4}-[A-Z]{4}-[A-Z]{4}")
    browser = Browser("ada")
    page = browser.go(f"{house.suite.url}/oauth2/device?user_code={code}")
    assert code in page.text and "Ada L." in page.text
    form = dict(re.findall(r'name="(\w+)" value="([^"]+)"', page.text)) | {"decision": "allow"}
    elsewhere = browser.post(f"{house.suite.url}/oauth2/device", data=form, timeout=30)
    assert elsewhere.status_code == 403, "a browser says where a page is from"
    origin = {"origin": house.suite.url}
    unmarked = browser.post(f"{house.suite.url}/oauth2/device", data={**form, "csrf": "x"}, headers=origin, timeout=30)
    assert unmarked.status_code == 403
    wrong = browser.get(f"{house.suite.url}/oauth2/device?user_code=BCDF-GHJK-LMNP", timeout=30)
    assert wrong.status_code == 400 and "No device shows this code" in wrong.text
    done = browser.post(f"{house.suite.url}/oauth2/device", data=form, headers=origin, timeout=30)
    assert done.status_code == 200 and "let in" in done.text
    again = browser.post(f"{house.suite.url}/oauth2/device", data=form, headers=origin, timeout=30)
    assert again.status_code == 400
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(told)["principal"] == house.whoami("ada")


def test_providers_clients_and_sessions_are_kept_from_the_command_line(house, tmp_path):
    suite = house.suite
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    made = suite.cli_json("idp", "create", "second", "--issuer", house.provider.issuer, "--client-id", "c",
                          "--client-secret-file", str(secret), "--groups-claim", "groups",
                          "--map", "cn=ops,dc=corp=viewer@projects/default", "--creates-users", "true")
    assert made["group_roles"] == [{"group": "cn=ops,dc=corp", "role": "roles/viewer", "resource": "projects/default"}]
    assert suite.cli_json("idp", "update", "second", "--title", "Second")["title"] == "Second"
    assert {one["name"] for one in suite.cli_json("idp", "list")} == {"identityProviders/corp", "identityProviders/second"}
    assert not suite.cli_json("idp", "check", "second").get("problems")
    suite.cli_json("idp", "delete", "second")
    app = ("oauth-clients", "create", "shown", "--redirect", "https://app.example.org/back")
    assert suite.cli_json(*app)["redirect_uris"] == ["https://app.example.org/back"]
    assert suite.cli(*app).returncode == 1
    suite.cli_json("oauth-clients", "delete", "shown")
    user = house.whoami("ada")
    sessions = suite.cli_json("sessions", "list", "--owner", user)
    assert suite.cli_json("sessions", "revoke", sessions[0]["name"])["state"] == "STATE_REVOKED"
    slots = [key["slot"] for key in suite.cli_json("signing-keys", "list")]
    assert slots == ["next", "current"]
