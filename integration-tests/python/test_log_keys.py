"""The log gets a new key without anybody losing sight of it, and a new name when it can no longer be what was signed."""

import json
import shutil
import subprocess
import uuid

import requests

import tlog
from api import Api, eventually
from suite import Suite, one_process
from witness import Witness

VERIFIED, REFUTED, UNUSABLE = range(3)


def ok(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def keys(suite: Suite) -> list[str]:
    """What the log is signed with, each signature of a newest checkpoint being one of them."""
    return [key["verifying_key"] for key in signing(suite)["keys"]]


def signing(suite: Suite) -> dict:
    return suite.cli_json("audit", "signing")


def verify(cairn, *args) -> subprocess.CompletedProcess:
    return subprocess.run([cairn, "audit", "verify", *map(str, args)], env={}, capture_output=True, text=True)


def checkpoint(suite: Suite, tmp_path) -> str:
    """A checkpoint over everything that has happened, and one thing more."""
    run = Api(suite).run("something happens")
    position = suite.cli_json("events", "history", run)[0]["position"]
    ok(suite.cli("audit", "prove", position, "--to", str(tmp_path / "any.proof")))
    return ok(suite.cli("audit", "checkpoint")).rstrip("\n") + "\n"


def pull(suite: Suite, folder) -> str:
    """A copy of the log with everything that has happened; its checkpoint."""
    checkpoint(suite, folder.parent)
    ok(suite.cli("audit", "pull", str(folder)))
    return (folder / "checkpoint").read_text()


def test_a_new_key_signs_beside_the_old_and_is_believed_for_its_sake(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        Api(suite).run("first")
        (old,) = keys(suite)
        rotated = suite.cli_json("audit", "rotate-key", "--overlap-days", "30")
        assert [key["verifying_key"] for key in rotated["keys"]][:1] == [old]
        assert "retire_time" in rotated["keys"][0] and "retire_time" not in rotated["keys"][1]
        (change,) = rotated["changes"]
        new = rotated["keys"][1]["verifying_key"]
        assert (change["verifying_key"], change["origin"]) == (new, rotated["origin"])
        assert "SigningKeyRotated" in ok(suite.cli("events", "list", "--json"))

        folder = tmp_path / "log"
        note = pull(suite, folder)
        for key in (old, new):
            tlog.checkpoint(note, key)
            assert verify(cairn, folder, "--key", key).returncode == VERIFIED
        proof = tmp_path / "rotation"
        ok(suite.cli("audit", "prove", change["position"], "--to", str(proof)))
        run = tmp_path / "run"
        ok(suite.cli("audit", "prove", "1", "--to", str(run)))
    assert (suite.folder("ledger") / "ledger/keys.json").stat().st_mode & 0o777 == 0o600

    # Once the old key has stopped, whoever knows only that one follows the proof of the rotation.
    text, signatures = note.split("\n\n")
    signatures = [line for line in signatures.splitlines() if line]
    assert len(signatures) == 2
    (folder / "checkpoint").write_text(f"{text}\n\n{signatures[1]}\n")
    assert verify(cairn, folder, "--key", old).returncode == REFUTED
    assert verify(cairn, folder, "--key", old, "--rotation", proof).returncode == VERIFIED
    assert verify(cairn, folder, "--key", old, "--rotation", run).returncode == UNUSABLE, "that brings no key"
    stranger = f"cairn.invalid/other+{new.split('+', 1)[1]}"
    assert verify(cairn, folder, "--key", stranger, "--rotation", proof).returncode != VERIFIED

    with Suite(cairn, tmp_path / "data") as suite:
        assert keys(suite) == [old, new], "a restart signs on with both"
        tlog.checkpoint(pull(suite, tmp_path / "later"), old)


def test_a_stolen_key_stops_at_once_and_a_repeated_request_makes_no_second_one(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        Api(suite).run("first")
        (old,) = keys(suite)
        body = {"overlap": "0s", "request_id": str(uuid.uuid4())}
        path = "/api/v1/audit/signing:rotateKey"
        first = Api(suite).request("POST", path, json=body)
        assert first.status_code == 200, first.text
        (new,) = [key["verifying_key"] for key in first.json()["keys"]]
        assert new != old
        again = Api(suite).request("POST", path, json=body)
        assert again.json() == first.json()
        folder = tmp_path / "log"
        pull(suite, folder)
        assert verify(cairn, folder, "--key", old).returncode == REFUTED
        assert verify(cairn, folder, "--key", new).returncode == VERIFIED
        refused = Api(suite).request("POST", path, json={"overlap": "864000000s"})
        assert refused.status_code == 400 and "overlap" in refused.text
        for _ in range(7):
            ok(suite.cli("audit", "rotate-key"))
        full = suite.cli("audit", "rotate-key")
        assert full.returncode != 0 and "SIGNING_KEYS_TOO_MANY" in full.stderr, full.stderr
        assert len(keys(suite)) == 8

        ann = suite.cli_json("users", "create", "ann")["name"]
        ann = suite.cli_json("keys", "create", "--owner", ann)["secret"]
        for command in (["signing"], ["rotate-key"], ["open-epoch", "--ends", "x", "--reason", "y"]):
            denied = suite.cli("audit", *command, key=ann)
            assert denied.returncode != 0 and "ACCESS_DENIED" in denied.stderr, denied.stderr
    seeds = json.loads((suite.folder("ledger") / "ledger/keys.json").read_text())["keys"]
    assert len(seeds) == 8, "the secret of the stolen key is destroyed"


@one_process("the log is in the data folder")
def test_a_restored_backup_signs_nothing_until_an_epoch_is_opened_that_says_what_was_lost(cairn, tmp_path):
    data = tmp_path / "data"
    with Suite(cairn, data) as suite:
        Api(suite).run("first")
        (old_key,) = keys(suite)
    with Witness(cairn, tmp_path / "witness", old_key) as witness:
        with Suite(cairn, data, env=witness.setting) as suite:
            before = tmp_path / "before.checkpoint"
            before.write_text(checkpoint(suite, tmp_path))
        shutil.copytree(data, tmp_path / "backup")
        with Suite(cairn, data, env=witness.setting) as suite:
            folder = tmp_path / "old"
            after = tmp_path / "after.checkpoint"
            after.write_text(pull(suite, folder))
            old = signing(suite)
        shutil.rmtree(data)
        shutil.copytree(tmp_path / "backup", data)
        with Suite(cairn, data, env=witness.setting) as suite:
            mismatch = eventually(lambda: signing(suite).get("mismatch"))
            assert "witness.example has seen" in mismatch
            assert "NOTHING IS SIGNED" in ok(suite.cli("audit", "signing"))
            wrong = suite.cli("audit", "open-epoch", "--ends", "another", "--reason", "restored")
            assert wrong.returncode != 0 and "EPOCH_NOT_CURRENT" in wrong.stderr, wrong.stderr
            silent = suite.cli("audit", "open-epoch", "--ends", old["origin"], "--reason", " ")
            assert silent.returncode != 0 and "reason" in silent.stderr

            reason = "restored from the backup of monday"
            opened = suite.cli_json("audit", "open-epoch", "--ends", old["origin"], "--reason", reason)
            assert (opened["epoch"], "mismatch" in opened) == (2, False)
            assert opened["origin"].startswith(f"{old['origin']}/2-")
            (change,) = opened["changes"]
            ended = change["ended"]
            assert (change["reason"], ended["origin"]) == (reason, old["origin"])
            size_before = tlog.checkpoint(before.read_text(), old_key)[1]
            assert int(ended["kept_size"]) == int(ended["signed_size"]) >= size_before, "all that this copy has seen"
            (new_key,) = [key["verifying_key"] for key in opened["keys"]]

            again = tmp_path / "new"
            refused = suite.cli("audit", "pull", str(folder))
            assert refused.returncode != 0 and "keep it" in refused.stderr, "the old copy is evidence"
            note = pull(suite, again)
            origin, size, _ = tlog.checkpoint(note, new_key)
            assert origin == opened["origin"] and size > int(ended["found_size"]), "the first covers the opening"
            assert "cairn_ledger_tree_mismatch 0" in requests.get(f"{suite.url}/api/v1/metrics", timeout=20).text
            proof = tmp_path / "opening"
            ok(suite.cli("audit", "prove", change["position"], "--to", str(proof)))
            assert "EpochOpened" in ok(verify(cairn, proof, "--key", new_key))
        # What was known before the backup is in the new epoch's log; what was known after it is not.
        both = ["--key", old_key, "--key", new_key]
        known = verify(cairn, again, *both, "--known", before)
        assert known.returncode == VERIFIED and f"known before as {old['origin']}" in known.stdout, known.stderr
        lost = verify(cairn, again, *both, "--known", after)
        assert lost.returncode == REFUTED, lost.stdout
        assert verify(cairn, folder, "--key", old_key).returncode == VERIFIED, "the old copy stays true"
    with Witness(cairn, tmp_path / "witness", old_key, new_key) as witness:
        with Suite(cairn, data, env=witness.setting) as suite:
            assert signing(suite)["origin"] == opened["origin"], "a restart signs on in the new epoch"
            note = pull(suite, again)
            assert "\u2014 witness.example " in note, "the witness vouches for the new name too"


@one_process("the log is in the data folder")
def test_an_epoch_tells_what_a_cut_log_has_lost(cairn, tmp_path):
    data = tmp_path / "data"
    with Suite(cairn, data) as suite:
        checkpoint(suite, tmp_path)
    shutil.copytree(data, tmp_path / "backup")
    with Suite(cairn, data) as suite:
        (key,) = keys(suite)
        lost = tlog.checkpoint(checkpoint(suite, tmp_path), key)[1]
    # The ledger's own folder was not in the backup: it knows what was signed.
    ledger = tmp_path / "ledger"
    shutil.copytree(data / "ledger", ledger)
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "backup", data)
    shutil.rmtree(data / "ledger")
    shutil.copytree(ledger, data / "ledger")
    with Suite(cairn, data) as suite:
        assert eventually(lambda: signing(suite).get("mismatch"))
        ends = signing(suite)["origin"]
        body = {"ended_origin": ends, "reason": "a disk was lost", "request_id": str(uuid.uuid4())}
        path = "/api/v1/audit/signing:openEpoch"
        opened = Api(suite).request("POST", path, json=body).json()
        ok(suite.cli("audit", "checkpoint"))
        assert Api(suite).request("POST", path, json=body).json() == opened, "a repeat opens no other"
        ok(suite.cli("audit", "checkpoint"))
        ended = opened["changes"][0]["ended"]
        assert int(ended["signed_size"]) >= lost > int(ended["kept_size"]) > 0
        assert tlog.checkpoint(ended["checkpoint"], key)[1] == int(ended["signed_size"])
        tlog.checkpoint(checkpoint(suite, tmp_path), opened["keys"][0]["verifying_key"])
