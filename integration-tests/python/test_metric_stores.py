"""Points of metrics in PostgreSQL and in ClickHouse, through the doors that everybody uses."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import clickhouse_server
import databases
import postgres_server
from api import Api, eventually
from clickhouse_server import ClickHouse
from processes import Deployment
from suite import Suite
from test_mlflow import MLFLOW, corpus, genuine  # noqa: F401
from test_mlflow_ingestion import NAMES, points_of
from test_mlflow_ingestion import test_a_million_distinct_names_leave_a_thousand_and_bounded_memory_s1_49 as explode

STORY_SECONDS_MAX = 300
SERVER_GROWTH_BYTES_MAX = 1 << 30

needs_clickhouse = pytest.mark.skipif(not clickhouse_server.PROGRAM, reason="no ClickHouse: `make clickhouse` installs Debian's")
needs_postgres = pytest.mark.skipif(not postgres_server.PROGRAMS, reason="no PostgreSQL: `make postgres` installs Debian's")


@pytest.fixture(scope="module")
def server():
    with ClickHouse() as running:
        yield running


@pytest.fixture(scope="module")
def in_clickhouse(cairn, tmp_path_factory, server):
    with Suite(cairn, tmp_path_factory.mktemp("clickhouse") / "data", server.env) as running:
        yield running


@pytest.fixture(scope="module")
def in_postgres(cairn, tmp_path_factory):
    data = tmp_path_factory.mktemp("postgres") / "data"
    with Suite(cairn, data, {"CAIRN__METRICS__URL": databases.of(data.parent / "points")}) as running:
        yield running


@pytest.fixture(params=[pytest.param("in_clickhouse", marks=needs_clickhouse), pytest.param("in_postgres", marks=needs_postgres)])
def elsewhere(request):
    """A suite whose points are elsewhere."""
    return request.getfixturevalue(request.param)


def tell(suite) -> tuple[str, int]:
    """What the unmodified client logs and reads: the run, and how many points."""
    story = Path(__file__).parent / "metrics_story.py"
    told = subprocess.run([sys.executable, story, "--uri", suite.url, "--token", suite.key], capture_output=True, text=True,
                          timeout=STORY_SECONDS_MAX)
    assert told.returncode == 0, told.stdout + told.stderr
    run, count = told.stdout.split()[-2:]
    return run, int(count)


def part(suite, name: str = "metric-points") -> dict:
    return next(part for part in Api(suite).get("health").json()["components"] if part["name"] == name)


def count(server: ClickHouse, run: str, database: str = "cairn") -> int:
    return int(server.query(f"SELECT count() FROM metrics WHERE run = '{run.rsplit('/', 1)[-1]}'", database)[0])


def is_summed(server: ClickHouse, database: str = "cairn") -> None:
    """The summary is what the points come to."""
    points = "SELECT run, name, count() AS n, minIf(value, NOT isNaN(value)), maxIf(value, NOT isNaN(value)), max(step) FROM metrics"
    kept = "SELECT run, name, countMerge(count_state) AS n, minIfMerge(min_state), maxIfMerge(max_state), max(0) FROM metrics_summary"
    groups = " GROUP BY run, name ORDER BY run, name"
    summed = [line.rsplit("\t", 1)[0] for line in server.query(kept + groups, database)]
    assert summed == [line.rsplit("\t", 1)[0] for line in server.query(points + groups, database)]


def test_the_unmodified_client_logs_and_reads_wherever_points_are(elsewhere):
    tell(elsewhere)
    assert part(elsewhere)["state"] == "healthy"


@pytest.mark.parametrize("file", ["metrics", "search"])
def test_every_answer_is_that_of_a_genuine_server_wherever_points_are(elsewhere, genuine, file):  # noqa: F811
    calls, differences = corpus.compare(MLFLOW / f"{file}.yaml", corpus.Server(genuine), corpus.Server(elsewhere.url, elsewhere.key))
    assert calls > 10
    assert not differences, "\n".join(differences)


@needs_clickhouse
def test_what_is_logged_is_in_clickhouse_point_by_point_s1_10(in_clickhouse, server):
    run, logged = tell(in_clickhouse)
    assert count(server, run) == logged
    is_summed(server)
    assert server.query("SELECT engine, sorting_key FROM system.tables WHERE database = 'cairn' AND name = 'metrics'") == [
        "MergeTree\trun, name, time, step"]
    # As MLflow's clients name what they measure of the machine.
    api = Api(in_clickhouse)
    api.make(f"projects/default/experiments/0/runs/{run}:logBatch", {"metrics": [{"key": "system/cpu_utilization_percentage", "value": 12.5}]})
    assert eventually(lambda: server.query(f"SELECT name, value FROM system_metrics WHERE run = '{run}'")) == [
        "system/cpu_utilization_percentage\t12.5"]


@needs_clickhouse
@pytest.mark.parametrize("how", ["stands still", "is killed"])
def test_only_points_cannot_be_read_while_clickhouse_does_not_answer(in_clickhouse, server, how):
    api = Api(in_clickhouse)
    run = api.run(f"it {how}")
    log = lambda step: api.make(f"{run}:logBatch", {"metrics": [{"key": "loss", "value": step, "step": str(step)}]})  # noqa: E731
    for step in range(10):
        log(step)
    assert len(points_of(api, run, "loss")) == 10
    (server.pause if how == "stands still" else server.kill)()
    try:
        began = time.monotonic()
        for step in range(10, 30):
            log(step)
        assert time.monotonic() - began < 5, "what is logged waits for nobody"
        refused = api.get(f"{run}/metricPoints", params={"metric": "loss"})
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["details"][0]["reason"] == "METRIC_STORE_UNAVAILABLE", refused.text
        history = api.get("/api/2.0/mlflow/metrics/get-history", params={"run_id": run.rsplit("/", 1)[-1], "metric_key": "loss"})
        assert history.status_code == 503, history.text
        seen = api.get(run).json()
        assert (int(seen["metrics"][0]["count"]), seen["metrics"][0]["value"]) == (30, 29)
        assert api.get("projects/default/experiments/0/runs").ok
        told = eventually(lambda: next((told for told in [part(in_clickhouse)] if told["state"] == "warning"), None))
        assert told["message"].startswith("ClickHouse does not answer"), told
        assert f"ClickHouse at cairn@127.0.0.1:{server.port}/cairn" in in_clickhouse.log.read_text()
        assert api.get("/api/v1/health/ready").ok
    finally:
        (server.go_on if how == "stands still" else server.start)()
    eventually(lambda: api.get(f"{run}/metricPoints", params={"metric": "loss"}).ok)
    assert [point.get("value", 0) for point in points_of(api, run, "loss")] == list(range(30))
    assert count(server, run) == 30
    is_summed(server)
    eventually(lambda: part(in_clickhouse)["state"] == "healthy")


@needs_clickhouse
def test_a_wrong_port_of_clickhouse_takes_only_points_away_s1_61(cairn, tmp_path, server):
    env = {**server.env, "CLICKHOUSE_PORT": str(server.native), "CLICKHOUSE_PASSWORD": "hunter2-hunter2", "RUST_LOG": "debug"}
    suite = Suite(cairn, tmp_path / "data", env)
    with suite:
        api = Api(suite)
        run = api.run("without points")
        api.make(f"{run}:logBatch", {"metrics": [{"key": "loss", "value": 0.5}], "params": {"lr": "0.1"}})
        assert api.get(run).json()["metrics"][0]["value"] == 0.5
        refused = api.get(f"{run}/metricPoints", params={"metric": "loss"})
        assert refused.status_code == 503
        assert "METRIC_STORE_UNAVAILABLE" in refused.text and str(server.native) not in refused.text
        told = part(suite)
        # Who and where is for those who operate it, and everybody may ask for its health.
        assert told["state"] == "warning" and not {str(server.native), "127.0.0.1"} & set(told["message"].split())
        assert f"ClickHouse at cairn@127.0.0.1:{server.native}/cairn" in suite.log.read_text()
        assert "cairn_metric_store_lag_events" in api.get("/api/v1/metrics").text
        explained = subprocess.run([cairn, "config", "explain"], env=suite.env, capture_output=True, text=True, timeout=30)
        assert "metrics.clickhouse_host = 127.0.0.1" in explained.stdout
        assert "hunter2" not in explained.stdout + explained.stderr + json.dumps(told) + refused.text
    assert "hunter2" not in suite.log.read_text()
    assert f"You must use port {server.port} for HTTP" in suite.log.read_text()
    # The right one, and it is as if nothing had been.
    suite.env |= server.env | {"CAIRN__METRICS__CLICKHOUSE_DATABASE": "later"}
    with suite:
        assert [point["value"] for point in points_of(Api(suite), run, "loss")] == [0.5]
        assert count(server, run, "later") == 1


@needs_clickhouse
def test_a_store_of_another_deployment_is_left_alone(cairn, tmp_path, server, in_clickhouse):
    tell(in_clickhouse)
    with Suite(cairn, tmp_path / "data", server.env) as stranger:
        api = Api(stranger)
        run = api.run("a stranger's")
        api.make(f"{run}:logBatch", {"metrics": [{"key": "loss", "value": 1}]})
        told = eventually(lambda: next((told for told in [part(stranger)] if "METRIC_STORE_FOREIGN" in told["message"]), None))
        assert told["state"] == "warning"
        assert api.get(f"{run}/metricPoints", params={"metric": "loss"}).status_code == 503
        assert count(server, run) == 0
    tell(in_clickhouse)


@needs_clickhouse
def test_points_are_stored_once_when_cairn_is_killed_while_it_stores_them(cairn, tmp_path, server):
    suite = Suite(cairn, tmp_path / "data", {**server.env, "CAIRN__METRICS__CLICKHOUSE_DATABASE": "killed"})
    suite.start()
    run, step = Api(suite).run("killed"), 0
    try:
        for round in range(5):
            api, stop = Api(suite), time.monotonic() + 0.7 + 0.13 * round
            while time.monotonic() < stop:
                batch = [{"key": "loss", "value": n, "step": str(n)} for n in range(step, step + 20)]
                api.make(f"{run}:logBatch", {"batch_id": f"b-{step}", "metrics": batch})
                step += 20
            suite.process.kill()
            suite.process.wait()
            suite.start()
        assert len(points_of(Api(suite), run, "loss")) == step
        assert count(server, run, "killed") == step
        is_summed(server, "killed")
    finally:
        suite.stop()


@needs_clickhouse
@needs_postgres
def test_of_two_processes_that_share_a_store_one_is_killed_and_the_other_goes_on(cairn, tmp_path, server):
    with Deployment(cairn, tmp_path / "house") as house:
        house.env |= {**server.env, "CAIRN__METRICS__CLICKHOUSE_DATABASE": "shared"}
        rest = house.serve("rest", "auth", "config", "registry", "ledger")
        both = [house.serve(f"experiments-{n}", "experiments") for n in range(2)]
        peers = {**{role: [rest] for role in ("auth", "config", "registry", "ledger")}, "experiments": both}
        api = Api(house.gateway("gateway", peers))
        run = api.run("of two")
        steps, failed, stop = [], [], threading.Event()

        def logs() -> None:
            step = 0
            while not stop.is_set():
                body = {"batch_id": f"b-{step}", "metrics": [{"key": "loss", "value": step, "step": str(step)}]}
                answer = api.post(f"{run}:logBatch", json=body)
                (steps if answer.ok else failed).append(step)
                step += answer.ok

        writer = threading.Thread(target=logs)
        writer.start()
        time.sleep(2)
        # Whoever began last is the one that stores.
        both[1].kill()
        done = len(steps)
        eventually(lambda: len(steps) > done + 50)
        both[1].start()
        time.sleep(1)
        both[0].kill()
        done = len(steps)
        eventually(lambda: len(steps) > done + 50)
        stop.set()
        writer.join()
        eventually(lambda: api.get(f"{run}/metricPoints", params={"metric": "loss"}).ok)
        assert len(points_of(api, run, "loss")) == len(steps)
        eventually(lambda: count(server, run, "shared") == len(steps))
        is_summed(server, "shared")


@needs_clickhouse
@needs_postgres
def test_a_suite_of_processes_keeps_points_in_clickhouse(cairn, tmp_path, server):
    suite = Suite(cairn, tmp_path / "data", {**server.env, "CAIRN__METRICS__CLICKHOUSE_DATABASE": "micro",
                                             "DATABASE_URL": databases.of(tmp_path / "data")})
    suite.up = ["up", "micro"]
    with suite:
        run, logged = tell(suite)
        assert count(server, run, "micro") == logged


@needs_clickhouse
def test_a_million_distinct_names_do_not_reach_clickhouse_s1_49(in_clickhouse, server):
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    explode(in_clickhouse, Api(in_clickhouse))
    run = next(run for run in Api(in_clickhouse).get("projects/default/experiments/0/runs").json()["runs"]
               if run["display_name"] == "explosion")["name"]
    assert NAMES == 1_000_000
    assert len({name for name in server.query(f"SELECT DISTINCT name FROM metrics WHERE run = '{run.rsplit('/', 1)[-1]}'")}) == 1000
    assert process.memory_info().rss - before < SERVER_GROWTH_BYTES_MAX


@needs_clickhouse
def test_another_setting_moves_points_and_back_again(cairn, tmp_path, server):
    suite = Suite(cairn, tmp_path / "data")
    with suite:
        run, _ = tell(suite)
        run = f"projects/default/experiments/0/runs/{run}"
        before = points_of(Api(suite), run, "loss")
    suite.env |= server.env | {"CAIRN__METRICS__CLICKHOUSE_DATABASE": "moved"}
    with suite:
        assert points_of(Api(suite), run, "loss") == before
        assert server.query("SELECT count() FROM metrics WHERE name = 'loss'", "moved") == ["2500"]
    for name in server.env:
        del suite.env[name]
    with suite:
        assert points_of(Api(suite), run, "loss") == before
