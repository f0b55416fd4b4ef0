"""What is logged arrives once and whole: over both protocols, by many writers, through a bad line, in any amount."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pandas as pd
import psutil
import pytest
import requests
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from api import Api
from suite import Suite, one_process

CALL_SECONDS_MAX = 60
STORY_SECONDS_MAX = 300
WRITERS, POINTS_EACH = 100, 1000
NAMES, NAMES_PER_BATCH = 1_000_000, 10_000
# What a server may take for a million names that it does not keep, beyond what it had. Most of it is one request's.
GROWTH_BYTES_MAX = 256 << 20


# Each channel with a connection of its own, and no retries but ours.
ALONE = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]


class Rest:
    """Logs batches over REST, a connection each."""

    def __init__(self, suite: Suite, address: str | None = None):
        self.url, self.key = address or suite.url, suite.key

    def log(self, run: str, batch: dict) -> dict:
        with requests.Session() as session:
            answer = session.post(f"{self.url}/api/v1/{run}:logBatch", json=batch, timeout=CALL_SECONDS_MAX,
                                  headers={"Authorization": f"Bearer {self.key}", "Connection": "close"})
        if answer.status_code == 409:
            return {"refused": answer.json()["error"]["reason"], "said": json.dumps(answer.json())}
        assert answer.status_code == 200, answer.text
        return answer.json()


class Grpc:
    """Logs batches over gRPC, a channel each. Knows the contract from reflection alone."""

    def __init__(self, suite: Suite, address: str | None = None):
        self.address, self.metadata = (address or suite.grpc).removeprefix("http://"), [("authorization", f"Bearer {suite.key}")]
        with grpc.insecure_channel(suite.grpc.removeprefix("http://")) as channel:
            keyed = grpc.intercept_channel(channel, Keyed(self.metadata))
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(keyed))
            method = pool.FindServiceByName("cairn.experiments.v1.RunService").FindMethodByName("LogBatch")
            self.ask, self.answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)

    def log(self, run: str, batch: dict) -> dict:
        with grpc.insecure_channel(self.address, options=ALONE) as channel:
            call = channel.unary_unary("/cairn.experiments.v1.RunService/LogBatch",
                                       request_serializer=lambda message: message.SerializeToString(),
                                       response_deserializer=self.answer.FromString)
            try:
                answer = call(ParseDict({**batch, "name": run}, self.ask()), metadata=self.metadata, timeout=CALL_SECONDS_MAX)
            except grpc.RpcError as fault:
                if fault.code() == grpc.StatusCode.ALREADY_EXISTS:
                    return {"refused": "BATCH_CONFLICT", "said": fault.details()}
                raise
        return MessageToDict(answer, preserving_proto_field_name=True)


class Keyed(grpc.StreamStreamClientInterceptor):
    def __init__(self, metadata):
        self.metadata = metadata

    def intercept_stream_stream(self, call, details, requests_):
        return call(details._replace(metadata=self.metadata), requests_)


class Dropping:
    """A line that loses every third answer: the request arrives, is carried out, and nobody hears of it."""

    def __init__(self, address: str, is_http2: bool):
        host, port = address.removeprefix("http://").rsplit(":", 1)
        self.to, self.is_http2, self.count, self.dropped = (host, int(port)), is_http2, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.serve, args=(client, self.count % 3 == 0), daemon=True).start()

    def serve(self, client, drops: bool):
        with client, socket.create_connection(self.to) as server:
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()
            with contextlib.suppress(OSError):  # The client has its answer and is gone.
                while data := server.recv(1 << 16):
                    if drops and (not self.is_http2 or has_headers(data)):
                        self.dropped += 1
                        # Closing alone would wait for the other thread, which is still listening.
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    client.sendall(data)

    @staticmethod
    def pump(client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)


def has_headers(data: bytes) -> bool:
    """Whether HTTP/2 frames begin an answer: what comes before it is the connection's own business."""
    at = 0
    while at + 9 <= len(data):
        if data[at + 3] == 1:
            return True
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return False


@pytest.fixture
def api(suite) -> Api:
    return Api(suite)


def points_of(api: Api, run: str, metric: str) -> list[dict]:
    return sum(api.pages(f"{run}/metricPoints", "points", metric=metric, page_size=50_000), [])


def until_answered(door, run: str, batch: dict) -> dict:
    """What a client does that wants its batch to arrive: the same again."""
    for _ in range(10):
        try:
            return door.log(run, batch)
        except (requests.ConnectionError, grpc.RpcError):
            continue
    raise AssertionError("ten answers in a row were lost")


