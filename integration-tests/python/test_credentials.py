"""Credentials through the HTTP door: keys from their making to their end, what is kept of them, tokens that do not hold."""

import base64
import hashlib
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api import Api, eventually
from suite import Suite

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def admin(suite) -> Api:
    return Api(suite)


def account(admin: Api, id: str, role: str = "roles/editor", resource: str = "projects/default") -> str:
    name = f"serviceAccounts/{id}"
    admin.make("serviceAccounts", {"service_account_id": id})
    admin.make("bindings", {"binding": {"principal": name, "role": role, "resource": resource}})
    return name


def whoami(suite, key: str):
    return Api(suite, key).get("auth/whoami")


def reason(answer) -> str:
    return answer.json()["error"]["reason"]


def test_keys_are_narrowed_expire_rotate_with_an_overlap_and_tell_when_they_were_used_s4_134(suite, admin):
    name = account(admin, "rotating")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    wanted = {"scopes": ["projects/default/experiments/0"], "permissions": ["experiments.experiments.get"], "expire_time": soon}
    made = admin.make(f"{name}/apiKeys", {"api_key": wanted})
    key = made["name"]

    # Scopes and permissions.
    narrow = Api(suite, made["secret"])
    assert narrow.get("projects/default/experiments/0").status_code == 200
    assert reason(narrow.get("projects/default/experiments")) == "ACCESS_DENIED", "another permission"
    assert reason(narrow.get("projects/default/experiments/1")) == "ACCESS_DENIED", "another resource"

    # Last use: once noted, another use in the same hour leaves it.
    assert "last_use_time" not in made
    used = eventually(lambda: admin.get(key).json().get("last_use_time"))
    assert admin.get(key).json()["etag"] == made["etag"], "to be used is no change"

    # Rotation with an overlap, and without one.
    second = admin.make(f"{key}:rotate", {"grace": "3600s", "expire_time": soon})["secret"]
    assert [whoami(suite, secret).status_code for secret in (made["secret"], second)] == [200, 200]
    third = admin.make(f"{key}:rotate", {"expire_time": soon})["secret"]
    assert [whoami(suite, secret).status_code for secret in (made["secret"], second, third)] == [401, 401, 200]
    assert admin.get(key).json()["last_use_time"] == used

    # Expiry.
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    short = admin.make(f"{name}/apiKeys", {"api_key": {"expire_time": at}})
    eventually(lambda: whoami(suite, short["secret"]).status_code == 401)
    assert reason(whoami(suite, short["secret"])) == "CREDENTIAL_EXPIRED"
    assert admin.get(short["name"]).json()["state"] == "STATE_EXPIRED"


