"""Every field that takes a secret is given one that nobody else would write; the suite works at its most talkative and is
made to fail in every way; then everything it wrote and said is searched for them."""

import json
import os
import secrets

import pytest
import requests

import canary
from api import Api
from sink import Sink
from suite import Suite

PROJECT = "projects/default"


class Planted(dict):
    """Secrets by where they were planted. Each is made when it is first asked for."""

    def __missing__(self, place: str) -> str:
        self[place] = f"Canary{len(self):02}{secrets.token_hex(12)}"
        return self[place]


class Hearing(Api):
    """A client that keeps every answer, its head included."""

    heard: list[bytes] = []

    def request(self, method, path, **options):
        answer = super().request(method, path, **options)
        if not options.get("stream"):
            Hearing.heard.append(repr(dict(answer.headers)).encode() + answer.content)
        return answer


@pytest.fixture
def planted():
    return Planted()


@pytest.fixture
def suite(cairn, tmp_path, planted):
    env = {"RUST_LOG": "trace", "CAIRN_API_KEY": planted["the operator's key"],
           "CAIRN__OBJECTS__S3_ACCESS_KEY": "somebody",
           "CAIRN__OBJECTS__S3_SECRET_KEY": planted["the password of a store, in a setting"],
           "CAIRN__HOOKS__ALLOWED_PRIVATE": "127.0.0.1/32", "CAIRN__HOOKS__BACKOFF_MS": "20"}
    running = Suite(cairn, tmp_path / "data", env)
    running.key = planted["the operator's key"]
    with running:
        yield running


def made_key(api: Api, account: str) -> str:
    """A key of an account: the one answer that holds it, which is not kept."""
    answer = requests.post(f"{api.suite.url}/api/v1/{account}/apiKeys", json={"api_key": {"title": "t"}},
                           headers=api.headers, timeout=20)
    return answer.json()["secret"]


