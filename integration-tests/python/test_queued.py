"""Queued ingestion over genuine queues, through the doors that everybody uses."""

import json
import re
import secrets
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest

import clickhouse_server
import databases
import nats_server
import postgres_server
import redis_server
from api import Api, eventually
from clickhouse_server import ClickHouse
from nats_server import Nats
from processes import Deployment
from redis_server import Redis
from suite import Suite
from test_metric_stores import part, tell
from test_mlflow_ingestion import points_of
from test_process import Collector

STORY_SECONDS_MAX = 240
needs_nats = pytest.mark.skipif(not nats_server.PROGRAM, reason="no NATS: `make nats` fetches it")
needs_redis = pytest.mark.skipif(not redis_server.PROGRAM, reason="no Redis: `make redis` installs Debian's")
needs_postgres = pytest.mark.skipif(not postgres_server.PROGRAMS, reason="no PostgreSQL: `make postgres` installs Debian's")
needs_clickhouse = pytest.mark.skipif(not clickhouse_server.PROGRAM, reason="no ClickHouse: `make clickhouse` installs Debian's")
#: Other processors take over soon enough for a test.
QUICK = {"CAIRN__INGEST__LEASE_MS": "1500"}


def queue_in(kind: str, folder: Path):
    return Nats(folder) if kind == "nats" else Redis(folder, keeps="always")


@pytest.fixture(params=[pytest.param("nats", marks=needs_nats), pytest.param("redis", marks=needs_redis)])
def queue(request, tmp_path):
    with queue_in(request.param, tmp_path / "queue") as running:
        yield running


@pytest.fixture
def suite(cairn, tmp_path, queue):
    with Suite(cairn, tmp_path / "data", {**queue.env, **QUICK}) as running:
        yield running


def metric(url: str, name: str) -> float:
    """The sum of a metric over its labels."""
    text = Api(Plain(url)).get("/api/v1/metrics").text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


class Plain:
    """A process that is known by its address alone."""

    def __init__(self, url: str):
        self.url, self.key, self.authority = url, "", None


def logged(api: Api, run: str) -> list[dict]:
    """The points of a run in the order in which the log has them."""
    found = []
    with api.get(f"{run}/metricPoints:watch", headers={"Accept": "application/x-ndjson"}, stream=True) as answer:
        for line in answer.iter_lines():
            told = json.loads(line)
            told = told.get("result", told)
            found += told.get("points", [])
            if told.get("is_live"):
                return found
    return found


def steps(points: list[dict]) -> list[int]:
    return [int(point.get("step", 0)) for point in points]


def log(api: Api, run: str, step: int, **more):
    body = {"metrics": [{"key": "loss", "value": step, "step": str(step), "log_time": f"2026-01-01T00:00:{step % 60:02}Z"}], **more}
    return api.post(f"{run}:logBatch", json=body)


def test_the_unmodified_client_reads_what_it_has_logged(suite):
    tell(suite)
    assert metric(suite.url, "cairn_ingest_enqueued_total") == 57
    assert part(suite, "ingest-queue")["state"] == "healthy"


def test_a_batch_is_queued_and_says_so_and_is_logged_once_in_order_s1_21(suite):
    api = Api(suite)
    run = api.run("queued")
    answers = [log(api, run, step, batch_id=f"b-{step}").json() for step in range(40)]
    assert all(answer["queued"] and answer["metric_count"] == 1 for answer in answers), answers[0]
    again = [log(api, run, step, batch_id=f"b-{step}").json() for step in range(40)]
    assert [answer["batch_id"] for answer in again] == [answer["batch_id"] for answer in answers]
    assert steps(points_of(api, run, "loss")) == list(range(40))
    assert steps(logged(api, run)) == list(range(40))
    # Once it is known what a batch said, another content under its id is refused.
    conflict = log(api, run, 41, batch_id="b-1")
    assert conflict.status_code == 409 and "BATCH_CONFLICT" in conflict.text, conflict.text
    # Params need an answer, and come after what was queued before them.
    direct = log(api, run, 40, params={"lr": "0.1"}).json()
    assert not direct.get("queued")
    assert steps(logged(api, run)) == list(range(41))
    refused = log(api, run, 42, params={"lr": "0.2"})
    assert not refused.ok and "PARAM_IMMUTABLE" in refused.text, refused.text


