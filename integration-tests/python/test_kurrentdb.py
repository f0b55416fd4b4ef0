"""The log in an event store that speaks KurrentDB's protocol: another Cairn's, a stand-in for KurrentDB itself."""

import json
import signal
import subprocess

import pytest

from api import Api, eventually
from suite import Suite
from test_crash import verify_views
from test_migrate import filled, ok


@pytest.fixture
def store(cairn, tmp_path):
    """The other Cairn, and how its event store is reached by who may write there."""
    with Suite(cairn, tmp_path / "there", {"CAIRN__EVENTSTORE__LISTEN": "127.0.0.1:0"}) as suite:
        suite.up = ["up"]
        yield suite


def settings(store: Suite) -> dict[str, str]:
    return {"KURRENTDB_URL": f"kurrentdb://log:{store.key}@{store.eventstore}?tls=false",
            "CAIRN__EVENTS_KURRENTDB__STREAM": "app.cairn-log", "CAIRN__EVENTS_KURRENTDB__OUTAGE_MS": "1000"}


def restarted(store: Suite) -> None:
    """The event store again, where it was."""
    store.env["CAIRN__EVENTSTORE__LISTEN"] = store.eventstore
    store.start()


def killed(suite: Suite) -> None:
    suite.process.send_signal(signal.SIGKILL)
    suite.process.wait()


def test_nothing_acknowledged_is_lost_whichever_side_is_killed(cairn, tmp_path, store):
    suite = Suite(cairn, tmp_path / "here", settings(store))
    with suite:
        api = Api(suite)
        places = filled(api)
        answers = [api.get(name).json() for name in places]
        killed(suite)
        suite.start()
        api = Api(suite)
        assert [api.get(name).json() for name in places] == answers
        # Without the event store: what is here is read, nothing is written, and health says so.
        killed(store)
        assert [api.get(name).json() for name in places] == answers
        refused = api.post("projects/default/experiments", json={"display_name": "while it is away"})
        assert refused.status_code == 503, refused.text
        restarted(store)
        made = eventually(lambda: (answer := api.post("projects/default/experiments", json={"display_name": "it is back"})).ok and answer)
        assert api.get(made.json()["name"]).ok
        position = suite.cli_json("events", "history", places[1])[0]["position"]
        ok(suite.cli("audit", "prove", position, "--to", str(tmp_path / "proof")))
        key = ok(suite.cli("audit", "checkpoint", "--keys")).strip()
    verified = subprocess.run([cairn, "audit", "verify", tmp_path / "proof", "--key", key], env={}, capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr
    # Another process that knows nothing yet answers the same.
    with Suite(cairn, tmp_path / "elsewhere", settings(store) | {"CAIRN_API_KEY": suite.key}) as other:
        other.key = suite.key
        assert [Api(other).get(name).json() for name in places] == answers


def test_a_log_moves_there_and_back_and_stays_what_it_is(cairn, tmp_path, store):
    data, address = tmp_path / "data", tmp_path / "address"
    address.write_text(settings(store)["KURRENTDB_URL"])

    def offline(*args: str) -> dict:
        env = {"CAIRN__EVENTS_KURRENTDB__STREAM": "app.cairn-log"}
        return json.loads(ok(subprocess.run([cairn, "--json", "events", *args], env=env, capture_output=True, text=True)))

    embedded = Suite(cairn, data)
    embedded.up = ["up"]
    embedded.env.pop("DATABASE_URL", None)
    with embedded as suite:
        places = filled(Api(suite))
        answers = [Api(suite).get(name).json() for name in places]
    before = offline("digest", f"sqlite:{data}/events/events.db")
    moved = offline("migrate", "--data", str(data), "--to", f"@{address}", "--switch")
    assert {key: moved[key] for key in before} == before == offline("digest", f"@{address}")
    there = Suite(cairn, data, settings(store) | {"CAIRN_API_KEY": embedded.key})
    there.key = embedded.key
    there.up = ["up"]
    there.env.pop("DATABASE_URL", None)
    with there as suite:
        api = Api(suite)
        assert [api.get(name).json() for name in places] == answers
        added = api.run("after the move")
        assert api.get(added).ok
    verify_views(there)
    back = offline("migrate", "--data", str(data), "--from", f"@{address}", "--to", f"sqlite:{data}/events/events.db", "--switch")
    assert int(back["events"]) > int(before["events"])
    with embedded as suite:
        assert [Api(suite).get(name).json() for name in places] == answers and Api(suite).get(added).ok


def test_processes_share_a_log_without_a_database(cairn, tmp_path, store):
    suite = Suite(cairn, tmp_path / "micro", settings(store))
    suite.up = ["up", "micro"]
    suite.env.pop("DATABASE_URL", None)
    with suite:
        api = Api(suite)
        for name in filled(api):
            assert api.get(name).ok
        runs = [api.run(f"of many {number}") for number in range(20)]
        assert all(api.get(run).ok for run in runs)


def test_a_wrong_password_and_a_server_that_is_not_there_stop_the_start_with_their_reason(cairn, tmp_path, store):
    def refused(**changed: str) -> dict:
        suite = Suite(cairn, tmp_path / "refused", settings(store) | changed)
        done = subprocess.run([cairn, "--json", "up", "--data", suite.data], env=suite.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "hunter2" not in done.stderr, done.stderr
        return json.loads(done.stderr.splitlines()[-1])["error"]

    wrong = refused(KURRENTDB_URL=f"kurrentdb://log:hunter2@{store.eventstore}?tls=false")
    assert wrong["reason"] == "KURRENTDB_ACCESS_DENIED"
    away = refused(KURRENTDB_URL="kurrentdb://log:hunter2@127.0.0.1:9?tls=false")
    assert away["reason"] == "KURRENTDB_UNREACHABLE" and "127.0.0.1:9" in away["message"]
    both = refused(DATABASE_URL="postgres://ada:hunter2@localhost/cairn")
    assert "server.event_store" in both["message"]
