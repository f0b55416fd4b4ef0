"""A genuine ClickHouse of a test's own: on free ports, in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import requests

START_SECONDS_MAX = 60
USER, PASSWORD = "cairn", "correct-horse"
PATH = ":".join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"])

#: The server, where it is installed.
PROGRAM = shutil.which("clickhouse-server", path=PATH)

CONFIG = """<yandex>
  <logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
  <http_port>{port}</http_port><tcp_port>{native}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path><format_schema_path>{folder}/schemas/</format_schema_path>
  <users_config>{folder}/users.xml</users_config><default_profile>default</default_profile>
  <default_database>default</default_database><mark_cache_size>67108864</mark_cache_size>
</yandex>"""

USERS = """<yandex>
  <profiles><default></default></profiles><quotas><default></default></quotas>
  <users><{user}><password>{password}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
  <quota>default</quota></{user}></users>
</yandex>"""


class ClickHouse:
    """Use it in a `with` statement; `kill` and `start` leave its port and its data as they are."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cairn-ch-"))
        sockets = [socket.socket() for _ in range(2)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        self.port, self.native = (free.getsockname()[1] for free in sockets)
        for free in sockets:
            free.close()
        for part in ("data", "tmp", "schemas"):
            (self.folder / part).mkdir()
        (self.folder / "config.xml").write_text(CONFIG.format(folder=self.folder, port=self.port, native=self.native))
        (self.folder / "users.xml").write_text(USERS.format(user=USER, password=PASSWORD))
        self.process: subprocess.Popen | None = None

    @property
    def env(self) -> dict[str, str]:
        """The names that lead to it."""
        return {"CLICKHOUSE_HOST": "127.0.0.1", "CLICKHOUSE_PORT": str(self.port), "CLICKHOUSE_USER": USER,
                "CLICKHOUSE_PASSWORD": PASSWORD}

    def __enter__(self) -> "ClickHouse":
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        # A shell whose input ends with the test looks after it: it goes even if the test is killed.
        guard = '"$1" --config-file="$0/config.xml" >>"$0/out" 2>&1 </dev/null & pid=$!; echo $pid; read -r _; kill -KILL $pid; wait $pid'
        self.process = subprocess.Popen(["sh", "-c", guard, self.folder, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, cwd="/", start_new_session=True)
        self.pid = int(self.process.stdout.readline())
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready():
            assert time.monotonic() < deadline, f"ClickHouse does not start: {(self.folder / 'errors').read_text()}"
            time.sleep(0.02)

    def kill(self) -> None:
        """At once, with whatever is under way."""
        if self.process:
            self.process.communicate("\n")
            self.process = None

    def pause(self) -> None:
        """Lets it stand still: it takes connections and answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def query(self, sql: str, database: str = "cairn") -> list[str]:
        """The lines of an answer, asked with nothing but HTTP."""
        command = ["curl", "-sS", "--fail-with-body", "-H", f"X-ClickHouse-User: {USER}", "-H", f"X-ClickHouse-Key: {PASSWORD}",
                   f"http://127.0.0.1:{self.port}/?database={database}", "--data-binary", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/ping", timeout=1).ok
        except requests.RequestException:
            return False
