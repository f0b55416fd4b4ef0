"""The program from outside: one process, two ports, nothing else that it needs."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api import Api, eventually
from namespace import isolated, needs_namespace
from suite import Suite, one_process

pytestmark = one_process("that is what it is about")

LIBC_FAMILY = {"linux-vdso", "linux-gate", "libc", "libm", "libpthread", "libdl", "librt", "libgcc_s", "ld-linux-x86-64",
               "ld-linux-aarch64"}
# Everything that the suite does for its users, through each of its doors. Left out is what looks at the process itself, and
# what holds answers against a genuine server's or trains for minutes.
JOURNEYS = ["test_artifacts.py", "test_cli.py", "test_credentials.py", "test_edge.py", "test_grpc.py", "test_mlflow_access.py",
            "test_mlflow_ingestion.py", "test_settings.py"]
# Redis's and Kafka's.
QUEUE_PORTS = (6379, 9092)


def process(suite: Suite) -> psutil.Process:
    return psutil.Process(suite.process.pid)


def test_it_is_one_process_that_needs_only_libc_and_speaks_http_and_grpc_s1_1(cairn, suite):
    linked = subprocess.run(["ldd", cairn], capture_output=True, text=True, check=True).stdout
    names = {Path(line.split()[0]).name.split(".so")[0] for line in linked.splitlines()}
    assert "libc" in names and names <= LIBC_FAMILY, linked
    assert process(suite).children(recursive=True) == []
    assert requests.get(f"{suite.url}/api/v1/health", timeout=10).status_code == 200
    with grpc.insecure_channel(suite.grpc.removeprefix("http://")) as channel:
        who = channel.unary_unary("/cairn.auth.v1.AccessService/WhoAmI")
        assert b"users/admin" in who(b"", metadata=[("authorization", f"Bearer {suite.key}")], timeout=10)


def test_points_are_readable_when_the_request_that_brought_them_is_answered_and_no_queue_is_there_s1_8(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data", {"INGEST_MODE": "direct"}) as suite:
        api = Api(suite)
        run = api.run("direct")
        for batch in range(20):
            points = [{"key": "loss", "value": batch, "step": str(batch * 50 + n)} for n in range(50)]
            api.make(f"{run}:logBatch", {"batch_id": str(batch), "metrics": points})
            read = api.get(f"{run}/metricPoints", params={"metric": "loss", "page_size": 1000}).json()["points"]
            assert len(read) == 50 * (batch + 1)
        assert process(suite).children(recursive=True) == []
        assert elsewhere(suite) == [], "nobody else is asked"


def elsewhere(suite: Suite) -> list:
    """Connections that the process made itself."""
    ports = {int(address.rsplit(":", 1)[1]) for address in (suite.url, suite.grpc)}
    made = [link for link in process(suite).net_connections() if link.status != psutil.CONN_LISTEN]
    return [link for link in made if link.laddr.port not in ports]


@needs_namespace
def test_with_an_empty_environment_it_serves_on_its_ports_and_ingests_directly_s1_2_s1_12(cairn, tmp_path):
    def serve():
        suite = Suite(cairn, tmp_path / "data")
        suite.env = {}
        with suite:
            socket.create_connection(("localhost", 50051), timeout=5).close()
            health = requests.get("http://localhost:3001/api/v1/health", timeout=10)
            told = subprocess.run([cairn, "config", "explain", "ingest.mode"], env={}, capture_output=True, text=True)
            return health.status_code, told.stdout

    status, told = isolated(serve)
    assert status == 200 and "direct (default)" in told


@needs_namespace
def test_it_passes_where_no_queue_nor_anything_else_can_be_reached_s1_14(cairn):
    here = Path(__file__).parent

    def pass_everything():
        for port in QUEUE_PORTS:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
        return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *JOURNEYS], cwd=here,
                              env={**os.environ, "CAIRN_BIN": str(cairn)}, capture_output=True, text=True)

    done = isolated(pass_everything)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout) and "skipped" not in done.stdout, done.stdout


@needs_namespace
def test_from_outside_only_the_gateways_ports_answer_s4_95(cairn, tmp_path):
    name = secrets.token_hex(3)
    ours, theirs, inside = f"co{name}", f"ci{name}", "10.213.77.2"
    if shutil.which("ip") is None:
        pytest.skip("a second host on this machine takes Debian's iproute2")
    ip = lambda *words: subprocess.run(["ip", *words], check=True)  # noqa: E731

    def serve():
        suite = Suite(cairn, tmp_path / "data", {"API_HOST": "0.0.0.0"})
        suite.start()
        # The pair ends up in both networks: one end moves to where the suite is.
        ip("link", "add", theirs, "type", "veth", "peer", "name", ours)
        ip("addr", "add", f"{inside}/30", "dev", theirs)
        ip("link", "set", theirs, "up")
        ip("link", "set", ours, "netns", str(os.getpid()))
        return suite

    suite = isolated(serve)
    try:
        ip("addr", "add", "10.213.77.1/30", "dev", ours)
        ip("link", "set", ours, "up")
        ports = {int(address.rsplit(":", 1)[1]) for address in (suite.url, suite.grpc)}
        answering = lambda port: port if answers(inside, port) else None  # noqa: E731
        eventually(lambda: all(answers(inside, port) for port in ports))
        with ThreadPoolExecutor(max_workers=32) as threads:
            assert {port for port in threads.map(answering, range(1, 65536)) if port} == ports
    finally:
        suite.stop()


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0


class Collector(grpc.GenericRpcHandler):
    """Takes what is exported to it over OTLP."""

    def __init__(self):
        self.spans = []

    def service(self, details):
        if details.method == "/opentelemetry.proto.collector.trace.v1.TraceService/Export":
            return grpc.unary_unary_rpc_method_handler(self.export, ExportTraceServiceRequest.FromString, bytes)
        return None

    def export(self, request, _context) -> bytes:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return b""

    def of(self, trace: str) -> dict:
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace}


def test_the_trace_of_a_batch_goes_from_the_sdk_by_edge_access_and_idempotency_to_storage_s1_13(cairn, tmp_path):
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers([collector])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    steps = ["http", "authorize", "idempotency", "storage"]
    try:
        with Suite(cairn, tmp_path / "data", env) as suite:
            api = Api(suite)
            run = api.run("traced")
            trace, sdk = secrets.token_hex(16), secrets.token_hex(8)
            api.make(f"{run}:logBatch", {"batch_id": "1", "metrics": [{"key": "loss", "value": 1, "step": "1"}]},
                     headers={"traceparent": f"00-{trace}-{sdk}-01"})
            eventually(lambda: set(steps) <= set(collector.of(trace)))
        spans = collector.of(trace)
        assert spans["http"].parent_span_id.hex() == sdk, "the first is the SDK's, which called"
        by_id = {span.span_id: span for span in spans.values()}
        for span in spans.values():
            assert span.name == "http" or span.parent_span_id in by_id, f"{span.name} hangs on nothing"
        starts = [spans[step].start_time_unix_nano for step in steps]
        assert starts == sorted(starts)
        for before, after in [("authorize", "idempotency"), ("idempotency", "storage")]:
            assert spans[before].end_time_unix_nano <= spans[after].start_time_unix_nano
    finally:
        server.stop(None)


def test_every_value_is_told_with_its_source_by_file_environment_and_flag_s0_30(cairn, tmp_path):
    file = tmp_path / "cairn.toml"
    file.write_text("[server]\nhttp_port = 1\ngrpc_port = 2\n[gateway]\nburst_seconds = 9\n")
    flags = ["--config", str(file), "--set", "gateway.burst_seconds=7"]
    env = {"API_GRPC_PORT": "3", "CAIRN__GATEWAY__BURST_SECONDS": "8", "CAIRN_API_KEY": "a-secret-of-the-operator"}
    told = subprocess.run([cairn, "config", "explain", *flags], env=env, capture_output=True, text=True, check=True).stdout
    lines = told.splitlines()
    for line in ["server.host = 127.0.0.1 (default)", f"server.http_port = 1 ({file})",
                 "server.grpc_port = 3 (environment variable API_GRPC_PORT)", "gateway.burst_seconds = 7 (flag --set)",
                 "auth.bootstrap_key = (hidden) (environment variable CAIRN_API_KEY)"]:
        assert line in lines, told
    listed = subprocess.run([cairn, "--json", "config", "print", *flags], env=env, capture_output=True, text=True, check=True)
    settings = {setting["key"]: setting for setting in json.loads(listed.stdout)}
    assert len(settings) == len(lines) and settings["gateway.burst_seconds"]["value"] == 7
    assert settings["gateway.burst_seconds"]["environment"] == ["CAIRN__GATEWAY__BURST_SECONDS"]
    assert "a-secret" not in told + listed.stdout