def batch_of(name: str, value: float = 0.5, points: int = 10) -> dict:
    metrics = [{"key": "loss", "value": value + step, "step": str(step), "log_time": "2026-01-01T00:00:00Z"}
               for step in range(points)]
    return {"batch_id": name, "metrics": metrics, "params": {"lr": "0.1"}, "tags": {"stage": "dev"}}


def batch_at(n: int) -> dict:
    """The `n`th batch of ten points, of which no two have a step in common."""
    batch = batch_of(f"b{n}")
    for point in batch["metrics"]:
        point["step"] = str(int(point["step"]) + 10 * n)
    return batch


def test_a_batch_is_one_whichever_protocol_brings_it_and_however_often_s1_6(suite, api):
    rest, rpc = Rest(suite), Grpc(suite)
    run = api.run("both protocols")
    answers = [door.log(run, batch_of("b1")) for door in (rest, rpc, rest, rpc, rpc)]
    assert [answer.pop("replayed", False) for answer in answers] == [False, True, True, True, True]
    assert all(answer == answers[0] for answer in answers), answers
    assert len(points_of(api, run, "loss")) == 10
    for door in (rest, rpc):
        refused = door.log(run, batch_of("b1", value=0.75))
        assert refused["refused"] == "BATCH_CONFLICT" and answers[0]["payload_sha256"] in refused["said"], refused
    # And the other way round.
    assert "replayed" not in rpc.log(run, batch_of("b2")) and rest.log(run, batch_of("b2"))["replayed"]
    # Through bad lines, by one protocol and then by the other.
    run = api.run("both protocols, bad lines")
    with Dropping(suite.url, is_http2=False) as first, Dropping(suite.grpc, is_http2=True) as second:
        doors = [Rest(suite, first.address), Grpc(suite, second.address)]
        for n in range(12):
            for door in doors if n % 2 else reversed(doors):
                until_answered(door, run, batch_at(n))
    assert first.dropped > 3 and second.dropped > 3
    assert sorted(int(point.get("step", 0)) for point in points_of(api, run, "loss")) == list(range(120))
    assert int(api.get(run).json()["metrics"][0]["count"]) == 120


@pytest.mark.parametrize("protocol", [Rest, Grpc])
def test_counts_are_exact_behind_a_line_that_loses_every_third_answer_s1_45(suite, api, protocol):
    run, batches = api.run("a bad line"), 30
    with Dropping(suite.grpc if protocol is Grpc else suite.url, protocol is Grpc) as line:
        door = protocol(suite, line.address)
        replayed = 0
        for n in range(batches):
            replayed += until_answered(door, run, batch_at(n)).get("replayed", False)
    assert line.dropped == replayed > 5, "each answer that was lost was given again"
    steps = [int(point.get("step", 0)) for point in points_of(api, run, "loss")]
    assert sorted(steps) == list(range(batches * 10))
    [metric] = api.get(run).json()["metrics"]
    assert int(metric["count"]) == batches * 10


def test_a_hundred_writers_lose_nothing_and_double_nothing_s1_17(suite, api):
    runs = [api.run(f"writers {n}") for n in range(10)]

    def write(writer: int) -> None:
        """Half of them by MLflow's API, which has no batch ids, and half by ours."""
        run = runs[writer % len(runs)]
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {suite.key}"
            for start in range(0, POINTS_EACH, 100):
                points = [(f"w{writer}", start + n) for n in range(50)] + [("shared", writer * POINTS_EACH + start + n) for n in range(50)]
                if writer % 2:
                    body = {"run_id": run.rsplit("/", 1)[1],
                            "metrics": [{"key": key, "value": step, "step": step, "timestamp": step} for key, step in points]}
                    answer = session.post(f"{suite.url}/api/2.0/mlflow/runs/log-batch", json=body, timeout=CALL_SECONDS_MAX)
                else:
                    body = {"batch_id": f"{writer}-{start}",
                            "metrics": [{"key": key, "value": step, "step": str(step), "log_time": "2026-01-01T00:00:00Z"}
                                        for key, step in points]}
                    answer = session.post(f"{suite.url}/api/v1/{run}:logBatch", json=body, timeout=CALL_SECONDS_MAX)
                assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    mine = [start + n for start in range(0, POINTS_EACH, 100) for n in range(50)]
    for at, run in enumerate(runs):
        writers = range(at, WRITERS, len(runs))
        for writer in writers:
            assert sorted(int(point.get("step", 0)) for point in points_of(api, run, f"w{writer}")) == mine
        shared = sorted(int(point.get("step", 0)) for point in points_of(api, run, "shared"))
        assert shared == sorted(writer * POINTS_EACH + step for writer in writers for step in mine)
        counts = {metric["key"]: int(metric["count"]) for metric in api.get(run).json()["metrics"]}
        assert counts == {"shared": 500 * len(writers), **{f"w{writer}": 500 for writer in writers}}


