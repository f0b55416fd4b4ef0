"""The suite with its log in PostgreSQL, by nothing but `DATABASE_URL`."""

import os
import re
import subprocess
import time

import pytest

import postgres_server
from api import Api, eventually
from load import Load
from postgres_server import Postgres
from suite import Suite
from test_crash import verify_views, wait_until

pytestmark = pytest.mark.skipif(not postgres_server.PROGRAMS, reason="no PostgreSQL: `make test-python` installs Debian's")


@pytest.fixture
def server():
    with Postgres() as running:
        yield running


def test_runs_and_models_are_there_after_a_restart_and_the_log_is_in_the_database(cairn, tmp_path, server):
    suite = Suite(cairn, tmp_path / "data", {"DATABASE_URL": server.url()})
    with suite:
        api = Api(suite)
        run = api.run("trained on PostgreSQL")
        assert api.post(f"{run}:logBatch", json={"batch_id": "b", "metrics": [{"key": "loss", "value": 0.25, "step": "1"}]}).ok
        model = api.make("projects/default/models", {"display_name": "kept"})
        api.make(f"{model['name']}/versions", {"model_version": {"framework": "sklearn"}})
        before = [api.get(name).json() for name in (run, model["name"], f"{model['name']}/versions/1")]
    assert not (suite.data / "events/events.db").exists()
    assert "events" in server.query("SELECT tablename FROM pg_tables WHERE schemaname = 'cairn_events'")
    assert any(kind.startswith("cairn.registry.events.v1.") for kind in server.query("SELECT name FROM cairn_events.kinds"))
    # Views are made again from what the database holds.
    for view in (suite.data / "views").iterdir():
        view.unlink()
    with suite:
        api = Api(suite)
        assert [api.get(name).json() for name in (run, model["name"], f"{model['name']}/versions/1")] == before
    assert server.query("SELECT count(*) = max(position) FROM cairn_events.events") == ["t"]
    verify_views(suite)


def test_a_wrong_password_stops_the_start_within_five_seconds_and_is_tried_once_s1_60(cairn, tmp_path, server):
    env = {**os.environ, "DATABASE_URL": server.url("hunter2"), "API_HTTP_PORT": "0", "API_GRPC_PORT": "0", "RUST_LOG": "debug"}
    began = time.monotonic()
    done = subprocess.run([cairn, "--json", "up", "--data", tmp_path / "data"], env=env, capture_output=True, text=True, timeout=30)
    assert time.monotonic() - began < 5
    assert done.returncode == 1
    assert '"reason":"DB_AUTH_FAILED"' in done.stderr.replace(" ", "") and "password authentication failed" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert (server.folder / "log").read_text().count("password authentication failed") == 1
    shown = subprocess.run([cairn, "config", "explain"], env=env, capture_output=True, text=True, timeout=30)
    assert re.search(r"events_postgres.url = .*hidden.*DATABASE_URL", shown.stdout), shown.stdout
    assert "hunter2" not in shown.stdout + shown.stderr


def test_nothing_acknowledged_is_lost_when_the_database_goes_and_comes_again(cairn, tmp_path, server):
    suite = Suite(cairn, tmp_path / "data", {"DATABASE_URL": server.url(), "CAIRN__EVENTS_POSTGRES__OUTAGE_MS": "100"})
    suite.start()
    try:
        load = Load(suite, writers=4)
        load.start()
        for end in (server.stop, server.crash):
            before = load.acknowledged()
            wait_until(lambda: load.acknowledged() > before + 20, "writes")
            end()
            refused = sum(len(writer.refused) for writer in load.writers)
            wait_until(lambda: sum(len(writer.refused) for writer in load.writers) > refused, "a refusal that says why")
            server.start()
            before = load.acknowledged()
            wait_until(lambda: load.acknowledged() > before + 20, "writes after the database came again")
        load.stop()
        load.check()
        answers = [text for writer in load.writers for text in writer.refused]
        assert answers and all("UNAVAILABLE" in text for text in answers), answers[:3]
        assert not any(postgres_server.PASSWORD in text for text in answers)
        # Readiness follows the database, too.
        assert eventually(lambda: Api(suite).get("health").json()["status"] == "healthy")
    finally:
        assert suite.stop() == 0
    assert server.query("SELECT count(*) = max(position) FROM cairn_events.events") == ["t"]
    assert postgres_server.PASSWORD not in suite.log.read_text()
    verify_views(suite)


def test_a_data_folder_belongs_to_one_log(cairn, tmp_path, server):
    suite = Suite(cairn, tmp_path / "data", {"DATABASE_URL": server.url()})
    with suite:
        with pytest.raises(RuntimeError, match="in use by another process"):
            Suite(cairn, suite.data, {"DATABASE_URL": server.url()}, log=tmp_path / "second.log").start()
    with pytest.raises(RuntimeError, match="another engine"):
        Suite(cairn, suite.data).start()
    server.query("DROP SCHEMA cairn_events CASCADE")
    with pytest.raises(RuntimeError, match="belongs to log"):
        suite.start()