def one_character_changed(key: str) -> list[str]:
    """At the beginning, in the id, in the secret, in the check at the end."""
    places = [0, len("cairn_sa_") + 3, len(key) // 2, len(key) - 8, len(key) - 1]
    return [key[:at] + ("x" if key[at] != "x" else "y") + key[at + 1:] for at in places]


def checked(text: str) -> str:
    """A key with the check that fits it, so that it gets as far as its secret."""
    import zlib

    number, digits = zlib.crc32(text[:-6].encode()), ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    return text[:-6] + digits


def test_a_key_is_let_in_and_one_with_a_changed_character_is_not_s1_39(suite, admin):
    """That every comparison takes the same time is shown where it is made: libs/access."""
    made = admin.make(f"{account(admin, 'exact')}/apiKeys", {})["secret"]
    assert checked(made) == made
    assert whoami(suite, made).status_code == 200 and whoami(suite, suite.key).status_code == 200
    changed = one_character_changed(made) + one_character_changed(suite.key)
    at = len(made) - 10
    changed.append(checked(made[:at] + ("x" if made[at] != "x" else "y") + made[at + 1:]))
    for text in changed:
        answer = whoami(suite, text)
        assert (answer.status_code, reason(answer)) == (401, "CREDENTIAL_INVALID"), text


def test_nothing_that_is_stored_holds_a_key_or_a_hash_that_a_guess_could_be_tested_against_s1_29(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        admin = Api(suite)
        first = admin.make(f"{account(admin, 'stored')}/apiKeys", {})
        second = admin.make(f"{first['name']}:rotate", {"grace": "3600s"})["secret"]
        secrets = [first["secret"], second, suite.key]
        assert all(whoami(suite, secret).status_code == 200 for secret in secrets)
        suite.stop()
        needles = {}
        for text in secrets:
            # The whole, and of a key of ours also the part that is secret, with its check and without.
            secret = [text.rsplit("_", 1)[-1], text.rsplit("_", 1)[-1][:-6]] if text.startswith("cairn_") else []
            for part in [text, *secret]:
                needles[f"{part} itself"] = part.encode()
                for name in ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256"):
                    digest = hashlib.new(name, part.encode()).digest()
                    forms = {"raw": digest, "hex": digest.hex().encode(), "base64": base64.b64encode(digest).rstrip(b"=")}
                    needles |= {f"{name} of {part}, {form}": needle for form, needle in forms.items()}
        files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        stored = {path.name: path.read_bytes() for path in files}
        stored["the log"] = suite.log.read_bytes()
        key_id = first["secret"].split("_")[2].encode()
        assert any(key_id in text for text in stored.values()), "the files are those that keys are stored in"
        found = [(file, what) for file, text in stored.items() for what, needle in needles.items() if needle in text]
        assert not found, found


def token(suite, admin: Api) -> str:
    key = admin.make("users/admin/apiKeys", {})["secret"]
    return Api(suite, stranger=True).make("auth/token", {"api_key": key})["access_token"]


def part(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def read(text: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def signer(suite):
    """Signs claims as the deployment itself does, with the key from its key file: whoever holds that can."""
    stored = json.loads((suite.data / "keyring.json").read_text())["access_key"]
    der = base64.b64decode(stored["secret"])
    seed = der[der.index(b"\x04\x22\x04\x20") + 4:][:32]
    private = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(header: dict, claims: dict) -> str:
        text = f"{part(header)}.{part(claims)}"
        return f"{text}.{base64.urlsafe_b64encode(private.sign(text.encode())).rstrip(b'=').decode()}"

    return sign


def test_a_token_that_does_not_hold_is_refused_with_a_reason_for_each_way_s0_91(suite, admin):
    good, sign = token(suite, admin), signer(suite)
    assert whoami(suite, good).json()["principal"] == "users/admin"
    head, claims, signature = good.split(".")
    header, body = read(head), read(claims)
    assert whoami(suite, sign(header, body)).status_code == 200, "signed as ours are, it is let in"
    past = {"iat": body["iat"] - 7200, "nbf": body["nbf"] - 7200, "exp": body["exp"] - 7200}
    future = {"iat": body["iat"] + 7200, "nbf": body["nbf"] + 7200, "exp": body["exp"] + 7200}
    distinct = {
        "expired": (sign(header, {**body, **past}), "CREDENTIAL_EXPIRED"),
        "another audience": (sign(header, {**body, "aud": f"{body['iss']}:services"}), "TOKEN_AUDIENCE"),
        "another key": (f"{part({**header, 'kid': 'other'})}.{claims}.{signature}", "TOKEN_SIGNATURE"),
        "alg=none": (f"{part({**header, 'alg': 'none'})}.{claims}.", "TOKEN_ALGORITHM"),
    }
    others = {
        "alg=HS256": (f"{part({**header, 'alg': 'HS256'})}.{claims}.{signature}", "TOKEN_ALGORITHM"),
        "other claims": (f"{head}.{part({**body, 'sub': 'users/root'})}.{signature}", "TOKEN_SIGNATURE"),
        "no signature": (f"{head}.{claims}.", "TOKEN_SIGNATURE"),
        "a header that brings its key": (sign({**header, "jwk": {}}, body), "CREDENTIAL_INVALID"),
        "another type": (sign({**header, "typ": "cairn-principal+jwt"}, body), "CREDENTIAL_INVALID"),
        "another issuer": (sign(header, {**body, "iss": "cairn:other"}), "CREDENTIAL_INVALID"),
        "not valid yet": (sign(header, {**body, **future}), "CREDENTIAL_INVALID"),
        "too long a life": (sign(header, {**body, "exp": body["exp"] + 86400}), "CREDENTIAL_INVALID"),
        "a claim too many": (sign(header, {**body, "admin": True}), "CREDENTIAL_INVALID"),
        "nobody's key": (sign(header, {**body, "key": "unknown"}), "CREDENTIAL_REVOKED"),
        "a fourth part": (f"{good}.x", "CREDENTIAL_INVALID"),
    }
    missing = Api(suite, stranger=True).get("projects")
    assert (missing.status_code, reason(missing)) == (401, "CREDENTIAL_MISSING")
    for what, (text, expected) in {**distinct, **others}.items():
        answer = Api(suite, text).get("projects")
        assert (answer.status_code, reason(answer)) == (401, expected), what
    assert len({expected for _, expected in distinct.values()} | {"CREDENTIAL_MISSING"}) == 5


def test_a_stream_ends_when_the_right_to_it_is_taken_away(suite, admin):
    name = account(admin, "listener", "roles/manager")
    key = admin.make(f"{name}/apiKeys", {})
    run = admin.run("listened to")
    admin.make(f"{run}:logBatch", {"batch_id": "1", "metrics": [{"key": "loss", "value": 1, "step": "1"}]})
    with Api(suite, key["secret"]).get(f"{run}/metricPoints:watch", stream=True) as answer:
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        assert answer.status_code == 200 and "points" in next(lines)
        admin.make(f"{key['name']}:revoke", {})
        last = [line for line in lines][-1]
    assert last["error"]["reason"] == "CREDENTIAL_REVOKED"
