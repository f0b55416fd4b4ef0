"""Two gateways behind Debian's HAProxy, as infra/haproxy/haproxy.cfg says."""

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import grpc
import pytest
import requests

from api import Api
from postgres_server import PROGRAMS
from processes import SERVICES, Deployment, free_port

HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
CONFIG = Path(__file__).parents[2] / "infra/haproxy/haproxy.cfg"

pytestmark = [pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed: `make postgres`"),
              pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed: `make haproxy`")]


class Balancer:
    """HAProxy in front of gateways that have one port in common, each on an address of its own."""

    def __init__(self, gateways: list, http_port: int, grpc_port: int):
        self.rest, self.grpc = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        names = {f"GATEWAY_{n}": gateway.process.settings["server.host"] for n, gateway in enumerate(gateways, 1)}
        self.env = {**os.environ, **names, "HTTP_PORT": str(http_port), "GRPC_PORT": str(grpc_port),
                    "HAPROXY_REST": self.rest, "HAPROXY_GRPC": self.grpc}

    def __enter__(self) -> "Balancer":
        self.process = subprocess.Popen([HAPROXY, "-db", "-f", CONFIG], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if requests.get(f"http://{self.rest}/api/v1/health", timeout=5).ok:
                    return self
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
        self.process.kill()
        raise RuntimeError("HAProxy lets nobody through")

    def __exit__(self, *_exc) -> None:
        self.process.terminate()
        self.process.wait(20)


class Load(threading.Thread):
    """Asks again and again. A request is asked once: nothing is repeated here."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.done, self.failed, self.ends = ask, 0, [], threading.Event()

    def run(self) -> None:
        while not self.ends.is_set():
            try:
                fault = self.ask()
            except Exception as error:  # noqa: BLE001
                fault = repr(error)
            self.done += 1
            if fault:
                self.failed.append(fault)

    def stop(self) -> None:
        self.ends.set()
        self.join(30)


def free_ports_on_both() -> tuple[int, int]:
    """Ports that are free on both addresses."""
    found = []
    while len(found) < 2:
        port = free_port()
        with socket.socket() as other:
            other.bind(("127.0.0.2", port))
        found.append(port)
    return found[0], found[1]


def test_of_two_gateways_behind_haproxy_each_drains_and_no_request_is_lost_s1_69(cairn, tmp_path):
    http_port, grpc_port = free_ports_on_both()
    with Deployment(cairn, tmp_path, {"shutdown.drain_ms": "3000"}) as house:
        rest = house.serve("rest", *SERVICES)
        peers = {role: [rest] for role in SERVICES}
        ports = {"server__http_port": str(http_port), "server__grpc_port": str(grpc_port)}
        gateways = [house.gateway(f"gateway-{n}", peers, server__host=f"127.0.0.{n}", **ports) for n in (1, 2)]
        with Balancer(gateways, http_port, grpc_port) as balancer:
            api = Api(gateways[0])
            run = api.run("behind a load balancer")
            session = {"authorization": f"Bearer {house.key}"}

            def by_rest():
                answer = http.get(f"http://{balancer.rest}/api/v1/{run}", headers=session, timeout=20)
                return None if answer.ok else answer.text

            def write():
                answer = http_2.post(f"http://{balancer.rest}/api/v1/projects/default/experiments/0/runs", headers=session, json={"display_name": "of many"}, timeout=20)
                return None if answer.ok else answer.text

            channel = grpc.insecure_channel(balancer.grpc)
            listed = channel.unary_unary("/cairn.auth.v1.ProjectService/ListProjects")

            def by_grpc():
                listed(b"", metadata=[("authorization", f"Bearer {house.key}")], timeout=20)

            http, http_2 = requests.Session(), requests.Session()
            loads = [Load(by_rest), Load(write), Load(by_grpc)]
            for load in loads:
                load.start()
            for gateway in gateways:
                time.sleep(2)
                began = time.monotonic()
                assert gateway.process.stop() == 0
                assert time.monotonic() - began >= 3, "it serves on while others hear that it is about to stop"
                gateway.process.start()
                time.sleep(2)  # Two checks, and it is there again.
            for load in loads:
                load.stop()
            assert [load.failed for load in loads] == [[], [], []]
            assert all(load.done > 50 for load in loads), [load.done for load in loads]
