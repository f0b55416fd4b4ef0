"""Cairn as an authorization server: a genuine client (Authlib) logs people in by it, and what it gives out ends."""

import base64
import hashlib
import json
import re
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from api import Api
from oidc_provider import Browser, Provider, query
from suite import Suite
from test_login import House

ACCOUNTS = {"ada": {"name": "Ada L.", "email": "ada@example.org", "email_verified": True}}
BACK = "http://127.0.0.1:9/back"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def house(cairn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("oauth")
    with Suite(cairn, folder / "data", {"CAIRN__LOGIN__ALLOWED_PRIVATE": "127.0.0.1"}) as suite, \
            Provider(folder, ACCOUNTS) as provider:
        client = provider.client(f"{suite.url}/oauth2/callback/corp")
        provider.start()
        house = House(suite, provider, client)
        house.admin.make("identityProviders", {"identity_provider_id": "corp", "identity_provider": {
            "issuer": provider.issuer, "client_id": client["client_id"], "client_secret": client["client_secret"],
            "creates_users": True}})
        house.admin.make("serviceAccounts", {"service_account_id": "app"})
        house.secret = house.admin.make("serviceAccounts/app/apiKeys", {})["secret"]
        house.admin.make("oauthClients", {"oauth_client_id": "app", "oauth_client": {
            "title": "App", "redirect_uris": [BACK], "service_account": "serviceAccounts/app"}})
        house.admin.make("oauthClients", {"oauth_client_id": "spa", "oauth_client": {"redirect_uris": [BACK]}})
        house.document = requests.get(f"{suite.url}/.well-known/openid-configuration", timeout=30).json()
        yield house


def client(house, **more) -> OAuth2Session:
    options = {"client_id": "app", "client_secret": house.secret, "redirect_uri": BACK,
               "scope": "openid profile email", "code_challenge_method": "S256", **more}
    return OAuth2Session(**options)


def asked(house, session: OAuth2Session, **more) -> tuple[str, str]:
    """The address that an application sends people to, and the verifier that it keeps."""
    verifier = secrets.token_urlsafe(48)
    url, _ = session.create_authorization_url(house.document["authorization_endpoint"], code_verifier=verifier, **more)
    return url, verifier


def fetched(house, session: OAuth2Session) -> dict:
    url, verifier = asked(house, session, nonce="n-1")
    back = Browser("ada").go(url, until=BACK).target
    return session.fetch_token(house.document["token_endpoint"], authorization_response=back, code_verifier=verifier)


def whoami(house, token: str):
    return Api(house.suite, token).get("auth/whoami")


def test_a_genuine_client_logs_somebody_in_and_reads_who_it_is_s4_138(house):
    document = house.document
    assert document["issuer"] == house.suite.url
    assert document == requests.get(f"{house.suite.url}/.well-known/oauth-authorization-server", timeout=30).json()
    session = client(house)
    token = fetched(house, session)
    published = requests.get(document["jwks_uri"], timeout=30)
    assert published.headers["cache-control"] == "public, max-age=300", "verifiers may keep them for five minutes"
    keys = KeySet.import_key_set(published.json())
    claims = jwt.decode(token["id_token"], keys, algorithms=document["id_token_signing_alg_values_supported"]).claims
    jwt.JWTClaimsRegistry(iss={"essential": True, "value": document["issuer"]}, aud={"essential": True, "value": "app"},
                          nonce={"essential": True, "value": "n-1"}, exp={"essential": True}).validate(claims)
    assert (claims["name"], claims["email"]) == ("Ada L.", "ada@example.org")
    assert token["expires_in"] <= 600 and claims["sub"] == whoami(house, token["access_token"]).json()["principal"]
    assert session.get(document["userinfo_endpoint"]).json() == {
        "sub": claims["sub"], "name": "Ada L.", "email": "ada@example.org"}
    # An ID token says who somebody is, and opens nothing.
    assert whoami(house, token["id_token"]).status_code == 401

    # Refresh tokens take turns.
    before = token["refresh_token"]
    fresh = session.refresh_token(document["token_endpoint"], refresh_token=before)
    assert fresh["refresh_token"] != before and whoami(house, fresh["access_token"]).status_code == 200
    shown = session.introspect_token(document["introspection_endpoint"], token=fresh["access_token"]).json()
    assert shown["active"] and shown["sub"] == claims["sub"] and shown["client_id"] == "app"
    session.revoke_token(document["revocation_endpoint"], token=fresh["refresh_token"])
    assert whoami(house, fresh["access_token"]).json()["error"]["reason"] == "CREDENTIAL_REVOKED"
    assert session.introspect_token(document["introspection_endpoint"], token=fresh["access_token"]).json() == {"active": False}

    # A client without a secret, and one for itself.
    public = client(house, client_id="spa", client_secret=None, token_endpoint_auth_method="none")
    assert whoami(house, fetched(house, public)["access_token"]).json()["principal"] == claims["sub"]
    own = client(house, client_id="serviceAccounts/app", scope="projects/default")
    token = own.fetch_token(document["token_endpoint"], grant_type="client_credentials")
    assert token["scope"] == "projects/default" and "refresh_token" not in token
    assert whoami(house, token["access_token"]).json()["principal"] == "serviceAccounts/app"
    posted = client(house, client_id="app", token_endpoint_auth_method="client_secret_post")
    assert posted.fetch_token(document["token_endpoint"], grant_type="client_credentials")["token_type"] == "Bearer"


def test_a_genuine_client_logs_a_device_in_s4_138(house):
    session = client(house, client_id="spa", client_secret=None, token_endpoint_auth_method="none")
    begun = requests.post(house.document["device_authorization_endpoint"],
                          data={"client_id": "spa", "scope": "openid"}, timeout=30).json()
    poll = {"grant_type": DEVICE, "device_code": begun["device_code"], "client_id": "spa"}
    endpoint = house.document["token_endpoint"]
    assert requests.post(endpoint, data=poll, timeout=30).json()["error"] == "authorization_pending"
    assert requests.post(endpoint, data=poll, timeout=30).json()["error"] == "slow_down"
    other = {**poll, "client_id": "cairn-cli"}
    assert requests.post(endpoint, data=other, timeout=30).json()["error"] == "invalid_grant", "another client's code"
    browser = Browser("ada")
    page = browser.go(begun["verification_uri_complete"])
    form = dict(re.findall(r'name="(\w+)" value="([^"]+)"', page.text)) | {"decision": "allow"}
    assert browser.post(begun["verification_uri"], data=form, headers={"origin": house.suite.url}, timeout=30).ok
    time.sleep(begun["interval"])
    token = session.fetch_token(endpoint, **{key: value for key, value in poll.items() if key != "client_id"})
    assert whoami(house, token["access_token"]).status_code == 200 and token["id_token"]
    time.sleep(begun["interval"])
    assert requests.post(endpoint, data=poll, timeout=30).json()["error"] == "invalid_grant", "used before"
    assert whoami(house, token["access_token"]).status_code == 401, "somebody else may have it"
    # One that is refused gets nothing.
    begun = requests.post(house.document["device_authorization_endpoint"], data={"client_id": "spa"}, timeout=30).json()
    page = browser.go(begun["verification_uri_complete"])
    form = dict(re.findall(r'name="(\w+)" value="([^"]+)"', page.text)) | {"decision": "refuse"}
    assert browser.post(begun["verification_uri"], data=form, headers={"origin": house.suite.url}, timeout=30).ok
    poll["device_code"] = begun["device_code"]
    assert requests.post(endpoint, data=poll, timeout=30).json()["error"] == "access_denied"


class Workloads:
    """Where workloads run: a place that signs who they are, and says with which keys."""

    def __init__(self):
        self.key = OKPKey.generate_key("Ed25519", {"kid": "w", "use": "sig", "alg": "EdDSA"})
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                answer = {"/jwks": {"keys": [outer.key.as_dict(private=False)]}, "/.well-known/openid-configuration": {
                    "issuer": outer.issuer, "jwks_uri": outer.issuer + "/jwks", "authorization_endpoint": outer.issuer,
                    "token_endpoint": outer.issuer}}[self.path]
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, audience: str, **claims) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": audience, "iat": now, "exp": now + 300, "sub": "repo:acme/app:main", **claims}
        return jwt.encode({"alg": "EdDSA", "kid": "w"}, claims, self.key, algorithms=["EdDSA"])


