"""A genuine Redis of a test's own: on a free port, in a folder of its own, without anything kept unless it is told to."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS_MAX = 10

#: Debian's, where it is installed.
PROGRAM = shutil.which("redis-server")


class Redis:
    """Use it in a `with` statement; `stop` and `start` leave its port as it is."""

    def __init__(self, folder: Path, keeps: str | None = None):
        """`keeps`: how often what is kept is written to the disk, `always` or `everysec`."""
        self.folder, self.keeps = folder, keeps
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen | None = None

    @property
    def env(self) -> dict[str, str]:
        """The names that lead to it as a queue."""
        return {"INGEST_MODE": "queued", "REDIS_URL": self.url}

    def __enter__(self) -> "Redis":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.stop()

    def start(self) -> None:
        kept = ["--appendonly", "yes", "--appendfsync", self.keeps] if self.keeps else ["--appendonly", "no"]
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *kept, "--dir", str(self.folder)]
        self.process = subprocess.Popen([PROGRAM, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(5) == b"+PONG":
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline and self.process.poll() is None, "redis-server does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
