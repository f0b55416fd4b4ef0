"""Read models in PostgreSQL: what the suite answers from, for whoever asks in SQL."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

import postgres_server
from api import Api, eventually
from postgres_server import PASSWORD, USER, Postgres
from suite import Suite

pytestmark = pytest.mark.skipif(not postgres_server.PROGRAMS, reason="no PostgreSQL: `make test-python` installs Debian's")

RUNS = 1_000
SECONDS_MAX = 1.0


@pytest.fixture(scope="module")
def server():
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory, server):
    with Suite(cairn, tmp_path_factory.mktemp("read-models") / "data", {"DATABASE_URL": server.url()}) as running:
        yield running


def rows(server: Postgres, sql: str) -> list:
    """The rows of an answer, each as JSON has it."""
    return [json.loads(line) for line in server.query(f"SELECT row_to_json(r) FROM ({sql}) r")]


def asked(server: Postgres, sql: str) -> list[str] | None:
    """The lines of an answer, if a server that has just been started gives one yet."""
    try:
        return server.query(sql)
    except subprocess.CalledProcessError:
        return None


def part(suite) -> dict:
    return next(part for part in Api(suite).get("health").json()["components"] if part["name"] == "read-model-copy")


def has_copied(server: Postgres, suite) -> bool:
    """Whether every copy has what was in the log when this was asked."""
    Api(suite).make("projects", {"project_id": (marker := f"marker-{time.monotonic_ns()}"), "project": {}})
    return eventually(lambda: server.query(f"SELECT 1 FROM cairn_auth.projects WHERE name = 'projects/{marker}'"))


def test_the_read_models_of_every_service_are_tables_s1_9(suite, server):
    expected = {("cairn_auth", "project"), ("cairn_auth", "binding"), ("cairn_auth", "session"), ("cairn_config", "entries"),
                ("cairn_experiments", "run"), ("cairn_experiments", "param"), ("cairn_experiments", "artifact"),
                ("cairn_registry", "model"), ("cairn_registry", "version"), ("cairn_ledger", "entry")}

    def listed() -> set:
        return {tuple(line.split("|")[:2]) for line in server.query(r"\dt cairn_*.*")}

    found = eventually(lambda: next((found for found in [listed()] if expected <= found), None))
    # What is not for SQL stays in the data folder.
    assert not found & {("cairn_experiments", "metric_chunk"), ("cairn_ledger", "tile")}
    # Every table has a key, and nothing but keys and what people read by is indexed.
    keyless = """SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text ~ '^cairn_'
                 AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)"""
    assert server.query(keyless) == []


def test_a_project_is_a_row_with_its_tenant_s1_25(suite, server):
    done = suite.cli("projects", "create", "fraud", "--title", "Fraud", "--description", "who did not pay")
    assert done.returncode == 0, done.stderr
    sql = "SELECT name, title, description, organization, state, create_time FROM cairn_auth.projects WHERE name = 'projects/fraud'"
    row = eventually(lambda: rows(server, sql))[0]
    told = Api(suite).get("projects/fraud").json()
    assert (row["name"], row["title"], row["description"]) == ("projects/fraud", "Fraud", "who did not pay")
    assert row["organization"] == "organizations/default" and row["state"] == "active"
    assert datetime.fromisoformat(row["create_time"]) == datetime.fromisoformat(told["create_time"])
    required = """SELECT is_nullable FROM information_schema.columns
                  WHERE table_schema = 'cairn_auth' AND table_name = 'project' AND column_name = 'organization'"""
    assert server.query(required) == ["NO"]


def test_a_row_is_there_within_a_second_of_its_event_s0_9(suite, server):
    api, times = Api(suite), []
    for number in range(20):
        run = api.run(f"at once {number}")
        event_time = api.get(run).json()["create_time"]
        began = time.monotonic()
        sql = f"SELECT create_time, clock_timestamp() AS now FROM cairn_experiments.runs WHERE name = '{run}'"
        row = eventually(lambda: rows(server, sql))[0]
        times.append(time.monotonic() - began)
        assert datetime.fromisoformat(row["create_time"]) == datetime.fromisoformat(event_time)
        assert (datetime.fromisoformat(row["now"]) - datetime.fromisoformat(event_time)).total_seconds() < SECONDS_MAX, times
    print("seconds until a row was seen:", sorted(times))


def tell(suite, seed: int) -> str:
    """A run with a random life, through the door that MLflow's clients use. Gives its id."""
    chance, api = random.Random(seed), Api(suite)

    def post(path: str, body: dict) -> dict:
        answer = api.post(f"/api/2.0/mlflow/runs/{path}", json=body)
        assert answer.ok, answer.text
        return answer.json()

    text = lambda: chance.choice(["", "a", "Grüße, 世界", "line\nbreak", "␀", "x" * 300]) + str(chance.randrange(9))  # noqa: E731
    tags = [{"key": f"tag {key}", "value": text()} for key in range(chance.randrange(3))]
    run = post("create", {"experiment_id": "0", "run_name": text(), "start_time": 1_700_000_000_000 + seed, "tags": tags,
                          "user_id": text()})["run"]["info"]["run_id"]
    used: dict[str, str] = {}
    for _ in range(chance.randrange(4)):
        match chance.randrange(6):
            case 0 | 1 | 2:
                fresh = {f"p{chance.randrange(9)}": text() for _ in range(chance.randrange(4))}
                params = [{"key": key, "value": used.setdefault(key, value)} for key, value in fresh.items()]
                points = [{"key": f"m{chance.randrange(3)}", "value": chance.choice([0.1, -1e300, 5.0, "NaN", "Infinity"]),
                           "timestamp": at, "step": chance.randrange(-2, 3)}
                          for at in chance.sample(range(10_000), chance.randrange(4))]
                changed = [{"key": f"tag {chance.randrange(3)}", "value": text()}] if chance.random() < 0.5 else []
                post("log-batch", {"run_id": run, "params": params, "metrics": points, "tags": changed})
            case 3:
                post("update", {"run_id": run, "status": chance.choice(["FINISHED", "FAILED", "KILLED"]),
                                "end_time": 1_700_000_000_000 + chance.randrange(10**6)})
            case 4:
                post("update", {"run_id": run, "run_name": "renamed " + text()})
            case 5:
                post("set-tag", {"run_id": run, "key": "gone", "value": "soon"})
                post("delete-tag", {"run_id": run, "key": "gone"})
    if chance.random() < 0.2:
        post("delete", {"run_id": run})
        if chance.random() < 0.5:
            post("restore", {"run_id": run})
    return run


def seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def fold(events: list[dict]) -> dict:
    """What the events of one run come to, by the words of the contract."""
    run = {"params": {}, "tags": {}, "metrics": {}, "is_deleted": False, "end": None}
    for event in events:
        data = event["data"]
        match event["type"].rsplit(".", 1)[1]:
            case "RunCreated":
                run |= {"name": data["run"], "title": data.get("display_name", ""), "user": data.get("user", ""),
                        "state": data["state"], "start": seconds(data["start_time"])}
            case "RunRenamed":
                run["title"] = data.get("to_display_name", "")
            case "RunFinished" | "RunResumed":
                run |= {"state": data["state"], "end": seconds(data.get("end_time"))}
            case "ParamsLogged":
                run["params"] |= data["params"]
            case "RunTagsSet":
                run["tags"] |= data["tags"]
            case "RunTagsDeleted":
                for key in data["keys"]:
                    run["tags"].pop(key, None)
            case "MetricsLogged":
                at, indexes = 0, data.get("key_indexes") or [0] * len(data["steps"])
                for index, step, delta, value in zip(indexes, data["steps"], data["time_deltas_ms"], data["values"], strict=True):
                    at += int(delta)
                    point = (int(step), at, str(float(value)))
                    key = data["keys"][index]
                    # The latest is the one of the highest step, and of the latest time there.
                    if key not in run["metrics"] or point[:2] >= run["metrics"][key][:2]:
                        run["metrics"][key] = point
            case "RunDeleted":
                run["is_deleted"] = True
            case "RunRestored":
                run["is_deleted"] = False
            case "BatchLogged":
                pass
            case other:
                raise AssertionError(f"an event that this test does not know: {other}")
    run["tags"]["mlflow.runName"] = run["title"]
    run["state"] = run["state"].removeprefix("RUN_STATE_")
    return run