def test_a_workload_exchanges_the_token_of_where_it_runs_for_one_of_ours_s4_138(house):
    places, admin, endpoint = Workloads(), house.admin, house.document["token_endpoint"]
    admin.make("serviceAccounts", {"service_account_id": "pipeline"})
    rule = admin.make("serviceAccounts/pipeline/trustRules", {"trust_rule": {
        "issuer": places.issuer, "claims": {"sub": "repo:acme/app:main", "environment": "prod"},
        "scopes": ["projects/default"]}})
    assert rule["audience"] == house.suite.url

    def exchange(token: str, **more):
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", **more}
        return requests.post(endpoint, data=form, timeout=30)

    good = places.token(house.suite.url, environment="prod")
    session = OAuth2Session(client_id="pipeline", token_endpoint_auth_method="none")
    token = session.fetch_token(endpoint, grant_type="urn:ietf:params:oauth:grant-type:token-exchange", subject_token=good,
                                subject_token_type="urn:ietf:params:oauth:token-type:jwt")
    assert token["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert token["expires_in"] <= 600 and token["scope"] == "projects/default" and "refresh_token" not in token
    who = whoami(house, token["access_token"]).json()
    assert who["principal"] == "serviceAccounts/pipeline"
    # Everything else gives nothing, and in the same words.
    other = Workloads()
    now = int(time.time())
    refused = {
        "another branch": places.token(house.suite.url, environment="prod", sub="repo:acme/app:feature"),
        "another environment": places.token(house.suite.url, environment="dev"),
        "a claim missing": places.token(house.suite.url),
        "for somebody else": places.token("https://elsewhere.example", environment="prod"),
        "expired": places.token(house.suite.url, environment="prod", iat=now - 900, exp=now - 300),
        "nobody trusts it": other.token(house.suite.url, environment="prod"),
        "it says it is from where it is not": other.token(house.suite.url, environment="prod", iss=places.issuer),
        "changed": good[:-4] + "AAAA",
        "no token": "x",
    }
    for what, text in refused.items():
        answer = exchange(text)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), (what, answer.text)
    assert other.asked == [], "nobody asks an issuer that nobody trusts"
    assert exchange(good, scope="projects/other").json()["error"] == "invalid_scope"
    assert exchange(good, subject_token_type="x").json()["error"] == "invalid_request"
    # Of several accounts that trust it, the workload says which.
    admin.make("serviceAccounts", {"service_account_id": "second"})
    admin.make("serviceAccounts/second/trustRules", {"trust_rule": {
        "issuer": places.issuer, "claims": {"sub": "repo:acme/app:main"}}})
    assert exchange(good).json()["error"] == "invalid_target"
    chosen = exchange(good, audience="serviceAccounts/second").json()["access_token"]
    assert whoami(house, chosen).json()["principal"] == "serviceAccounts/second"
    # What was got by a rule ends with it, and with its account.
    admin.make("serviceAccounts/second:disable", {})
    assert whoami(house, chosen).status_code == 401
    assert exchange(good, audience="serviceAccounts/second").status_code == 400
    assert admin.delete(rule["name"]).status_code == 200
    assert whoami(house, token["access_token"]).json()["error"]["reason"] == "CREDENTIAL_REVOKED"
    assert exchange(good, audience="serviceAccounts/pipeline").status_code == 400
    for wrong in ({"claims": {}}, {"claims": {"aud": "x"}}, {"issuer": "http://ci.example.org", "claims": {"sub": "x"}}):
        rule = {"issuer": places.issuer, **wrong}
        assert admin.post("serviceAccounts/pipeline/trustRules", json={"trust_rule": rule}).status_code == 400, wrong


