"""A genuine PostgreSQL of a test's own: on a free port, in a folder of its own, as a user who is not root."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

START_SECONDS_MAX = 30
USER, PASSWORD = "cairn", "correct-horse"


def programs() -> Path | None:
    """Where PostgreSQL's programs are: on the search path, or where Debian has them."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    folders = [*(Path(folder) for folder in os.environ.get("PATH", "").split(":") if folder), *debian]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


#: Debian's, where it is installed.
PROGRAMS = programs()


def _owner() -> tuple[int, int] | None:
    """PostgreSQL does not run as root. Then it runs as Debian's user for it, or as nobody."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam("postgres")
    except KeyError:
        found = pwd.getpwnam("nobody")
    return found.pw_uid, found.pw_gid


class Postgres:
    """Use it in a `with` statement; `stop`, `crash` and `start` leave its port and its data as they are."""

    def __init__(self):
        # Not pytest's folder, which nobody but its user may enter; and short, because a socket is in it.
        self.folder = Path(tempfile.mkdtemp(prefix="cairn-pg-"))
        self.owner = _owner()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen | None = None

    def url(self, password: str = PASSWORD) -> str:
        return f"postgres://{USER}:{password}@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> "Postgres":
        try:
            secret = self.folder / "password"
            secret.write_text(PASSWORD)
            if self.owner:
                os.chown(self.folder, *self.owner)
                os.chown(secret, *self.owner)
            initdb = [PROGRAMS / "initdb", "--no-sync", "--no-locale", "--encoding=UTF8", "--wal-segsize=1", "--username", USER,
                      "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile", secret, "-D", self.folder / "data"]
            subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as_owner())
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc) -> None:
        self._end("QUIT")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        # A shell whose input ends with the test looks after it: it goes even if the test is killed.
        guard = '"$@" >>"$0/log" 2>&1 </dev/null & pid=$!; read -r word; kill -"${word:-QUIT}" $pid; wait $pid'
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=on",
                    "shared_buffers=32MB", "recovery_init_sync_method=syncfs"]
        command = [PROGRAMS / "postgres", "-D", self.folder / "data", *(word for setting in settings for word in ("-c", setting))]
        self.process = subprocess.Popen(["sh", "-c", guard, self.folder, *command], stdin=subprocess.PIPE, text=True, cwd="/",
                                        start_new_session=True, **self._as_owner())
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready():
            assert time.monotonic() < deadline, f"PostgreSQL does not start: {(self.folder / 'log').read_text()}"
            time.sleep(0.01)

    def stop(self) -> None:
        """As `systemctl` would: connections are ended, what is under way is rolled back."""
        self._end("INT")

    def crash(self) -> None:
        """At once, so that it must recover when it starts again."""
        self._end("QUIT")

    def query(self, sql: str) -> list[str]:
        """The lines of an answer, asked on the server's own socket."""
        command = ["psql", "-h", self.folder, "-p", str(self.port), "-U", USER, "-d", "postgres", "-At", "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    def _end(self, signal: str) -> None:
        if self.process:
            self.process.communicate(f"{signal}\n")
            self.process = None

    def _is_ready(self) -> bool:
        """The server notes down in a file when it takes connections."""
        try:
            return (self.folder / "data/postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        except (OSError, IndexError):
            return False

    def _as_owner(self) -> dict:
        return {"user": self.owner[0], "group": self.owner[1], "extra_groups": []} if self.owner else {}
