"""An auditor without an account verifies the log with files alone: with our command line, which then knows no server, and
with a verifier that has nothing of ours."""

import base64
import csv
import hashlib
import io
import json
import shutil
import subprocess

import pytest

import tlog
from api import Api
from suite import Suite

VERIFIED, REFUTED, UNUSABLE = range(3)


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    with Suite(cairn, tmp_path_factory.mktemp("proofs") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def key(suite) -> str:
    """What the log is verified with, as an auditor got it once."""
    run(suite, "the first")
    return ok(suite.cli("audit", "checkpoint", "--keys")).strip()


def ok(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(suite, name: str) -> str:
    """A run, and the position of its first event."""
    created = Api(suite).run(name)
    return suite.cli_json("events", "history", created)[0]["position"]


def verify(cairn, *args) -> subprocess.CompletedProcess:
    """With no address, no key and no variable of ours."""
    return subprocess.run([cairn, "audit", "verify", *map(str, args)], env={}, capture_output=True, text=True)


def test_an_event_is_proven_by_one_file(suite, cairn, key, tmp_path):
    position = run(suite, "proven")
    file = tmp_path / "run.tlog-proof"
    ok(suite.cli("audit", "prove", position, "--to", str(file)))
    done = verify(cairn, file, "--key", key)
    assert done.returncode == VERIFIED and "RunCreated" in done.stdout and f"event {position}" in done.stdout, done.stderr

    proof, note = file.read_text().split("\n\n", 1)
    header, extra, index, *hashes = proof.splitlines()
    assert header == "c2sp.org/tlog-proof@v1"
    told = json.loads(base64.b64decode(extra.removeprefix("extra ")))
    _, size, root = tlog.checkpoint(note, key)
    siblings = [base64.b64decode(line) for line in hashes]
    assert tlog.root_of_proof(told["entry"].encode(), int(index.removeprefix("index ")), size, siblings) == root
    salted = base64.b64decode(told["salt"]) + base64.b64decode(told["payload"])
    digest = base64.b64encode(hashlib.sha256(salted).digest()).decode()
    assert json.loads(told["entry"])["payload_sha256"] == digest
    assert b"proven" in base64.b64decode(told["payload"]), "the data is the event's"


def test_a_proof_that_was_touched_is_refuted(suite, cairn, key, tmp_path):
    file = tmp_path / "true.tlog-proof"
    ok(suite.cli("audit", "prove", run(suite, "touched"), "--to", str(file)))
    lines = file.read_text().splitlines(keepends=True)
    told = json.loads(base64.b64decode(lines[1].removeprefix("extra ")))

    def with_extra(**changed) -> list[str]:
        extra = base64.b64encode(json.dumps({**told, **changed}).encode()).decode()
        return [lines[0], f"extra {extra}\n", *lines[2:]]

    another = base64.b64encode(b"another").decode()
    touched = {
        "entry": with_extra(entry=told["entry"].replace('"principal":"', '"principal":"users/mallory')),
        "payload": with_extra(payload=another),
        "salt": with_extra(salt=another),
        "index": [*lines[:2], "index 0\n", *lines[3:]],
        "hash": [*lines[:3], base64.b64encode(b"0" * 32).decode() + "\n", *lines[4:]],
        "size": [line.replace(line, f"{int(line) + 1}\n") if line.strip().isdigit() else line for line in lines],
    }
    for what, changed in touched.items():
        (tmp_path / what).write_text("".join(changed))
        done = verify(cairn, tmp_path / what, "--key", key)
        assert done.returncode == REFUTED and "REFUTED" in done.stderr, f"{what}: {done.stdout}{done.stderr}"
    assert verify(cairn, tmp_path / "missing", "--key", key).returncode == UNUSABLE
    (tmp_path / "empty").write_text("")
    assert verify(cairn, tmp_path / "empty", "--key", key).returncode == UNUSABLE


def test_a_copied_log_is_verified_and_whatever_is_wrong_in_it_is_found(suite, cairn, key, tmp_path):
    Api(suite).run("many")
    known = tmp_path / "known"
    known.write_text(ok(suite.cli("audit", "checkpoint")))
    for number in range(300):
        Api(suite).run(f"run {number}")
    last = run(suite, "the last")
    ok(suite.cli("audit", "prove", last, "--to", str(tmp_path / "last")))
    log = tmp_path / "log"
    ok(suite.cli("audit", "pull", str(log)))
    done = verify(cairn, log, "--key", key, "--known", known)
    assert done.returncode == VERIFIED, done.stderr

    _, size, root = tlog.checkpoint((log / "checkpoint").read_text(), key)
    entries = tlog.entries(log, size)
    assert tlog.root([tlog.leaf(entry) for entry in entries]) == root
    positions = [json.loads(entry)["position"] for entry in entries]
    assert positions == sorted(set(positions)) and int(last) in positions

    # One bit of one entry: found, and where.
    bad = tmp_path / "flipped"
    shutil.copytree(log, bad)
    bundle = bad / "tile/entries/000"
    data = bytearray(bundle.read_bytes())
    at = data.index(b'"principal"', 2000)
    data[at + 15] ^= 1
    bundle.write_bytes(data)
    done = verify(cairn, bad, "--key", key)
    wrong = next(n for n in range(tlog.TILE_WIDTH) if entries[n] not in bytes(data))
    assert done.returncode == REFUTED and f"entry {wrong} (position {positions[wrong]})" in done.stderr, done.stderr

    # A bundle that lacks its last entry, and one that is not there.
    (bad / "tile/entries/000").write_bytes((log / "tile/entries/000").read_bytes()[:-1])
    assert verify(cairn, bad, "--key", key).returncode == REFUTED
    (bad / "tile/entries/000").unlink()
    assert verify(cairn, bad, "--key", key).returncode == UNUSABLE

    # Another history, signed by the same log: whoever kept a checkpoint finds out.
    older = tmp_path / "older"
    older.write_text((log / "checkpoint").read_text())
    shutil.copytree(log, tmp_path / "rolled back")
    (tmp_path / "rolled back/checkpoint").write_text(known.read_text())
    done = verify(cairn, tmp_path / "rolled back", "--key", key, "--known", older)
    assert done.returncode == REFUTED and "it was cut" in done.stderr, done.stderr


def test_what_audits_find_is_exported_and_every_row_is_provable_s3_26_s4_135(suite, cairn, key, tmp_path):
    created = Api(suite).run("audited")
    make = suite.cli_json("service-accounts", "create", "powerless")["name"]
    secret = suite.cli_json("keys", "create", "--owner", make)["secret"]
    assert suite.cli("runs", "get", created, key=secret).returncode == 5
    history = suite.cli_json("events", "history", created)
    times = ["--from", history[0]["event_time"]]
    action = ["--action", "experiments.runs.create", *times]
    for asked in (["--principal", make], action, ["--resource", created], times):
        found = suite.cli_json("audit", "list", "--limit", "1000", *asked)
        rows = [json.loads(line) for line in ok(suite.cli("audit", "export", "--format", "jsonl", *asked)).splitlines()]
        assert [row["position"] for row in rows[:len(found)]] == [row["position"] for row in reversed(found)], asked
        table = list(csv.DictReader(io.StringIO(ok(suite.cli("audit", "export", "--format", "csv", *asked)))))
        assert [row["position"] for row in table][:len(rows)] == [row["position"] for row in rows]
        assert rows, asked
        for row in rows:
            file = tmp_path / row["position"]
            ok(suite.cli("audit", "prove", row["position"], "--to", str(file)))
            done = verify(cairn, file, "--key", key)
            assert done.returncode == VERIFIED and row["type"] in done.stdout, done.stderr


def test_a_log_verifies_under_no_other_key(cairn, suite, key, tmp_path):
    with Suite(cairn, tmp_path / "other") as other:
        run(other, "elsewhere")
        foreign = ok(other.cli("audit", "checkpoint", "--keys")).strip()
    file = tmp_path / "p"
    ok(suite.cli("audit", "prove", run(suite, "ours"), "--to", str(file)))
    done = verify(cairn, file, "--key", foreign)
    assert done.returncode == REFUTED and "none of the keys" in done.stderr
    assert verify(cairn, file, "--key", "nonsense").returncode == UNUSABLE
    keys = tmp_path / "keys"
    keys.write_text(f"{foreign}\n{key}\n")
    assert verify(cairn, file, "--key", keys).returncode == VERIFIED


def test_a_restart_signs_on(suite, cairn, key, tmp_path):
    known = tmp_path / "known"
    known.write_text(ok(suite.cli("audit", "checkpoint")))
    suite.stop()
    shutil.rmtree(suite.folder("ledger") / "views")
    suite.start()
    ok(suite.cli("audit", "prove", run(suite, "after"), "--to", str(tmp_path / "p")))
    ok(suite.cli("audit", "pull", str(tmp_path / "log")))
    done = verify(cairn, tmp_path / "log", "--key", key, "--known", known)
    assert done.returncode == VERIFIED and "known before" in done.stdout, done.stderr
