"""A witness finds out what a log alone cannot: that it was rolled back, or goes on in another way."""

import base64
import shutil
import subprocess

import pytest
import requests

import tlog
from api import Api, eventually
from suite import Suite, one_process
from witness import Witness

VERIFIED, REFUTED, UNUSABLE = range(3)


def ok(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def log_key(cairn, tmp_path) -> str:
    """The key of the log in the folder `data`, made by a first start."""
    with Suite(cairn, tmp_path / "data") as suite:
        return ok(suite.cli("audit", "checkpoint", "--keys")).strip()


def refusal(suite: Suite) -> str | None:
    done = suite.cli("audit", "checkpoint")
    return done.stderr if done.returncode else None


@one_process("the log is in the data folder")
def test_a_witness_vouches_and_a_rolled_back_log_is_found_out(cairn, tmp_path, log_key):
    data = tmp_path / "data"
    with Witness(cairn, tmp_path / "witness", log_key) as witness:
        with Suite(cairn, data, env=witness.setting) as suite:
            Api(suite).run("before the backup")
        shutil.copytree(data, tmp_path / "backup")
        with Suite(cairn, data, env=witness.setting) as suite:
            Api(suite).run("after the backup")
            position = suite.cli_json("audit", "list", "--limit", "1")[0]["position"]
            proof = tmp_path / "proof"
            ok(suite.cli("audit", "prove", position, "--to", str(proof)))
            note = proof.read_text().split("\n\n", 1)[1]
        keys = ["--key", log_key, "--key", witness.key]
        verified = subprocess.run([cairn, "audit", "verify", proof, *keys], env={}, capture_output=True, text=True)
        assert verified.returncode == VERIFIED, verified.stderr
        assert "\u2014 witness.example " in note, "the witness has signed too"
        alone = [cairn, "audit", "verify", proof, "--key", witness.key]
        assert subprocess.run(alone, env={}, capture_output=True).returncode == REFUTED, "it does not speak for the log"

        shutil.rmtree(data)
        shutil.copytree(tmp_path / "backup", data)
        with Suite(cairn, data, env=witness.setting) as suite:
            told = eventually(lambda: refusal(suite))
            assert "LOG_MISMATCH" in told
            Api(suite).run("the suite itself goes on")
            assert "LOG_MISMATCH" in refusal(suite)
            assert "cairn_ledger_tree_mismatch 1" in requests.get(f"{suite.url}/api/v1/metrics", timeout=20).text


def test_a_log_goes_on_without_a_witness_that_is_away(cairn, tmp_path, log_key):
    with Witness(cairn, tmp_path / "witness", log_key) as witness:
        setting = witness.setting
    with Suite(cairn, tmp_path / "data", env=setting) as suite:
        Api(suite).run("nobody vouches")
        note = ok(suite.cli("audit", "checkpoint"))
        assert "witness.example" not in note
        tlog.checkpoint(note, log_key)


def test_a_witness_refuses_what_the_protocol_says(cairn, tmp_path, log_key):
    with Suite(cairn, tmp_path / "data") as suite:
        Api(suite).run("one")
        note = ok(suite.cli("audit", "checkpoint")).rstrip("\n") + "\n"
    origin, size, _ = tlog.checkpoint(note, log_key)
    with Witness(cairn, tmp_path / "witness", log_key) as witness:
        answer = witness.offer(f"old 0\n\n{note}")
        assert answer.status_code == 200 and answer.text.startswith("\u2014 witness.example "), answer.text
        signature = base64.b64decode(answer.text.split(" ")[2])
        assert len(signature) == 4 + 8 + 64

        again = witness.offer(f"old 0\n\n{note}")
        assert (again.status_code, again.text) == (409, f"{size}\n")
        assert again.headers["content-type"] == "text/x.tlog.size"
        assert witness.offer(f"old {size}\n\n{note}").status_code == 200
        assert witness.offer(f"old {size + 1}\n\n{note}").status_code == 400
        assert witness.offer("nonsense").status_code == 400
        forged = note.replace(f"\n{size}\n", f"\n{size + 1}\n")
        assert witness.offer(f"old {size}\n\n{forged}").status_code == 403
        foreign = note.replace(origin, "log.example")
        assert witness.offer(f"old 0\n\n{foreign}").status_code == 404
        mode = (tmp_path / "witness/witness.key").stat().st_mode & 0o777
        assert mode == 0o600
    with Witness(cairn, tmp_path / "witness", log_key) as witness:
        assert witness.offer(f"old 0\n\n{note}").status_code == 409, "it remembers"