def test_limits_count_over_both_protocols_together(cairn, tmp_path):
    env = {"MLRUN_MAX_TAG_KEYS_PER_RUN": "3", "MLRUN_MAX_METRIC_NAMES_PER_RUN": "2", "MLRUN_MAX_TAGS_PER_PROJECT": "4"}
    with Suite(cairn, tmp_path / "data", env) as suite:
        api, rest, rpc = Api(suite), Rest(suite), Grpc(suite)
        run, other = api.run("limits"), api.run("more")

        def dropped(answer: dict) -> list[str]:
            return sorted(entry["key"] for entry in answer.get("dropped_entries", []))

        assert dropped(rest.log(run, {"tags": {"a": "1", "b": "1"}, "metrics": [{"key": "m1", "value": 1}]})) == []
        assert dropped(rpc.log(run, {"tags": {"c": "1", "d": "1"}, "metrics": [{"key": "m2", "value": 1}, {"key": "m3", "value": 1}]})) == ["d", "m3"]
        assert dropped(rest.log(run, {"tags": {"d": "1"}, "metrics": [{"key": "m3", "value": 1}]})) == ["d", "m3"]
        assert dropped(rpc.log(other, {"tags": {"a": "1", "e": "1", "f": "1"}})) == ["f"], "the project's fifth"
        seen = api.get(run).json()
        assert {(entry["key"], int(entry["count"])) for entry in seen["dropped_entries"]} == {("d", 2), ("m3", 2)}
        assert [metric["key"] for metric in seen["metrics"]] == ["m1", "m2"]