def test_what_was_accepted_is_logged_even_if_the_run_is_deleted_meanwhile(suite):
    api = Api(suite)
    run = api.run("deleted")
    with ThreadPoolExecutor(8) as threads:
        accepted = [answer.ok for answer in threads.map(lambda step: log(api, run, step), range(60))]
        assert all(accepted)
    assert api.delete(run).ok
    refused = log(api, run, 99)
    assert not refused.ok and "RUN_DELETED" in refused.text, refused.text
    api.make(f"{run}:restore", {})
    assert sorted(steps(points_of(api, run, "loss"))) == list(range(60))
    assert metric(suite.url, "cairn_ingest_dead_total") == 0
    nobody = log(api, run.rsplit("/", 1)[0] + "/" + "0" * 32, 1)
    assert nobody.status_code in (403, 404), nobody.text


def test_a_full_queue_and_one_that_is_away_refuse_by_name(cairn, tmp_path, queue):
    env = {**queue.env, "CAIRN__INGEST__DEPTH_MAX": "5", "CAIRN__INGEST__PROCESSOR": "false", "CAIRN__INGEST__TIMEOUT_MS": "300",
           "CAIRN__INGEST__ENQUEUE_TIMEOUT_MS": "600", "CAIRN__INGEST__READ_WAIT_MS": "200", "CAIRN__INGEST__WRITE_WAIT_MS": "200"}
    with Suite(cairn, tmp_path / "data", env) as suite:
        api = Api(suite)
        run = api.run("full")
        assert all(log(api, run, step).ok for step in range(5))
        full = log(api, run, 5)
        assert full.status_code == 429 and "INGEST_QUEUE_FULL" in full.text and full.headers.get("retry-after"), full.text
        eventually(lambda: metric(suite.url, "cairn_ingest_lag_messages") == 5)
        # Nobody processes anything: a read answers with what is there, and what must not overtake is refused.
        assert points_of(api, run, "loss") == []
        behind = log(api, run, 6, params={"lr": "1"})
        assert behind.status_code == 503 and "INGEST_BEHIND" in behind.text, behind.text
        assert log(api, run, 6).status_code == 429
        queue.kill()
        away = log(api, run, 7)
        assert away.status_code == 503 and "INGEST_QUEUE_UNAVAILABLE" in away.text, away.text
        assert "127.0.0.1" not in away.text
        eventually(lambda: part(suite, "ingest-queue")["state"] == "warning")
        assert api.make(f"{run}:logBatch", {"params": {"lr": "0.1"}})["param_count"] == 1
        queue.start()
        eventually(lambda: part(suite, "ingest-queue")["state"] == "healthy")
    # Another process that does carry on finds what was acknowledged.
    with Suite(cairn, tmp_path / "data", queue.env | {"CAIRN__INGEST__DEPTH_MAX": "5"}) as suite:
        assert steps(points_of(Api(suite), run, "loss")) == list(range(5))


@pytest.mark.parametrize("kind", [pytest.param("nats", marks=needs_nats), pytest.param("redis", marks=needs_redis)])
def test_a_queue_that_acknowledges_before_it_writes_is_refused_at_the_start(cairn, tmp_path, kind):
    weak = Nats(tmp_path / "queue", sync="2m") if kind == "nats" else Redis(tmp_path / "queue", keeps="everysec")
    with weak:
        with pytest.raises(RuntimeError) as refused:
            Suite(cairn, tmp_path / "data", weak.env).start()
    said = str(refused.value)
    assert "INGEST_QUEUE_NOT_DURABLE" in said and nats_server.PASSWORD not in said, said
    assert {"nats": "sync_interval: always", "redis": "appendfsync is everysec"}[kind] in said, said


def test_a_large_profile_refuses_direct_mode_s1_73(cairn, tmp_path):
    with pytest.raises(RuntimeError) as refused:
        Suite(cairn, tmp_path / "data", {"CAIRN_PROFILE": "large"}).start()
    assert "PROFILE_REQUIRES_QUEUED" in str(refused.value)


