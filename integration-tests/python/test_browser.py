"""What browsers may do from other pages, and gRPC as they can speak it."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from api import Api
from suite import Suite

STORY = Path(__file__).resolve().parents[1] / "node/grpc_web_story.js"
#: Where `make test-python` puts the clients.
MODULES = Path(os.environ.get("CAIRN_NODE_MODULES") or Path.home() / ".cache/cairn/node/node_modules")
CONSOLE = "https://console.example.com"
LIST_PROJECTS = "/cairn.auth.v1.ProjectService/ListProjects"
#: A frame's flag when it holds trailers.
TRAILERS = 0x80


def frames(body: bytes) -> list[tuple[int, bytes]]:
    found = []
    while body:
        length = int.from_bytes(body[1:5])
        found.append((body[0], body[5:5 + length]))
        assert len(found[-1][1]) == length
        body = body[5 + length:]
    return found


def trailers(text: bytes) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.decode().split("\r\n") if line)


def decoded(text: str) -> bytes:
    """Pieces that were each encoded by themselves."""
    return b"".join(base64.b64decode(text[at:at + 4]) for at in range(0, len(text), 4))


def framed(message: bytes = b"") -> bytes:
    return b"\0" + len(message).to_bytes(4) + message


@pytest.mark.parametrize("kind", ["application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text"])
def test_a_call_of_a_browser_is_answered_with_its_trailers_in_the_body(suite, kind):
    text = kind.endswith("text")
    headers = {"Content-Type": kind, "Accept": kind, "X-Grpc-Web": "1"}
    body = base64.b64encode(framed()) if text else framed()
    answer = Api(suite).post(LIST_PROJECTS, data=body, headers=headers)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind.split("+")[0])
    assert "caller" in answer.headers["ratelimit"]
    raw = decoded(answer.text) if text else answer.content
    (flag, message), (last, told) = frames(raw)
    assert (flag, last) == (0, TRAILERS) and b"projects/default" in message
    assert trailers(told)["grpc-status"] == "0"


def test_a_refusal_reaches_a_browser_with_its_reason(suite):
    answer = Api(suite, stranger=True).post(LIST_PROJECTS, data=framed(), headers={"Content-Type": "application/grpc-web+proto"})
    assert answer.status_code == 200
    told = answer.headers if "grpc-status" in answer.headers else trailers(frames(answer.content)[-1][1])
    assert told["grpc-status"] == "16"
    padded = told["grpc-status-details-bin"] + "=" * (-len(told["grpc-status-details-bin"]) % 4)
    assert b"CREDENTIAL_MISSING" in base64.b64decode(padded)


def test_it_is_no_way_around_what_the_grpc_port_asks_for(suite):
    browser = {"Content-Type": "application/grpc-web+proto"}
    assert Api(suite).get(LIST_PROJECTS, headers=browser).status_code == 405
    forged = {**browser, "cairn-principal": "e30.e30.sig", "cairn-source": "10.0.0.1"}
    answer = Api(suite, stranger=True).post(LIST_PROJECTS, data=framed(), headers=forged)
    told = answer.headers if "grpc-status" in answer.headers else trailers(frames(answer.content)[-1][1])
    assert told["grpc-status"] == "16", "who calls is never what the caller says"


@pytest.mark.skipif(not shutil.which("node") or not (MODULES / "grpc-web").exists(),
                    reason="no grpc-web for Node.js: `make test-python` installs it where there is npm")
@pytest.mark.parametrize("form", ["text", "binary"])
def test_googles_own_client_for_browsers_speaks_with_it(suite, form):
    def story(key: str) -> dict:
        done = subprocess.run(["node", STORY, suite.url, LIST_PROJECTS, key, form], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "NODE_PATH": str(MODULES)})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    assert b"projects/default" in base64.b64decode(story(suite.key)["answer"])
    refused = story("")
    assert refused["code"] == 16 and "credential" in refused["message"], refused


def test_pages_of_named_origins_may_call_and_no_others(cairn, tmp_path):
    env = {"CAIRN__GATEWAY__CORS_ORIGINS": f"{CONSOLE},http://localhost:8080", "CAIRN__GATEWAY__CORS_CREDENTIALS": "true"}
    with Suite(cairn, tmp_path / "data", env) as suite:
        api, stranger = Api(suite), Api(suite, stranger=True)
        for origin in (CONSOLE, "http://localhost:8080"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "authorization,content-type,x-grpc-web"}
            allowed = stranger.options("projects", headers=asked).headers
            assert allowed["access-control-allow-origin"] == origin and allowed["access-control-allow-credentials"] == "true"
            assert {"authorization", "x-grpc-web"} <= set(allowed["access-control-allow-headers"].split(","))
            answer = api.get("projects", headers={"Origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "ratelimit" in answer.headers["access-control-expose-headers"] and "origin" in answer.headers["vary"].lower()
        for origin in ("https://evil.example.com", f"{CONSOLE}.evil.example", "null", CONSOLE.upper(), f"{CONSOLE}:8443"):
            answer = api.get("projects", headers={"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers, origin
    for wild in ("*", "https://*.example.com"):
        with pytest.raises(RuntimeError, match="cors_origins"):
            Suite(cairn, tmp_path / "wild", {"CAIRN__GATEWAY__CORS_ORIGINS": wild}).start()


def test_every_answer_keeps_browsers_from_doing_more_with_it(suite):
    for path in ("projects", "/nowhere", "/docs", "health"):
        headers = Api(suite).get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY", path
        assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe-inline" not in headers["content-security-policy"], path
        assert "camera=()" in headers["permissions-policy"] and "strict-transport-security" not in headers, path