def test_a_code_is_good_for_one_client_one_address_one_verifier_and_once(house):
    endpoint = house.document["token_endpoint"]

    def code() -> tuple[str, str]:
        session = client(house, client_id="spa", client_secret=None)
        url, verifier = asked(house, session)
        return query(Browser("ada").go(url, until=BACK).target)["code"], verifier

    def exchange(given: str, verifier: str, **other):
        form = {"grant_type": "authorization_code", "code": given, "redirect_uri": BACK, "code_verifier": verifier,
                "client_id": "spa", **other}
        return requests.post(endpoint, data={key: value for key, value in form.items() if value}, timeout=30)

    good, verifier = code()
    for what in [{"code_verifier": "x" * 43}, {"code_verifier": ""}, {"redirect_uri": BACK + "/"}, {"redirect_uri": ""},
                 {"client_id": "cairn-cli"}, {"code": good[:-1] + ("A" if good[-1] != "A" else "B")}, {"code": "forged"}]:
        answer = exchange(good, verifier, **what)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), what
    token = exchange(good, verifier).json()
    assert whoami(house, token["access_token"]).status_code == 200
    assert exchange(good, verifier).json()["error"] == "invalid_grant"
    assert whoami(house, token["access_token"]).status_code == 401, "a code that came twice takes its session with it"
    # A refresh token that comes twice does so too, and one that is guessed at does nobody any harm.
    good, verifier = code()
    first = exchange(good, verifier).json()
    refresh = {"grant_type": "refresh_token", "client_id": "spa"}
    second = requests.post(endpoint, data={**refresh, "refresh_token": first["refresh_token"]}, timeout=30).json()
    guess = first["refresh_token"][:-1] + ("A" if first["refresh_token"][-1] != "A" else "B")
    for text in (guess, "cairn_rt_x_1_y", "x"):
        assert requests.post(endpoint, data={**refresh, "refresh_token": text}, timeout=30).json()["error"] == "invalid_grant"
    other = {**refresh, "client_id": "cairn-cli", "refresh_token": second["refresh_token"]}
    assert requests.post(endpoint, data=other, timeout=30).json()["error"] == "invalid_grant", "another client's"
    assert whoami(house, second["access_token"]).status_code == 200
    again = requests.post(endpoint, data={**refresh, "refresh_token": first["refresh_token"]}, timeout=30)
    assert again.json()["error"] == "invalid_grant"
    assert whoami(house, second["access_token"]).status_code == 401


