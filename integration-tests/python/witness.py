"""A witness as its operator runs it."""

import json
import subprocess
from pathlib import Path

import requests


class Witness:
    """A running `cairn witness`. Use it in a `with` statement."""

    def __init__(self, cairn: Path, data: Path, *logs: str, listen: str = "127.0.0.1:0"):
        self.command = [cairn, "--json", "witness", "--name", "witness.example", "--data", data, "--listen", listen]
        self.command += [part for log in logs for part in ("--log", log)]

    def __enter__(self) -> "Witness":
        self.process = subprocess.Popen(self.command, env={}, stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.url, self.key = told["url"], told["key"]
        return self

    def __exit__(self, *_exc) -> None:
        self.process.terminate()
        try:
            assert self.process.wait(20) == 0
        finally:
            self.process.kill()

    @property
    def setting(self) -> dict[str, str]:
        return {"CAIRN__LEDGER__WITNESSES": f"{self.url} {self.key}"}

    def offer(self, body: str) -> requests.Response:
        return requests.post(f"{self.url}/add-checkpoint", data=body.encode(), timeout=20)