def copied_runs(server: Postgres) -> dict[str, dict]:
    """The same, as SQL tells it."""
    found = {}
    for row in rows(server, 'SELECT run, name, display_name, state, "user", start_time, end_time, is_deleted FROM cairn_experiments.runs'):
        found[row["run"]] = {"name": row["name"], "title": row["display_name"], "state": row["state"], "user": row["user"],
                             "start": seconds(row["start_time"]), "end": seconds(row["end_time"]), "is_deleted": row["is_deleted"],
                             "params": {}, "tags": {}, "metrics": {}}
    for table in ("params", "tags"):
        for row in rows(server, f"SELECT run, key, value FROM cairn_experiments.{table}"):
            # As docs/read-models.md says.
            found[row["run"]][table][row["key"]] = row["value"].replace("␀␀", "␀")
    sql = "SELECT run, key, value::text, step, extract(epoch FROM time) * 1000 AS time FROM cairn_experiments.metrics_latest"
    for row in rows(server, sql):
        found[row["run"]]["metrics"][row["key"]] = (row["step"], round(row["time"]), str(float(row["value"])))
    return found


def test_a_thousand_random_runs_are_the_fold_of_their_events_s1_26(suite, server):
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda seed: tell(suite, seed), range(RUNS)))
    assert len(set(told)) == RUNS
    has_copied(server, suite)
    exported = suite.cli("events", "export", "--format", "jsonl", "--resource", "projects/default")
    assert exported.returncode == 0, exported.stderr
    by_run: dict[str, list[dict]] = {}
    for line in exported.stdout.splitlines():
        event = json.loads(line)
        if event["stream"].startswith("experiments.run-"):
            by_run.setdefault(event["stream"].rsplit("/", 1)[1], []).append(event)
    assert set(told) <= set(by_run)
    folded = {run: fold(events) for run, events in by_run.items()}
    assert eventually(lambda: set(folded) == set(copied_runs(server)))
    copied = copied_runs(server)
    for found in copied.values():
        found["title"], found["user"] = (found[field].replace("␀␀", "␀") for field in ("title", "user"))
    different = [(folded[run], copied[run]) for run in folded if folded[run] != copied[run]]
    assert not different, different[:2]
    assert sum(len(run["params"]) for run in folded.values()) > RUNS / 2
    assert sum(len(run["metrics"]) for run in folded.values()) > RUNS / 4
    assert sum(run["is_deleted"] for run in folded.values()) > 20


def digest(event: bytes) -> bytes:
    """The hash of a key, in the event that made it: a field of 32 bytes within a field."""
    at = event.index(b"\x12\x20")
    return event[at + 2:at + 34]


def test_what_lets_somebody_in_is_not_copied_s1_29(suite, server):
    api = Api(suite)
    key = api.make("users/admin/apiKeys", {"api_key": {"title": "for a dump"}})
    secret = api.make("projects/default/secrets", {"secret_id": "db", "secret": {}, "value": (value := "correct-horse-battery")})
    assert secret["latest_version"] == 1
    has_copied(server, suite)
    name = eventually(lambda: server.query("SELECT name FROM cairn_auth.api_keys WHERE title = 'for a dump'"))[0]
    assert eventually(lambda: server.query("SELECT 1 FROM cairn_config.secret_versions"))
    dump = subprocess.run([shutil.which("pg_dump") or postgres_server.PROGRAMS / "pg_dump", "-h", server.folder, "-p", str(server.port),
                           "-U", USER, "-d", "postgres", "--inserts", "-n", "cairn_auth", "-n", "cairn_config", "-n", "cairn_experiments",
                           "-n", "cairn_registry", "-n", "cairn_ledger"], check=True, capture_output=True, text=True).stdout
    assert name in dump, "it is of these schemas"
    sealed = sqlite3.connect(f"file:{suite.data}/views/config.sqlite?mode=ro", uri=True).execute("SELECT sealed FROM secret_versions")
    blob = sealed.fetchone()[0]
    # Hashes of keys are in the log, and in no view.
    made = server.query(f"""SELECT encode(e.payload, 'hex') FROM cairn_events.events e JOIN cairn_events.kinds k ON k.id = e.kind
                            WHERE k.name LIKE '%.ApiKeyCreated' AND encode(e.payload, 'escape') LIKE '%{name}%'""")
    digests = [found.hex() for found in map(digest, map(bytes.fromhex, made))]
    assert len(digests) == 1 and len(digests[0]) == 64
    for found in [suite.key, key["secret"], value, blob.hex(), *digests]:
        assert found and found not in dump
    columns = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema ~ '^cairn_' AND table_schema <> 'cairn_events'"
    names = server.query(columns)
    assert not [name for name in names if "hash" in name or "sealed" in name or "pepper" in name], names