def test_nobody_is_sent_anywhere_but_where_the_application_is(house):
    browser = Browser("ada")
    base = {"response_type": "code", "client_id": "spa", "redirect_uri": BACK, "state": "s", "scope": "openid",
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(b"v").digest()).decode().rstrip("="),
            "code_challenge_method": "S256"}

    def ask(**other):
        given = {key: value for key, value in {**base, **other}.items() if value is not None}
        url = requests.Request("GET", house.document["authorization_endpoint"], params=given).prepare().url
        return browser.get(url, allow_redirects=False, timeout=30)

    for other in [{"client_id": "unknown"}, {"client_id": None}, {"redirect_uri": "https://evil.example/"},
                  {"redirect_uri": BACK + "?x"}, {"redirect_uri": None}, {"client_id": "../x"}]:
        answer = ask(**other)
        assert answer.status_code == 400 and "location" not in answer.headers, other
    for other, error in [({"response_type": "token"}, "unsupported_response_type"), ({"code_challenge": None}, "invalid_request"),
                         ({"code_challenge_method": "plain"}, "invalid_request"), ({"scope": "unheard"}, "invalid_scope"),
                         ({"request": "x"}, "request_not_supported"), ({"prompt": "none"}, "login_required")]:
        answer = ask(**other)
        assert answer.status_code == 303 and answer.headers["location"].startswith(BACK), other
        given = query(answer.headers["location"])
        assert (given["error"], given["state"], given["iss"]) == (error, "s", house.suite.url), other
    for path in ("https://evil.example", "//evil.example", "/\\evil.example"):
        answer = requests.get(f"{house.suite.url}/oauth2/login?return_to={quote(path, safe='')}", allow_redirects=False, timeout=30)
        assert answer.status_code == 400, path


