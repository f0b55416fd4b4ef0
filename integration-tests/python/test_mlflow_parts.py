"""Large artifacts: in parts by the unmodified MLflow client, in parts by our own command line, and in ranges."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from s3 import over_s3
from suite import Suite

MLFLOW = Path(__file__).parent.parent / "mlflow"
STORY_SECONDS_MAX = 300
# What the requirement's row says; less of it by default, as most machines' disks and patience are smaller.
LARGE_BYTES = int(os.environ.get("CAIRN_LARGE_BYTES", 80 * 1024 * 1024))


@pytest.fixture(scope="module")
def s3(cairn, tmp_path_factory):
    """A suite that keeps its artifacts in an S3 of its own."""
    with over_s3(cairn, tmp_path_factory.mktemp("s3")) as running:
        yield running


def told(suite: Suite, *args: str) -> dict[str, str]:
    done = subprocess.run([sys.executable, MLFLOW / "parts_story.py", "--uri", suite.url, f"--token={suite.key}", *args],
                          capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if line.count("=") == 1)


def recorded(suite: Suite, run: str) -> list[dict]:
    return suite.cli_json("artifacts", "list", run)


@pytest.mark.parametrize("flags", [(), ("--asks-server",)], ids=["told", "asks"])
@pytest.mark.parametrize("store", ["suite", "s3"])
def test_an_unmodified_client_sends_a_large_file_in_parts(request, store, flags):
    suite = request.getfixturevalue(store)
    story = told(suite, *flags)
    artifacts = recorded(suite, story["run"])
    assert {artifact["sha256"] for artifact in artifacts} == {story["sha256"]} and len(artifacts) == 2


def mpu(suite: Suite, verb: str, run: str, **body) -> requests.Response:
    return requests.post(f"{suite.url}/api/2.0/mlflow-artifacts/mpu/{verb}/0/{run}/artifacts",
                         headers={"Authorization": f"Bearer {suite.key}"}, json={"path": "a.bin", **body})


@pytest.fixture
def run(suite) -> str:
    made = requests.post(f"{suite.url}/api/2.0/mlflow/runs/create", headers={"Authorization": f"Bearer {suite.key}"},
                         json={"experiment_id": "0"})
    return made.json()["run"]["info"]["run_id"]


def test_completing_twice_is_success_and_never_brings_back_what_was_deleted_or_replaced(suite, run):
    begun = mpu(suite, "create", run, num_parts=1).json()
    [slot] = begun["credentials"]
    etag = requests.put(slot["url"], data=b"first").headers["ETag"]
    parts = [{"part_number": 1, "etag": etag}]
    for _ in range(2):
        assert mpu(suite, "complete", run, upload_id=begun["upload_id"], parts=parts).status_code == 200
    [artifact] = recorded(suite, run)
    assert artifact["sha256"] == hashlib.sha256(b"first").hexdigest()
    suite.cli("artifacts", "delete", run, "a.bin")
    assert mpu(suite, "complete", run, upload_id=begun["upload_id"], parts=parts).status_code == 200
    assert recorded(suite, run) == []


@pytest.mark.parametrize("body", [{"num_parts": 0}, {"num_parts": 10_001}, {"num_parts": -1}, {"path": ""},
                                  {"path": "..", "num_parts": 1}, {"path": "a%00b\0", "num_parts": 1}])
def test_an_upload_that_cannot_be_is_refused_at_its_beginning(suite, run, body):
    answer = mpu(suite, "create", run, **body)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


def test_an_upload_is_bound_to_its_run_and_gone_once_given_up(suite, run):
    begun = mpu(suite, "create", run, num_parts=2).json()
    first, second = (slot["url"] for slot in begun["credentials"])
    etag = requests.put(first, data=b"x" * 10).headers["ETag"]
    # Another part's bytes under this part's address, and another verb, are other statements than the one signed.
    assert requests.put(first.replace("part%3D1", "part%3D2"), data=b"y").status_code == 403
    assert requests.get(first).status_code == 403
    other = requests.post(f"{suite.url}/api/2.0/mlflow/runs/create", headers={"Authorization": f"Bearer {suite.key}"},
                          json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    parts = [{"part_number": 1, "etag": etag}]
    assert mpu(suite, "complete", other, upload_id=begun["upload_id"], parts=parts).status_code == 404
    for wrong in ({"path": "b.bin", "parts": parts}, {"parts": [{"part_number": 1, "etag": "0" * 64}]}):
        assert mpu(suite, "complete", run, upload_id=begun["upload_id"], **wrong).status_code == 400
    for _ in range(2):
        assert mpu(suite, "abort", run, upload_id=begun["upload_id"]).status_code == 200
    assert requests.put(second, data=b"y").status_code == 404
    assert mpu(suite, "complete", run, upload_id=begun["upload_id"], parts=parts).status_code == 404
    assert recorded(suite, run) == []


def test_a_download_honours_ranges_on_every_route(suite, run):
    key = {"Authorization": f"Bearer {suite.key}"}
    content = bytes(range(256)) * 4096
    proxied = f"{suite.url}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/r.bin"
    assert requests.put(proxied, data=content, headers=key).status_code == 200
    native = f"{suite.url}/api/v1/projects/default/experiments/0/runs/{run}/files/r.bin"
    signed = suite.cli_json("artifacts", "url", run, "r.bin")["address"]
    for url, headers in [(proxied, key), (native, key), (f"{suite.url}/get-artifact?run_id={run}&path=r.bin", key), (signed, {})]:
        whole = requests.get(url, headers=headers)
        assert (whole.status_code, whole.headers["Accept-Ranges"]) == (200, "bytes")
        assert whole.headers["Content-Length"] == str(len(content)) and whole.content == content
        etag = whole.headers["ETag"]
        part = requests.get(url, headers={**headers, "Range": "bytes=1000-1999", "If-Range": etag})
        assert (part.status_code, part.content) == (206, content[1000:2000])
        assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(content)}"
        assert requests.get(url, headers={**headers, "Range": "bytes=-5"}).content == content[-5:]
        assert requests.get(url, headers={**headers, "Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200
        beyond = requests.get(url, headers={**headers, "Range": f"bytes={len(content)}-"})
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
        known = requests.get(url, headers={**headers, "If-None-Match": etag})
        assert (known.status_code, known.content) == (304, b"")
        head = requests.head(url, headers={**headers, "Range": "bytes=0-9"})
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))


def large(folder: Path) -> tuple[Path, str]:
    """A file that takes little of the disk, and its digest: zeros, with something at each end."""
    file = folder / "checkpoint.bin"
    with open(file, "wb") as out:
        out.write(os.urandom(1 << 20))
        out.seek(LARGE_BYTES - (1 << 20))
        out.write(os.urandom(1 << 20))
    digest = hashlib.sha256()
    with open(file, "rb") as whole:
        while block := whole.read(1 << 22):
            digest.update(block)
    return file, digest.hexdigest()


@pytest.mark.parametrize("store", ["suite", "s3"])
def test_an_upload_in_parts_goes_on_after_its_client_was_killed(request, store, tmp_path):
    suite = request.getfixturevalue(store)
    file, digest = large(tmp_path)
    made = requests.post(f"{suite.url}/api/2.0/mlflow/runs/create", headers={"Authorization": f"Bearer {suite.key}"},
                         json={"experiment_id": "0"})
    run = made.json()["run"]["info"]["run_id"]
    env = {**suite.env, "CAIRN_URL": suite.url, "CAIRN_API_KEY": suite.key, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [suite.cairn, "--json", "artifacts", "upload", run, file]
    client = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    api = f"{suite.url}/api/v1/projects/default/experiments/0/runs/{run}/artifacts"

    def arrived() -> int:
        for notes in (tmp_path / "state").rglob("*.json"):
            upload = notes.read_text().split('"upload":"')[1].split('"')[0]
            asked = requests.post(f"{api}:signUploadParts", json={"upload": upload, "part_count": 1000},
                                  headers={"Authorization": f"Bearer {suite.key}"}).json()
            return sum(part.get("is_stored", False) for part in asked["parts"])
        return 0

    end = time.monotonic() + STORY_SECONDS_MAX
    while arrived() == 0:
        assert client.poll() is None, "the upload was done before it could be killed"
        assert time.monotonic() < end, "no part arrived"
    client.send_signal(signal.SIGKILL)
    client.wait()
    before = arrived()
    assert before > 0 and recorded(suite, run) == []

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    [artifact] = recorded(suite, run)
    assert (artifact["sha256"], int(artifact["size_bytes"])) == (digest, LARGE_BYTES)
    assert list((tmp_path / "state").rglob("*.json")) == []


def test_an_upload_is_completed_though_that_takes_longer_than_a_call_may(cairn, tmp_path):
    file, digest = large(tmp_path)
    with over_s3(cairn, tmp_path / "s3", CAIRN__GATEWAY__REQUEST_TIMEOUT_MS="1000") as suite:
        made = requests.post(f"{suite.url}/api/2.0/mlflow/runs/create", headers={"Authorization": f"Bearer {suite.key}"},
                             json={"experiment_id": "0"})
        run = made.json()["run"]["info"]["run_id"]
        done = suite.cli("artifacts", "upload", run, str(file))
        assert done.returncode == 0, done.stderr
        [artifact] = recorded(suite, run)
        assert artifact["sha256"] == digest
