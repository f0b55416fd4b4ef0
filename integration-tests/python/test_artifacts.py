"""Artifacts by the native API and by MLflow's: digests, signed addresses, and what is refused."""

import hashlib
import os
import time

import pytest
import requests

EXPIRY_SECONDS_MAX = 15


@pytest.fixture
def api(suite):
    """A session that is allowed to do everything."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {suite.key}"
    session.base = f"{suite.url}/api/v1"
    session.suite = suite
    return session


@pytest.fixture
def run(api) -> str:
    """The name of a fresh run."""
    answer = api.post(f"{api.base}/projects/default/experiments/0/runs", json={"display_name": "artifacts"})
    answer.raise_for_status()
    return answer.json()["name"]


def put(api, run: str, path: str, content: bytes, **params) -> dict:
    answer = api.put(f"{api.base}/{run}/files/{path}", data=content, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sign(api, name: str, lifetime: str | None = None) -> str:
    answer = api.post(f"{api.base}/{name}:sign", json={"lifetime": lifetime} if lifetime else {})
    assert answer.status_code == 200, answer.text
    return answer.json()["address"]


def test_an_artifact_has_digest_size_type_and_place_and_comes_back_the_same_s1_28_s3_13(api, run):
    content = os.urandom(3_000_001)
    made = put(api, run, "model/weights.bin", content)
    assert made["sha256"] == hashlib.sha256(content).hexdigest()
    assert int(made["size_bytes"]) == len(content)
    assert made["media_type"] == "application/octet-stream"
    assert made["storage_address"].startswith("file:///")
    assert api.get(f"{api.base}/{made['name']}").json() == made
    fetched = api.get(f"{api.base}/{run}/files/model/weights.bin")
    assert hashlib.sha256(fetched.content).hexdigest() == made["sha256"]
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert put(api, run, "plot.png", b"png")["media_type"] == "image/png"


def test_what_was_damaged_in_the_store_is_not_handed_out_as_if_it_were_right_s1_28(api, run):
    made = put(api, run, "precious", b"A" * 100_000)
    [stored] = api.suite.data.glob(f"objects/**/{made['storage_address'].rsplit('/', 1)[1]}")
    with open(stored, "r+b") as damaged:
        damaged.seek(50_000)
        damaged.write(b"B")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        _ = api.get(f"{api.base}/{run}/files/precious").content


def test_content_other_than_announced_is_refused_and_leaves_nothing(api, run):
    answer = api.put(f"{api.base}/{run}/files/a.txt", data=b"hullo", params={"sha256": hashlib.sha256(b"hello").hexdigest()})
    assert answer.status_code == 400 and answer.json()["error"]["details"][0]["reason"] == "CONTENT_MISMATCH", answer.text
    assert api.get(f"{api.base}/{run}/artifacts").json().get("artifacts", []) == []


@pytest.mark.parametrize("path", ["..%2F..%2Fetc%2Fpasswd", "%2e%2e/x", "a/%2e%2e/b", "a%5C..%5Cb", "a%00b", "a%0Ab", "a//b",
                                  "x" * 300])
def test_names_cannot_leave_their_run(api, run, path):
    answer = requests.Request("PUT", f"{api.base}/{run}/files/{path}", data=b"x", headers=api.headers).prepare()
    answer.url = f"{api.base}/{run}/files/{path}"
    assert api.send(answer).status_code in (400, 404)
    assert api.get(f"{api.base}/{run}/artifacts").json().get("artifacts", []) == []


def test_a_signed_address_gives_one_object_without_a_credential_and_ends_s1_34(api, run):
    made = put(api, run, "report.html", b"<script>alert(1)</script>")
    address = sign(api, made["name"])
    fetched = requests.get(address)
    assert (fetched.status_code, fetched.content) == (200, b"<script>alert(1)</script>")
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert fetched.headers["x-content-type-options"] == "nosniff"

    path, query = address.split("?")
    last = path[-1]
    assert requests.get(f"{path[:-1]}{'0' if last != '0' else '1'}?{query}").status_code == 403
    assert requests.get(f"{path}?{query[:-2]}{'A' if query[-2] != 'A' else 'B'}{query[-1]}").status_code == 403
    assert requests.put(address, data=b"other").status_code == 403
    assert requests.get(path).status_code == 403

    short = sign(api, made["name"], lifetime="1s")
    end = time.monotonic() + EXPIRY_SECONDS_MAX
    while (status := requests.get(short).status_code) == 200 and time.monotonic() < end:
        pass
    assert status == 403
    assert requests.get(address).status_code == 200


def test_a_presigned_upload_takes_exactly_what_was_announced_s1_34(api, run):
    content = os.urandom(100_000)
    asked = {"path": "big.bin", "size_bytes": str(len(content)), "sha256": hashlib.sha256(content).hexdigest()}
    begun = api.post(f"{api.base}/{run}/artifacts:beginUpload", json=asked).json()
    early = api.post(f"{api.base}/{run}/artifacts:completeUpload", json={"upload": begun["upload"]})
    assert early.status_code == 404
    assert requests.put(begun["address"], data=content[:-1]).status_code == 400
    assert api.get(f"{api.base}/{run}/artifacts").json().get("artifacts", []) == []
    assert requests.put(begun["address"], data=content, headers=begun.get("headers", {})).status_code == 200
    for _ in range(2):
        made = api.post(f"{api.base}/{run}/artifacts:completeUpload", json={"upload": begun["upload"]})
        assert made.status_code == 200 and made.json()["sha256"] == asked["sha256"], made.text
    assert api.get(f"{api.base}/{run}/files/big.bin").content == content
    forged = begun["upload"][:-3] + ("AAA" if not begun["upload"].endswith("AAA") else "BBB")
    assert api.post(f"{api.base}/{run}/artifacts:completeUpload", json={"upload": forged}).status_code == 404


def test_a_listing_pages_and_deleting_is_final(api, run):
    for n in range(7):
        put(api, run, f"d/{n}", b"x")
    put(api, run, "d-", b"x")
    seen, token = [], ""
    while True:
        page = api.get(f"{api.base}/{run}/artifacts", params={"folder": "d", "page_size": 3, "page_token": token}).json()
        seen += [artifact["path"] for artifact in page["artifacts"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == [f"d/{n}" for n in range(7)]
    name = api.get(f"{api.base}/{run}/artifacts", params={"folder": "d"}).json()["artifacts"][0]["name"]
    assert api.delete(f"{api.base}/{name}").status_code == 200
    assert api.get(f"{api.base}/{name}").status_code == 404
    assert api.get(f"{api.base}/{run}/files/d/0").status_code == 404