def test_logging_in_with_a_key_refreshing_introspecting_and_revoking_by_the_api_s4_139(house):
    admin, stranger = house.admin, Api(house.suite, stranger=True)
    admin.make("serviceAccounts", {"service_account_id": "ci"})
    key = admin.make("serviceAccounts/ci/apiKeys", {"api_key": {"scopes": ["projects/default"]}})
    wide = stranger.post("auth/login", json={"api_key": key["secret"], "scopes": ["projects/other"]})
    assert (wide.status_code, wide.json()["error"]["reason"]) == (403, "CREDENTIAL_TOO_WIDE")
    first = stranger.make("auth/login", {"api_key": key["secret"]})
    assert first["expires_in"] == 600 and whoami(house, first["access_token"]).json()["principal"] == "serviceAccounts/ci"
    shown = admin.make("auth/introspect", {"token": first["access_token"]})
    assert shown["active"] and shown["scope"] == "projects/default" and shown["session"].startswith("serviceAccounts/ci/sessions/")
    assert admin.make("auth/introspect", {"token": first["refresh_token"]})["token_type"] == "refresh_token"
    assert admin.make("auth/introspect", {"token": key["secret"]})["token_type"] == "api_key"
    assert not admin.make("auth/introspect", {"token": "a.b.c"}).get("active")
    nosy = Api(house.suite, key["secret"]).post("auth/introspect", json={"token": first["access_token"]})
    assert nosy.status_code == 403
    second = stranger.make("auth/refresh", {"refresh_token": first["refresh_token"]})
    assert not admin.make("auth/introspect", {"token": first["refresh_token"]}).get("active"), "it was used"
    listed = admin.get("serviceAccounts/ci/sessions").json()["sessions"]
    assert [one["name"] for one in listed] == [shown["session"]]
    stranger.make("auth/revoke", {"token": second["access_token"]})
    assert whoami(house, second["access_token"]).status_code == 401
    ended = stranger.post("auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert (ended.status_code, ended.json()["error"]["reason"]) == (401, "SESSION_ENDED")
    stranger.make("auth/revoke", {"token": "none of ours"})
    # Reuse ends everything; a token logs nobody in; and a session ends with its key.
    first = stranger.make("auth/login", {"api_key": key["secret"]})
    second = stranger.make("auth/refresh", {"refresh_token": first["refresh_token"]})
    reused = stranger.post("auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert (reused.status_code, reused.json()["error"]["reason"]) == (401, "REFRESH_TOKEN_REUSED")
    assert whoami(house, second["access_token"]).status_code == 401
    third = stranger.make("auth/login", {"api_key": key["secret"]})
    assert stranger.post("auth/login", json={"api_key": third["access_token"]}).status_code == 400
    admin.make(f"{key['name']}:revoke", {})
    assert whoami(house, third["access_token"]).json()["error"]["reason"] == "CREDENTIAL_REVOKED"
    assert stranger.post("auth/refresh", json={"refresh_token": third["refresh_token"]}).status_code == 401


def test_signing_keys_move_through_three_places_on_demand(house):
    jwks = lambda: [key["kid"] for key in requests.get(house.document["jwks_uri"], timeout=30).json()["keys"]]  # noqa: E731
    kid = lambda token: json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]  # noqa: E731
    stranger = Api(house.suite, stranger=True)
    login = lambda: stranger.make("auth/login", {"api_key": house.suite.key})["access_token"]  # noqa: E731
    current, coming = jwks()
    old = login()
    assert kid(old) == current
    shown = house.admin.make("signingKeys:rotate", {"reason": "a test"})["signing_keys"]
    assert [key["slot"] for key in shown] == ["SLOT_NEXT", "SLOT_CURRENT", "SLOT_PREVIOUS"]
    assert jwks()[0] == coming and current in jwks() and len(jwks()) == 3
    assert kid(login()) == coming and whoami(house, old).status_code == 200, "what was signed before still holds"
    early = house.admin.post("signingKeys:rotate", json={})
    assert (early.status_code, early.json()["error"]["reason"]) == (400, "SIGNING_KEYS_FRESH")
    new = login()
    house.admin.make("signingKeys:rotate", {"compromised": True, "reason": "it leaked"})
    assert coming not in jwks() and len(jwks()) == 2
    assert whoami(house, new).json()["error"]["reason"] == "TOKEN_SIGNATURE", "what it signed holds no more"
    assert whoami(house, login()).status_code == 200
    # After a restart they are as they were.
    kids = jwks()
    house.suite.stop()
    port = house.suite.url.rsplit(":", 1)[1]
    house.suite.env["API_HTTP_PORT"] = port
    house.suite.start()
    assert jwks() == kids
