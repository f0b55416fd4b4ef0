"""The log moves to another engine with one command, and everything that was made from it goes on."""

import json
import shutil
import subprocess

import pytest

import postgres_server
from api import Api
from postgres_server import Postgres
from suite import Suite
from test_crash import verify_views

pytestmark = pytest.mark.skipif(not postgres_server.PROGRAMS, reason="no PostgreSQL: `make test-python` installs Debian's")


@pytest.fixture
def server():
    with Postgres() as running:
        yield running


def ok(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def filled(api: Api) -> list[str]:
    """Some of everything; gives what to ask for afterwards."""
    places = ["projects/default"]
    for number in range(3):
        run = api.run(f"run {number}")
        points = [{"key": "loss", "value": 1 / (step + 1), "step": str(step)} for step in range(50)]
        assert api.post(f"{run}:logBatch", json={"batch_id": "b", "metrics": points}).ok
        places.append(run)
    model = api.make("projects/default/models", {"display_name": "kept"})
    for _ in range(2):
        api.make(f"{model['name']}/versions", {"model_version": {"framework": "sklearn"}})
    return [*places, model["name"], f"{model['name']}/versions/2"]


def test_history_moves_to_postgresql_and_back_and_keeps_every_position_digest_and_proof(cairn, tmp_path, server):
    """The folder is the same all the time; read models, keys and signed checkpoints are not touched."""
    data, address = tmp_path / "data", tmp_path / "database"
    address.write_text(server.url() + "\n")

    def offline(*args: str) -> dict:
        return json.loads(ok(subprocess.run([cairn, "--json", "events", *args], env={}, capture_output=True, text=True)))

    def verified(proof, key: str) -> None:
        ok(subprocess.run([cairn, "audit", "verify", proof, "--key", key], env={}, capture_output=True, text=True))

    embedded = Suite(cairn, data)
    with embedded as suite:
        places = filled(Api(suite))
        answers = [Api(suite).get(name).json() for name in places]
        key = ok(suite.cli("audit", "checkpoint", "--keys")).strip()
        position = suite.cli_json("events", "history", places[1])[0]["position"]
        ok(suite.cli("audit", "prove", position, "--to", str(tmp_path / "before.tlog-proof")))
        known = tmp_path / "known"
        known.write_text(ok(suite.cli("audit", "checkpoint")))
        in_use = suite.cli("events", "digest", "--data", str(data))
        assert in_use.returncode == 1 and "in use" in in_use.stderr, in_use.stderr

    before = offline("digest", f"sqlite:{data}/events/events.db")
    moved = offline("migrate", "--data", str(data), "--to", f"@{address}", "--switch")
    assert {key: moved[key] for key in before} == before
    assert int(before["events"]) > 20 and before == offline("digest", f"@{address}")
    assert not (data / "events/events.db").exists() and (data / "events/set-aside/events.db").exists()
    # What belongs to this log cannot go on with another, nor begin anew.
    lost = subprocess.run([cairn, "up", "--data", data], env={"API_HTTP_PORT": "0", "API_GRPC_PORT": "0"}, capture_output=True, text=True, timeout=30)
    assert lost.returncode == 1 and "another engine" in lost.stderr, lost.stderr

    on_postgres = Suite(cairn, data, {"DATABASE_URL": server.url()})
    with on_postgres as suite:
        api = Api(suite)
        assert [api.get(name).json() for name in places] == answers
        verified(tmp_path / "before.tlog-proof", key)
        added = api.run("after the move")
        last = suite.cli_json("events", "history", added)[0]["position"]
        assert int(last) > int(before["end_position"])
        ok(suite.cli("audit", "prove", last, "--to", str(tmp_path / "after.tlog-proof")))
        verified(tmp_path / "after.tlog-proof", key)
        # The signed log goes on from what was signed before.
        pulled = tmp_path / "pulled"
        ok(suite.cli("audit", "pull", str(pulled)))
        ok(subprocess.run([cairn, "audit", "verify", pulled, "--key", key, "--known", known], env={}, capture_output=True, text=True))
    verify_views(on_postgres)

    # The key of the first administrator is the one that was used last.
    embedded.key = embedded.env["CAIRN_API_KEY"] = on_postgres.key
    back = offline("migrate", "--from", f"@{address}", "--to", f"sqlite:{data}/events/events.db", "--data", str(data), "--switch")
    assert int(back["events"]) > int(before["events"])
    with embedded as suite:
        assert [Api(suite).get(name).json() for name in [*places, added]][:-1] == answers
    verify_views(embedded)


def test_a_log_is_exported_to_a_file_and_imported_from_it(cairn, tmp_path):
    source, target, file = Suite(cairn, tmp_path / "source"), tmp_path / "target", tmp_path / "log.jsonl"
    with source as suite:
        places = filled(Api(suite))
        answers = [Api(suite).get(name).json() for name in places]

    def events(*args: str) -> subprocess.CompletedProcess:
        return subprocess.run([cairn, "--json", "events", *args], env={}, capture_output=True, text=True)

    part = json.loads(ok(events("export", "--data", str(source.data), "--to", str(file))))
    with source as suite:
        places.append(Api(suite).run("meanwhile"))
        answers.append(Api(suite).get(places[-1]).json())
    # The same command again adds what has come since.
    whole = json.loads(ok(events("export", "--data", str(source.data), "--to", str(file))))
    assert int(whole["events"]) > int(part["events"])
    kinds = [event["type"] for line in file.open() for event in json.loads(line).get("events", [])]
    assert "cairn.experiments.events.v1.RunCreated" in kinds, "people can read it"
    imported = json.loads(ok(events("import", str(file), "--data", str(target))))
    assert imported == whole == json.loads(ok(events("digest", "--data", str(target))))
    # Keys are not in the log: they are taken along. Read models are made again.
    shutil.copytree(source.data, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("events", "views"))
    with Suite(cairn, target) as suite:
        assert [Api(suite).get(name).json() for name in places] == answers
    other = Suite(cairn, tmp_path / "other")
    with other as suite:
        filled(Api(suite))
    refused = events("import", str(file), "--data", str(other.data))
    assert refused.returncode == 1 and "holds something else" in refused.stderr, refused.stderr


def test_bad_addresses_are_refused_with_what_to_do(cairn, tmp_path):
    def refused(*args: str) -> str:
        done = subprocess.run([cairn, "events", *args], env={}, capture_output=True, text=True)
        assert done.returncode != 0
        return done.stderr

    said = refused("migrate", "--data", str(tmp_path), "--to", "postgres://cairn:hunter2@db.example/cairn")
    assert "@FILE" in said
    assert "no log at" in refused("digest", f"sqlite:{tmp_path}/none.db")
    assert "sqlite:PATH" in refused("digest", "mysql://db.example/cairn")
    assert "--switch" in refused("migrate", "--data", str(tmp_path), "--to", f"sqlite:{tmp_path}/elsewhere.db", "--switch")