def provoke(api: Api, planted: Planted, secret: str) -> None:
    """Failures with a secret in hand: refusals of every sort, and requests that do not even read."""
    versions = f"{secret}/versions"
    value = planted["a value that is refused"]
    long = value + "x" * (70 << 10)
    for path, body in [
        (versions, {"value": long}), (versions, {"value": value, "after_version": 99}), (versions, {"value": [value]}),
        (versions, {"value": {"of": value}}), (versions, {"value": value, "no_such_field": 1}), (f"{secret}-none/versions", {"value": value}),
        (f"{PROJECT}/secrets", {"secret_id": "taken", "value": value}), (f"{PROJECT}/secrets", {"secret_id": "No/Id", "value": value}),
        ("auth/token:exchange", {"api_key": planted["a key that is exchanged in vain"]}),
        (f"{PROJECT}/hooks", {"hook_id": "bad", "hook": {"webhook": {"url": f"ftp://{planted['an address that is refused']}/"}}}),
    ]:
        answer = api.post(path, json=body)
        assert not answer.ok, (path, answer.text)
    text = json.dumps({"value": planted["a value in a body that does not read"]})
    for broken in (text[:-1], text + text, text.replace(":", ";")):
        answer = api.post(versions, data=broken, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, answer.text
    assert api.post(versions, data=text, headers={"Content-Type": "text/plain"}).status_code >= 400
    for header in ("Authorization", "Cookie", "Proxy-Authorization", "X-Vault-Token"):
        bearer = "Bearer " if header == "Authorization" else ""
        headers = {header: f"{bearer}{planted['a wrong credential in ' + header]}"}
        answer = requests.get(f"{api.suite.url}/api/v1/projects", headers=headers, timeout=20)
        assert answer.status_code == 401
        Hearing.heard.append(answer.content)
    powerless = api.make("serviceAccounts", {"service_account_id": "powerless"})["name"]
    key = planted["the key of somebody powerless"] = made_key(api, powerless)
    other = Hearing(api.suite, key)
    assert other.post(versions, json={"value": planted["a value that somebody may not write"]}).status_code == 403
    assert other.get(f"{versions}/1:access").status_code == 403


def test_no_secret_is_found_outside_what_is_sealed_s0_93_s4_125(suite, planted, tmp_path):
    api = Hearing(suite)
    secret = api.make(f"{PROJECT}/secrets", {"secret_id": "taken", "value": planted["a first value"]})["name"]
    api.make(f"{secret}/versions", {"value": planted["a second value"], "request_id": "9d1c5a3e"})
    api.make(f"{secret}/versions", {"value": planted["a second value"], "request_id": "9d1c5a3e"})
    file = tmp_path / "value"
    file.write_text(planted["a value from the command line"])
    done = suite.cli("secrets", "create", "by-hand", "--value-file", str(file))
    file.unlink()
    assert done.returncode == 0, done.stderr
    said = [done.stdout + done.stderr]
    with Sink() as sink:
        hook = {"timing": "HOOK_TIMING_AFTER", "triggers": ["HOOK_TRIGGER_VERSION_CREATE"],
                "webhook": {"url": f"{sink.url}/{planted['the address of a webhook']}", "secret": planted["the secret of a webhook"]}}
        api.make(f"{PROJECT}/hooks", {"hook_id": "told", "hook": hook})
        mlflow = {"name": "w", "url": f"https://example.org/{planted['the address of an MLflow webhook']}",
                  "secret": planted["the secret of an MLflow webhook"],
                  "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]}
        answer = api.post("/api/2.0/mlflow/webhooks/create", json=mlflow)
        Hearing.heard.append(answer.content)
    account = api.make("serviceAccounts", {"service_account_id": "worker"})["name"]
    planted["the secret of an API key"] = made_key(api, account)
    reference = f"secret://{secret}@1"
    api.make(f"{PROJECT}/environments", {"environment_id": "dev"})
    api.put(f"config/{PROJECT}/environments/dev/entries/password", json={"value": reference})

    # Whoever may have a value gets it: the one answer that is not kept.
    got = requests.get(f"{suite.url}/api/v1/{secret}/versions/latest:access", headers=api.headers, timeout=20)
    assert got.json()["value"] == planted["a second value"]
    provoke(api, planted, secret)

    # Everything else that tells of them.
    for path in ("secrets", secret, f"{secret}/versions", "audit?page_size=1000", "events?page_size=1000", "keeper",
                 f"history/{secret}", f"config/{PROJECT}/environments/dev", f"{PROJECT}/hooks", f"{account}/apiKeys",
                 "/api/v1/metrics", "/metrics", "/openapi.json", "health"):
        api.get(path)
    for command in (["secrets", "list"], ["config", "print"], ["config", "explain"], ["audit", "list"], ["events", "list"]):
        done = suite.cli(*command)
        said.append(done.stdout + done.stderr)
    assert len(planted) >= 20

    def found() -> list[str]:
        texts = list(planted.values())
        return ([trace for trace in canary.traces(suite.data, *texts)]
                + [f"log: {needle!r}" for needle in canary.sightings(suite.log.read_bytes(), *texts)]
                + [f"answer: {needle!r}" for content in Hearing.heard for needle in canary.sightings(content, *texts)]
                + [f"command line: {needle!r}" for text in said for needle in canary.sightings(text.encode(), *texts)])

    assert found() == [], "while it runs"
    assert b"TRACE" in suite.log.read_bytes() or b"DEBUG" in suite.log.read_bytes(), "it was talkative"
    assert suite.stop() == 0
    assert found() == [], "after it has stopped"
    (suite.data / "planted.txt").write_text(planted["a first value"])
    assert len(canary.traces(suite.data, planted["a first value"])) > 0, "the search finds what is there"
    suite.start()
    got = requests.get(f"{suite.url}/api/v1/{secret}/versions/1:access", headers=api.headers, timeout=20)
    assert got.json()["value"] == planted["a first value"]
    assert os.path.exists(suite.folder("config") / "sealing.sqlite")