@one_process("it has no child")
def test_direct_mode_has_no_queue_and_shows_points_with_the_answer_s1_8(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data", {"INGEST_MODE": "direct"}) as suite:
        api = Api(suite)
        run = api.run("direct")
        for step in range(20):
            api.make(f"{run}:logBatch", {"metrics": [{"key": "loss", "value": step, "step": str(step)}]})
            assert len(points_of(api, run, "loss")) == step + 1
        assert psutil.Process(suite.process.pid).children(recursive=True) == []


def test_a_million_distinct_names_leave_a_thousand_and_bounded_memory_s1_49(suite, api):
    run = api.run("explosion")
    process = psutil.Process(suite.process.pid)
    before, peak = process.memory_info().rss, 0

    def log(start: int) -> None:
        body = {"metrics": [{"key": f"name-{start + n}", "value": 1} for n in range(NAMES_PER_BATCH)]}
        assert api.post(f"{run}:logBatch", json=body).status_code == 200

    for start in range(0, NAMES, NAMES_PER_BATCH):
        log(start)
        peak = max(peak, process.memory_info().rss)
    seen = api.get(run).json()
    assert len(seen["metrics"]) == 1000
    assert len(seen["dropped_entries"]) == 101, "a hundred names, and one row for all further ones"
    assert sum(int(entry["count"]) for entry in seen["dropped_entries"]) == NAMES - 1000
    assert peak - before < GROWTH_BYTES_MAX, f"{(peak - before) >> 20} MiB more"


def test_a_million_points_are_drawn_by_a_thousand_that_keep_every_extreme_s4_36(api):
    run, total, per_batch = api.run("a long curve"), 1_000_000, 10_000
    noise = random.Random(7)
    values = [noise.gauss(0, 1) for _ in range(total)]
    values[123_456], values[765_432] = 99.0, -99.0
    for start in range(0, total, per_batch):
        body = {"metrics": [{"key": "loss", "value": values[step], "step": str(step)} for step in range(start, start + per_batch)]}
        assert api.post(f"{run}:logBatch", json=body).status_code == 200
    [series] = api.get(f"{run}/metricPoints:sample", params={"metrics": "loss", "points_max": 1000}).json()["series"]
    assert int(series["total_count"]) == total and len(series["points"]) <= 1000
    drawn = {int(point.get("step", 0)): point["value"] for point in series["points"]}
    assert all(values[step] == value for step, value in drawn.items())
    assert drawn[123_456] == 99.0 and drawn[765_432] == -99.0 and {0, total - 1} <= drawn.keys()
    # Any stretch, not only the whole: what is drawn of the middle has the middle's extremes.
    part = api.get(f"{run}/metricPoints:sample", params={"metrics": "loss", "points_max": 100, "start_step": 200_000, "end_step": 299_999})
    part = [point["value"] for point in part.json()["series"][0]["points"]]
    assert len(part) <= 100 and (max(part), min(part)) == (max(values[200_000:300_000]), min(values[200_000:300_000]))


def test_a_comparison_equals_a_frame_built_by_hand_s3_14(suite, api):
    logged = [{"lr": "0.1", "depth": "3"}, {"lr": "0.01", "depth": "3"}, {"lr": "0.01"}]
    measured = [{"loss": 0.5, "acc": 0.9}, {"loss": 0.25}, {"loss": 0.125, "acc": float("inf")}]
    runs = []
    for n, (params, metrics) in enumerate(zip(logged, measured)):
        runs.append(api.run(f"compared {n}"))
        points = [{"key": key, "value": "Infinity" if value == float("inf") else value} for key, value in metrics.items()]
        api.make(f"{runs[-1]}:logBatch", {"params": params, "metrics": points})
    by_hand = pd.DataFrame(
        {"depth": ["3", "3", None], "lr": ["0.1", "0.01", "0.01"], "acc": [0.9, None, float("inf")], "loss": [0.5, 0.25, 0.125]},
        index=runs)
    compared = api.make("projects/default/runs:compare", {"runs": runs})
    assert compared["runs"] == runs
    cells = {row["key"]: [cell.get("value") for cell in row["cells"]] for row in compared["params"] + compared["metrics"]}
    frame = pd.DataFrame(cells, index=compared["runs"])
    frame[["acc", "loss"]] = frame[["acc", "loss"]].astype(float)
    pd.testing.assert_frame_equal(frame[list(by_hand.columns)], by_hand, check_dtype=False)
    differing = api.make("projects/default/runs:compare", {"runs": runs[1:], "differing_only": True})
    assert {row["key"] for row in differing["params"] + differing["metrics"]} == {"depth", "acc", "loss"}


def test_nested_settings_are_flat_params_and_come_back_as_they_were_s3_12(suite, api, tmp_path):
    settings = {"model": {"layers": [64, 32], "dropout": 0.1, "name": "mlp", "norm": None, "bias": True},
                "opt": {"lr": 1e-4, "schedule": {"kind": "cosine", "warm.up": 5}, "extra": {}}, "seed": "7", "fold": 7}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings))
    run = api.run("nested settings")
    assert suite.cli("runs", "log-params", run, str(file)).returncode == 0
    assert suite.cli_json("runs", "params", run, "--nested") == settings
    flat = api.get(run).json()["params"]
    assert (flat["opt.lr"], flat["model.name"], flat["opt.schedule.kind"]) == ("0.0001", "mlp", "cosine")
    # What is flat can be searched for.
    found = suite.cli_json("runs", "list", "--filter", "params.`opt.schedule.kind` = 'cosine' AND params.fold = '7'")
    assert [seen["name"] for seen in found] == [run]


SYSTEM_METRICS = """
import mlflow, time
mlflow.set_experiment("system metrics")
with mlflow.start_run(log_system_metrics=True) as run:
    client = mlflow.MlflowClient()
    def history(key):
        return client.get_metric_history(run.info.run_id, f"system/{key}")
    while len(history("cpu_utilization_percentage")) < 3:
        time.sleep(0.5)
    for key in ("cpu_utilization_percentage", "system_memory_usage_megabytes", "disk_usage_percentage"):
        print(key, *(point.timestamp for point in history(key)))
"""


def test_an_unmodified_client_logs_its_hosts_metrics_every_ten_seconds_s1_33(suite):
    env = {**os.environ, "MLFLOW_TRACKING_URI": suite.url, "MLFLOW_TRACKING_TOKEN": suite.key, "GIT_PYTHON_REFRESH": "quiet"}
    done = subprocess.run([sys.executable, "-c", SYSTEM_METRICS], env=env, capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    series = {line.split()[0]: [int(time) for time in line.split()[1:]] for line in done.stdout.splitlines() if "_" in line.split(" ")[0]}
    for key in ("cpu_utilization_percentage", "system_memory_usage_megabytes", "disk_usage_percentage"):
        times = series[key]
        assert len(times) >= 3, series
        # Ten seconds by the client's own clock, which a busy machine makes longer and never shorter.
        assert all(later - earlier >= 9_000 for earlier, later in zip(times, times[1:])), times
