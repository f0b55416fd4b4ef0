"""A genuine NATS of a test's own: on free ports, in a folder of its own, writing before it acknowledges."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from processes import free_port

START_SECONDS_MAX = 20
USER, PASSWORD = "cairn", "correct-horse"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

#: The server: what `make nats` has fetched, or one that is installed.
PROGRAM = shutil.which("nats-server", path=f"{CACHE / 'cairn/nats/usr/sbin'}:{os.environ.get('PATH', '')}:/usr/sbin")

CONFIG = """listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitoring}"
authorization {{ user: {user}, password: "{password}" }}
jetstream {{ store_dir: "{folder}/store", sync_interval: {sync} }}
"""


class Nats:
    """Use it in a `with` statement; `kill` and `start` leave its ports and what it keeps as they are."""

    def __init__(self, folder: Path, sync: str = "always"):
        self.folder, self.port, self.monitoring = Path(folder), free_port(), free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        words = {"port": self.port, "monitoring": self.monitoring, "user": USER, "password": PASSWORD}
        (self.folder / "nats.conf").write_text(CONFIG.format(folder=self.folder, sync=sync, **words))
        self.process: subprocess.Popen | None = None

    @property
    def env(self) -> dict[str, str]:
        """The names that lead to it."""
        return {"INGEST_MODE": "queued", "NATS_URL": f"nats://{USER}:{PASSWORD}@127.0.0.1:{self.port}",
                "CAIRN__INGEST__NATS_MONITORING_URL": f"http://127.0.0.1:{self.monitoring}"}

    def __enter__(self) -> "Nats":
        self.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.kill()

    def start(self) -> None:
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-c", self.folder / "nats.conf"], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._greets():
            assert time.monotonic() < deadline and self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """At once, with whatever is under way."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                return line.recv(4) == b"INFO"
        except OSError:
            return False