def test_the_doctor_says_whether_to_queue_s1_68(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        assert (told := suite.cli_json("doctor", "ingest", "--seconds", "1"))["recommended"] == "direct", told
        api, stop = Api(suite), threading.Event()
        run = api.run("many writers")

        def write() -> None:
            mine, step = Api(suite), 0
            while not stop.is_set():
                log(mine, run, step)
                step += 1

        with ThreadPoolExecutor(160) as threads:
            for _ in range(160):
                threads.submit(write)
            try:
                told = suite.cli_json("doctor", "ingest", "--seconds", "4")
            finally:
                stop.set()
    assert told["batches_per_second"] > 10 and told["mode"] == "direct", told
    assert told["recommended"] == ("queued" if told["writers_at_once"] > told["direct_writers_max"] else "direct"), told
    assert told["writers_at_once"] > 20, told


@needs_nats
def test_another_number_of_partitions_is_refused(cairn, tmp_path):
    with Nats(tmp_path / "queue") as queue:
        with Suite(cairn, tmp_path / "data", queue.env):
            pass
        with pytest.raises(RuntimeError) as refused:
            Suite(cairn, tmp_path / "data", queue.env | {"CAIRN__INGEST__PARTITIONS": "8"}).start()
    assert "made with 16 partitions, and the setting ingest.partitions says 8" in str(refused.value)


@needs_nats
def test_processing_is_linked_to_the_call_that_queued_and_no_part_of_it_s1_21(cairn, tmp_path):
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers([collector])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Nats(tmp_path / "queue") as queue:
            env = {**queue.env, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
            with Suite(cairn, tmp_path / "data", env) as suite:
                api = Api(suite)
                run, trace = api.run("traced"), secrets.token_hex(16)
                log = {"metrics": [{"key": "loss", "value": 1, "step": "1"}]}
                api.make(f"{run}:logBatch", log, headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"})
                queued = eventually(lambda: collector.of(trace).get("ingest enqueue"))
                linked = lambda: [span for span in collector.spans if span.name == "ingest process"  # noqa: E731
                                  and queued.span_id in {link.span_id for link in span.links}]
                processed = eventually(linked)[0]
                assert eventually(lambda: [span for span in collector.spans if span.trace_id == processed.trace_id and span.name == "storage"])
        assert queued.parent_span_id, "it is a part of the call"
        assert not processed.parent_span_id and processed.trace_id != queued.trace_id
        assert {link.trace_id.hex() for link in processed.links} == {trace}
    finally:
        server.stop(None)


class Processors:
    """One gateway, one process for everything else, and processors that come and go."""

    def __init__(self, cairn: Path, folder: Path, queue, env: dict[str, str] | None = None):
        self.house = Deployment(cairn, folder)
        self.house.env |= {**queue.env, **QUICK, **(env or {})}

    def __enter__(self) -> "Processors":
        house = self.house.__enter__()
        rest = [house.serve("rest", "auth", "config", "registry", "ledger")]
        self.first = house.serve("first", "experiments")
        self.second = house.serve("second", "experiments")
        peers = {role: rest for role in ("auth", "config", "registry", "ledger")}
        self.gateway = house.gateway("gateway", {**peers, "experiments": [self.first, self.second]})
        return self

    def __exit__(self, *exc) -> None:
        self.house.__exit__(*exc)


def held(process) -> int:
    return int(metric(process.said["http"], "cairn_ingest_partitions_held"))


@needs_postgres
def test_a_second_processor_takes_half_and_its_end_gives_them_back_s1_22(cairn, tmp_path, queue):
    with Processors(cairn, tmp_path / "house", queue) as running:
        eventually(lambda: (held(running.first), held(running.second)) == (8, 8))
        api = Api(running.gateway)
        runs = [api.run(f"run {n}") for n in range(8)]

        def write(run: str) -> None:
            for step in range(60):
                # Whoever is not answered, because a process ended, sends the same again.
                eventually(lambda: log(api, run, step, batch_id=f"b-{step}").ok)

        with ThreadPoolExecutor(8) as threads:
            writing = [threads.submit(write, run) for run in runs]
            time.sleep(0.5)
            # It goes without a word, comes back, and takes its half again, all while batches come in.
            running.second.kill()
            eventually(lambda: held(running.first) == 16)
            running.second.start()
            eventually(lambda: held(running.second) == 8)
            for wrote in writing:
                wrote.result()
        for run in runs:
            assert eventually(lambda: len(points_of(api, run, "loss")) == 60)
            assert steps(logged(api, run)) == list(range(60)), "the order of a run is kept, and nothing is there twice"


@needs_postgres
def test_nothing_is_lost_or_doubled_when_processor_queue_and_writers_meet_their_ends_s1_18_s1_19(cairn, tmp_path, queue):
    writers, batches, points = 6, 60, 20
    with Processors(cairn, tmp_path / "house", queue) as running:
        story = [sys.executable, Path(__file__).parent / "queue_story.py", "--uri", running.gateway.url, "--token", running.gateway.key,
                 "--writers", str(writers), "--batches", str(batches), "--points", str(points)]
        telling = subprocess.Popen(story, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert telling.stdout.readline() == "begun\n"
        time.sleep(1)
        running.first.kill()
        time.sleep(1)
        queue.kill()
        time.sleep(0.7)
        queue.start()
        running.first.start()
        time.sleep(1)
        running.second.kill()
        told, errors = telling.communicate(timeout=STORY_SECONDS_MAX)
        assert telling.returncode == 0, errors
        runs = told.split()
        assert len(runs) == writers
        running.second.start()
        api = Api(running.gateway)
        eventually(lambda: metric(running.first.said["http"], "cairn_ingest_lag_messages") == 0)
        for run in runs:
            name = f"projects/default/experiments/0/runs/{run}"
            eventually(lambda: len(points_of(api, name, "loss")) == batches * points)
            assert steps(logged(api, name)) == list(range(batches * points)), "in order, and each once"
        assert sum(metric(process.said["http"], "cairn_ingest_dead_total") for process in (running.first, running.second)) == 0


@needs_postgres
def test_a_processor_that_wakes_up_late_changes_no_order_s1_22(cairn, tmp_path, queue):
    with Deployment(cairn, tmp_path / "house") as house:
        house.env |= {**queue.env, **QUICK}
        rest = [house.serve("rest", "auth", "config", "registry", "ledger")]
        door = house.serve("door", "experiments", ingest__processor="false")
        processors = [house.serve(name, "experiments") for name in ("first", "second")]
        peers = {role: rest for role in ("auth", "config", "registry", "ledger")}
        api = Api(house.gateway("gateway", {**peers, "experiments": [door]}))
        eventually(lambda: [held(process) for process in processors] == [8, 8])
        runs, stop = [api.run(f"run {n}") for n in range(6)], threading.Event()

        def write(run: str) -> int:
            step = 0
            while not stop.is_set():
                assert log(api, run, step).ok
                step += 1
            return step

        with ThreadPoolExecutor(len(runs)) as threads:
            writing = [threads.submit(write, run) for run in runs]
            for sleeper, other in [processors, processors[::-1], processors]:
                time.sleep(0.6)
                sleeper.process.send_signal(signal.SIGSTOP)
                try:
                    eventually(lambda: held(other) == 16)
                finally:
                    # In the middle of the other's work, with batches read and a lease that it believes in.
                    sleeper.process.send_signal(signal.SIGCONT)
                eventually(lambda: held(sleeper) == 8)
            stop.set()
            counts = [wrote.result() for wrote in writing]
        eventually(lambda: metric(door.said["http"], "cairn_ingest_lag_messages") == 0)
        for run, count in zip(runs, counts, strict=True):
            assert eventually(lambda: len(points_of(api, run, "loss")) == count)
            assert steps(logged(api, run)) == list(range(count)), "in order, and each once"


def test_what_can_never_be_logged_is_put_away_and_nothing_waits_for_it(cairn, tmp_path, queue):
    with Suite(cairn, tmp_path / "data", queue.env | {"CAIRN__INGEST__PROCESSOR": "false", "CAIRN__INGEST__READ_WAIT_MS": "100"}) as suite:
        api = Api(suite)
        run = api.run("conflict")
        # The door does not know the first one yet.
        answers = [log(api, run, step, batch_id="same") for step in (1, 2)] + [log(api, run, 3)]
        assert all(answer.ok and answer.json()["queued"] for answer in answers)
        if isinstance(queue, Redis):
            garbage = ("local p, t = redis.call('INCR', KEYS[2]), redis.call('TIME') "
                       "redis.call('XADD', KEYS[1], p .. '-0', 'body', 'garbage', 'time', t[1] .. string.format('%06d', t[2]))")
            for partition in range(16):
                name = f"{{cairn-ingest}}:{partition}"
                subprocess.run(["redis-cli", "-p", str(queue.port), "EVAL", garbage, "2", name, f"{name}:last"], check=True)
    with Suite(cairn, tmp_path / "data", queue.env) as suite:
        api = Api(suite)
        assert steps(points_of(api, run, "loss")) == [1, 3]
        assert api.make(f"{run}:logBatch", {"metrics": [{"key": "loss", "value": 4, "step": "4"}]})["queued"]
        assert steps(points_of(api, run, "loss")) == [1, 3, 4]
        eventually(lambda: metric(suite.url, "cairn_ingest_dead_total") == (17 if isinstance(queue, Redis) else 1))
        said = suite.log.read_text()
        assert "cannot be logged, and is put away" in said and "same" in said and run in said


def times(api: Api, run: str, first: int, count: int) -> list[float]:
    """How long each of some batches took."""
    took = []
    for step in range(first, first + count):
        began = time.monotonic()
        answer = log(api, run, step)
        took.append(time.monotonic() - began)
        assert answer.ok, answer.text
    return took


@needs_postgres
@needs_nats
def test_a_log_that_stands_still_delays_nobody_who_logs_s1_23(cairn, tmp_path):
    with Nats(tmp_path / "queue") as queue, Suite(cairn, tmp_path / "data", {
            **queue.env, **QUICK, "DATABASE_URL": databases.of(tmp_path / "log")}) as suite:
        api = Api(suite)
        run = api.run("stands still")
        before = times(api, run, 0, 60)
        eventually(lambda: len(points_of(api, run, "loss")) == 60)
        postmaster = psutil.Process(int((databases.server().folder / "data/postmaster.pid").read_text().split()[0]))
        stopped = [postmaster, *postmaster.children(recursive=True)]
        try:
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            during = times(api, run, 60, 60)
            eventually(lambda: metric(suite.url, "cairn_ingest_lag_messages") >= 55)
        finally:
            for process in reversed(stopped):
                process.send_signal(signal.SIGCONT)
        assert statistics.median(during) < 2 * statistics.median(before) + 0.01, (statistics.median(before), statistics.median(during))
        assert max(during) < 1, max(during)
        eventually(lambda: metric(suite.url, "cairn_ingest_lag_messages") == 0)
        eventually(lambda: len(points_of(api, run, "loss")) == 120)
        assert steps(logged(api, run)) == list(range(120))


@needs_clickhouse
@needs_nats
def test_clickhouse_that_stands_still_delays_nobody_who_logs_s1_23(cairn, tmp_path):
    with Nats(tmp_path / "queue") as queue, ClickHouse() as server, Suite(cairn, tmp_path / "data", {
            **queue.env, **server.env}) as suite:
        api = Api(suite)
        run = api.run("stands still")
        before = times(api, run, 0, 60)
        eventually(lambda: len(points_of(api, run, "loss")) == 60)
        server.pause()
        try:
            during = times(api, run, 60, 60)
            eventually(lambda: metric(suite.url, "cairn_metric_store_lag_events") > 0)
        finally:
            server.go_on()
        assert statistics.median(during) < 2 * statistics.median(before) + 0.01, (statistics.median(before), statistics.median(during))
        eventually(lambda: metric(suite.url, "cairn_metric_store_lag_events") == 0)
        eventually(lambda: len(points_of(api, run, "loss")) == 120)


@needs_postgres
@needs_nats
def test_a_thousand_writers_lose_and_double_nothing_while_a_processor_is_killed_s1_18(cairn, tmp_path):
    writers, batches, points = 1000, 4, 250
    with Nats(tmp_path / "queue") as queue, Processors(cairn, tmp_path / "house", queue) as running:
        api = Api(running.gateway)
        api.run("the first one, which the project's default experiment is made for")
        with ThreadPoolExecutor(16) as threads:
            runs = list(threads.map(lambda n: Api(running.gateway).run(f"writer {n}"), range(writers)))
        local = threading.local()

        def session() -> Api:
            local.api = getattr(local, "api", None) or Api(running.gateway)
            return local.api

        def write(run: str) -> None:
            for batch in range(batches):
                sent = [{"key": "loss", "value": step, "step": str(step), "log_time": "2026-01-01T00:00:00Z"}
                        for step in range(batch * points, (batch + 1) * points)]
                deadline = time.monotonic() + STORY_SECONDS_MAX
                while True:
                    try:
                        if session().post(f"{run}:logBatch", json={"batch_id": f"b-{batch}", "metrics": sent}).ok:
                            break
                    except OSError:
                        pass
                    assert time.monotonic() < deadline
                    time.sleep(0.2)

        with ThreadPoolExecutor(writers) as threads:
            writing = [threads.submit(write, run) for run in runs]
            time.sleep(3)
            running.second.kill()
            for wrote in writing:
                wrote.result()
        until = time.monotonic() + STORY_SECONDS_MAX
        while metric(running.first.said["http"], "cairn_ingest_lag_messages"):
            assert time.monotonic() < until
            time.sleep(0.5)
        for run in runs[::20]:
            assert steps(logged(api, run)) == list(range(batches * points)), run
        listed = [run for page in api.pages("projects/default/experiments/0/runs", "runs", page_size=500) for run in page]
        counted = {run["name"]: int(next((metric["count"] for metric in run.get("metrics", [])), 0)) for run in listed}
        assert [counted[run] for run in runs] == [batches * points] * writers
