"""Starts the real program on a folder and free ports of its own, and stops it."""

import json
import os
import secrets
import subprocess
from pathlib import Path

import pytest
import requests

import databases

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30


#: How suites run, for all tests: `up` (the default) as one process, `up micro` with a process for each role.
UP = os.environ.get("CAIRN_TEST_UP", "up")


def one_process(why: str):
    """Leaves a test out where each role is a process of its own."""
    return pytest.mark.skipif("micro" in UP.split(), reason=f"of one process: {why}")


class Suite:
    """A running `cairn up`. Use it in a `with` statement."""

    def __init__(self, cairn: Path, data: Path, env: dict[str, str] | None = None, log: Path | None = None,
                 authority: Path | None = None):
        self.cairn = Path(cairn)
        self.data = Path(data)
        self.log = log or self.data.with_suffix(".log")
        self.key = "test-" + secrets.token_urlsafe(24)
        self.env = {**os.environ, "API_HOST": "127.0.0.1", "API_HTTP_PORT": "0", "API_GRPC_PORT": "0",
                    "CAIRN_API_KEY": self.key, "RUST_LOG": "warn", **(env or {})}
        #: File of the authority that its certificate comes from, when it has one.
        self.authority = str(authority) if authority else None
        self.process: subprocess.Popen | None = None
        self.url = self.grpc = ""
        #: Host and port of the event store, where the settings have one.
        self.eventstore: str | None = None
        self.up = UP.split()
        if "micro" in self.up and "DATABASE_URL" not in self.env:
            self.env["DATABASE_URL"] = databases.of(self.data)

    def __enter__(self) -> "Suite":
        self.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.stop()

    def start(self) -> None:
        """Returns once the suite says where it listens, which it does when it is ready."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.cairn, "--json", *self.up, "--data", self.data], env=self.env,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"cairn up ended with {self.process.wait()}: {self.log.read_text()}")
            addresses = json.loads(line)
            self.url, self.grpc, self.eventstore = addresses["http"], addresses["grpc"], addresses.get("eventstore")
            health = requests.get(f"{self.url}/api/v1/health", timeout=START_SECONDS_MAX, verify=self.authority or True)
            if not health.ok:
                raise RuntimeError(f"the suite is not well: {health.text}")
        except BaseException:
            self.process.kill()
            raise

    def folder(self, role: str) -> Path:
        """Where a role keeps what is its own."""
        return self.data / role if "micro" in self.up else self.data

    def stop(self) -> int:
        """Asks it to stop and gives its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        finally:
            self.process.kill()

    def cli(self, *args: str, key: str | None = None) -> subprocess.CompletedProcess:
        """Runs the command line against this suite."""
        env = {**self.env, "CAIRN_URL": self.url, "CAIRN_API_KEY": key or self.key,
               "CAIRN_CA_FILE": self.authority or ""}
        return subprocess.run([self.cairn, *args], env=env, capture_output=True, text=True, timeout=120)

    def cli_json(self, *args: str, key: str | None = None):
        """The same, with the JSON it printed."""
        done = self.cli("--json", *args, key=key)
        if done.returncode != 0:
            raise RuntimeError(f"cairn {' '.join(args)} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)
