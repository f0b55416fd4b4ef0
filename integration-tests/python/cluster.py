"""What `docker/compose.processes.yaml` describes, without containers: its commands and its environment, on private instances of its
engines. Names of containers become ports of this machine, volumes and secrets folders, and nothing else is changed."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import yaml

import clickhouse_server
import nats_server
import s3
from clickhouse_server import ClickHouse
from nats_server import Nats
from postgres_server import Postgres
from processes import free_port
from redis_server import Redis
from suite import Suite

COMPOSE = Path(__file__).resolve().parents[2] / "docker/compose.processes.yaml"
STOP_SECONDS_MAX = 30


class Service:
    """One container's process. `kill` and `start` again leave its folder and its ports as they are."""

    def __init__(self, name: str, command: list, env: dict[str, str], folder: Path):
        self.name, self.command, self.env, self.folder = name, command, env, folder
        self.log = folder / "log"
        self.said: dict = {}
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, env=self.env, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}: {self.log.read_text()[-4000:]}")
        self.said = json.loads(line)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS_MAX)

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        finally:
            self.process.kill()


class Cluster(Suite):
    """All of it. Whoever uses it as a suite talks to its first gateway."""

    def __init__(self, cairn: Path, data: Path, say=lambda _text: None):
        super().__init__(cairn, data)
        self.say = say
        self.compose = yaml.safe_load(COMPOSE.read_text())["services"]
        self.services: dict[str, Service] = {}
        self.engines = ExitStack()

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        try:
            self.say("PostgreSQL, an S3 server (a stand-in), Redis, NATS and ClickHouse, each on a free port")
            self.clickhouse = self.engines.enter_context(ClickHouse()) if clickhouse_server.PROGRAM else None
            if not self.clickhouse:
                self.say("ClickHouse is not installed: points of metrics are local to each process")
            self.nats = self.engines.enter_context(Nats(self.data / "nats")) if nats_server.PROGRAM else None
            if not self.nats:
                self.say("NATS is not there: points are logged without a queue")
            self.postgres = self.engines.enter_context(Postgres())
            self.store = self.engines.enter_context(s3.moto(self.cairn, self.data))
            self.redis = self.engines.enter_context(Redis(self.data))
            self._describe()
            for name in self._in_order():
                self.services[name].start()
                self.say(f"{name}: {' '.join(self.services[name].command[2:])}")
        except BaseException:
            for service in self.services.values():
                if service.process:
                    service.process.kill()
            self.engines.close()
            raise
        self.url, self.grpc = (self.services["gateway-1"].said[door] for door in ("http", "grpc"))
        self.process = self.services["gateway-1"].process

    def stop(self) -> int:
        """Gateways first, so that nothing comes in any more. Gives the first exit code that is not 0."""
        with self.engines:
            codes = [self.services[name].stop() for name in reversed(self._in_order())]
        return next((code for code in codes if code), 0)

    def url_of(self, name: str) -> str:
        return self.services[name].said["http"]

    def ours(self) -> list[str]:
        return [name for name, service in self.compose.items() if service.get("image") == "cairn"]

    def _in_order(self) -> list[str]:
        """Every process after those that it waits for."""
        ordered: list[str] = []

        def visit(name: str) -> None:
            for needed in self.compose[name].get("depends_on", {}):
                if needed in self.ours():
                    visit(needed)
            if name not in ordered:
                ordered.append(name)

        for name in self.ours():
            visit(name)
        return ordered

    def _describe(self) -> None:
        """Works out the command line and the environment of each process."""
        peers = {name: free_port() for name in self.ours()}
        hidden = self.data / "secrets"
        hidden.mkdir(mode=0o700, exist_ok=True)
        (hidden / "database-url").write_text(self.postgres.url())
        (hidden / "s3-key").write_text(s3.SECRET)
        (hidden / "clickhouse-password").write_text(clickhouse_server.PASSWORD)
        keys = self.data / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        here = {
            "http://s3:9000": self.store.endpoint,
            "redis://redis:6379/0": self.redis.url,
            "s3://cairn": f"s3://{s3.BUCKET}",
            "/run/secrets": str(hidden),
            "/keys/": f"{keys}/",
        }
        if self.nats:
            here |= {"nats://nats:4222": self.nats.env["NATS_URL"], "http://nats:8222": self.nats.env["CAIRN__INGEST__NATS_MONITORING_URL"]}
        public = free_port()
        for name in self.ours():
            folder = self.data / name
            folder.mkdir(exist_ok=True)
            env = {**self.env, "RUST_LOG": "warn", "API_HOST": "127.0.0.1", "CAIRN_DATA": str(folder)}
            for key, value in self.compose[name]["environment"].items():
                value = str(value)
                for theirs, mine in here.items():
                    value = value.replace(theirs, mine)
                value = re.sub(r"http://([a-z0-9-]+):50100", lambda found: f"http://127.0.0.1:{peers[found[1]]}", value)
                env[key] = value
            env["MINIO_ACCESS_KEY"] = s3.KEY
            if self.clickhouse:
                env |= {"CLICKHOUSE_HOST": "127.0.0.1", "CLICKHOUSE_PORT": str(self.clickhouse.port)}
            else:
                env = {key: value for key, value in env.items() if not key.startswith("CLICKHOUSE_")}
            if not self.nats:
                env = {key: value for key, value in env.items() if "INGEST" not in key and key != "NATS_URL"}
            env["CAIRN__PEERS__LISTEN"] = f"127.0.0.1:{peers[name]}"
            env["CAIRN__LOGIN__PUBLIC_URL"] = f"http://127.0.0.1:{public}"
            env["API_HTTP_PORT"] = str(public) if name == "gateway-1" else "0"
            command = [str(self.cairn), "--json", *self.compose[name]["command"]]
            self.services[name] = Service(name, command, env, folder)
