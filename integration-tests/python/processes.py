"""Roles of a suite as processes of their own, each started by `cairn serve` as an operator would."""

import json
import os
import secrets
import signal
import socket
import subprocess
from pathlib import Path

import databases

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
SERVICES = ("auth", "config", "experiments", "registry", "ledger")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Process:
    """One `cairn serve`. `kill` and `start` again leave its folder and its port as they are."""

    def __init__(self, deployment: "Deployment", name: str, roles: tuple[str, ...], settings: dict[str, str]):
        self.deployment, self.name, self.roles = deployment, name, roles
        self.settings = {"peers.listen": f"127.0.0.1:{free_port()}", "server.http_port": "0", "server.grpc_port": "0", **settings}
        self.process: subprocess.Popen | None = None
        self.said: dict = {}

    @property
    def address(self) -> str:
        return f"http://{self.settings['peers.listen']}"

    def start(self) -> "Process":
        house = self.deployment
        settings = [word for key, value in {**house.settings, **self.settings}.items() for word in ("--set", f"{key}={value}")]
        command = [house.cairn, "--json", "serve", *self.roles, "--data", house.folder / self.name, *settings]
        with open(house.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(command, env=house.env, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}: {(house.folder / f'{self.name}.log').read_text()}")
        self.said = json.loads(line)
        return self

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS_MAX)

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        finally:
            self.process.kill()


class Deployment:
    """Processes that share one log in PostgreSQL. Use it in a `with` statement."""

    def __init__(self, cairn: Path, folder: Path, settings: dict[str, str] | None = None):
        self.cairn, self.folder = Path(cairn), Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = "test-" + secrets.token_urlsafe(24)
        self.env = {**os.environ, "CAIRN_API_KEY": self.key, "RUST_LOG": "warn", "DATABASE_URL": databases.of(self.folder)}
        self.settings = {"server.keyring_file": str(self.folder / "keyring.json"), "login.public_url": "http://127.0.0.1:1",
                         "objects.url": f"file://{self.folder / 'objects'}", **(settings or {})}
        self.processes: list[Process] = []

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(self, *_exc) -> None:
        for process in reversed(self.processes):
            if process.process.poll() is None:
                process.process.terminate()
        for process in self.processes:
            process.stop()

    def serve(self, name: str, *roles: str, **settings: str) -> Process:
        """Starts a process; settings with two underscores for the point."""
        process = Process(self, name, roles or (name,), {key.replace("__", "."): value for key, value in settings.items()})
        self.processes.append(process)
        return process.start()

    def gateway(self, name: str, peers: dict[str, list[Process]], **settings: str) -> "Gateway":
        known = {f"peers__{role}": ",".join(process.address for process in found) for role, found in peers.items()}
        return Gateway(self, self.serve(name, "gateway", **known, **settings))


class Gateway:
    """A door of a deployment, as tests know a suite."""

    def __init__(self, deployment: Deployment, process: Process):
        self.deployment, self.process = deployment, process
        self.key, self.authority = deployment.key, None

    @property
    def url(self) -> str:
        return self.process.said["http"]

    @property
    def grpc(self) -> str:
        return self.process.said["grpc"]

    def cli(self, *args: str, key: str | None = None) -> subprocess.CompletedProcess:
        env = {**self.deployment.env, "CAIRN_URL": self.url, "CAIRN_API_KEY": key or self.key}
        return subprocess.run([self.deployment.cairn, *args], env=env, capture_output=True, text=True, timeout=120)