def test_a_database_that_is_away_leaves_the_copy_behind_and_nothing_else(cairn, tmp_path):
    with Postgres() as server, Suite(cairn, tmp_path / "data", {"CAIRN__READ_MODELS__URL": server.url()}) as suite:
        api = Api(suite)
        has_copied(server, suite)
        for end in (server.stop, server.crash):
            end()
            made = [api.run(f"while it is away {number}") for number in range(20)]
            assert all(api.get(run).ok for run in made), "the log and the views are here"
            told = eventually(lambda: next((told for told in [part(suite)] if told["state"] == "warning"), None))
            assert "does not answer" in told["message"] and PASSWORD not in told["message"]
            assert api.get("/api/v1/health").json()["status"] != "unhealthy" and api.get("/health/ready").status_code != 503
            server.start()
            names = ", ".join(f"'{run}'" for run in made)
            sql = f"SELECT count(*) FROM cairn_experiments.runs WHERE name IN ({names})"
            assert eventually(lambda: asked(server, sql) == [str(len(made))])
            assert eventually(lambda: part(suite)["state"] == "healthy")
        metrics = api.get("/api/v1/metrics").text
        assert "cairn_read_model_copy_lag_events" in metrics and "cairn_read_model_copy_rows_total" in metrics
    assert PASSWORD not in suite.log.read_text()


def test_a_wrong_password_is_told_and_stops_nothing(cairn, tmp_path, server):
    with Suite(cairn, tmp_path / "data", {"CAIRN__READ_MODELS__URL": server.url("hunter2")}) as suite:
        told = eventually(lambda: next((told for told in [part(suite)] if told["state"] == "warning"), None))
        assert "DB_AUTH_FAILED" in told["message"]
        assert Api(suite).run("all the same")
    log = suite.log.read_text()
    assert "DB_AUTH_FAILED" in log and "password authentication failed" in log and "hunter2" not in log


def test_copies_can_be_turned_off(cairn, tmp_path):
    with Postgres() as server:
        env = {"DATABASE_URL": server.url(), "CAIRN__READ_MODELS__COPY": "false"}
        with Suite(cairn, tmp_path / "data", env) as suite:
            Api(suite).run("here alone")
            assert not [part for part in Api(suite).get("health").json()["components"] if part["name"] == "read-model-copy"]
        assert server.query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^cairn_'") == ["cairn_events"]
        # Turned on later, all is there.
        with Suite(cairn, tmp_path / "data", {"DATABASE_URL": server.url()}) as suite:
            has_copied(server, suite)
            assert eventually(lambda: server.query("SELECT display_name FROM cairn_experiments.runs") == ["here alone"])
        # Another deployment's are left alone.
        with Suite(cairn, tmp_path / "other", {"CAIRN__READ_MODELS__URL": server.url()}) as other:
            told = eventually(lambda: next((told for told in [part(other)] if told["state"] == "warning"), None))
            assert "READ_MODELS_FOREIGN" in told["message"]


def test_services_as_processes_copy_each_its_own_and_one_takes_over_from_another(cairn, tmp_path):
    with Postgres() as server:
        micro = Suite(cairn, tmp_path / "data", {"DATABASE_URL": server.url()})
        micro.up = ["up", "micro"]
        with micro:
            has_copied(server, micro)
            run = Api(micro).run("in a process of its own")
            assert eventually(lambda: server.query(f"SELECT 1 FROM cairn_experiments.runs WHERE name = '{run}'"))
            writers = server.query("SELECT holder FROM cairn_experiments.writer UNION SELECT holder FROM cairn_auth.writer")
            assert len(writers) == 2, "each schema has one writer, and each process is one"
            turn = server.query("SELECT turn FROM cairn_experiments.writer")
            experiments = next(line.split()[0] for line in subprocess.run(
                ["ps", "-o", "pid=,args=", "--ppid", str(micro.process.pid)], capture_output=True, text=True, check=True,
            ).stdout.splitlines() if line.split()[-1] == "experiments" or " serve experiments" in line)
            os.kill(int(experiments), signal.SIGKILL)
            # The supervisor starts another, which waits for the turn to end.
            began = time.monotonic()
            again = eventually(lambda: next((name for name in [try_run(micro)] if name), None))
            assert eventually(lambda: server.query(f"SELECT 1 FROM cairn_experiments.runs WHERE name = '{again}'"))
            print("seconds until the next process had copied:", time.monotonic() - began)
            assert server.query("SELECT turn FROM cairn_experiments.writer") > turn
        assert server.query("SELECT count(*) FROM cairn_experiments.runs") == ["2"]


def try_run(suite) -> str | None:
    answer = Api(suite).post("projects/default/experiments/0/runs", json={"display_name": "after a crash"})
    return answer.json()["name"] if answer.ok else None
