"""A database of its own for each data folder, on one PostgreSQL for all tests of this process."""

import atexit
import os
import shutil
import subprocess
from pathlib import Path

from postgres_server import PASSWORD, PROGRAMS, USER, Postgres

_server: Postgres | None = None
_names: dict[Path, str] = {}


def server() -> Postgres:
    """The PostgreSQL, started when it is first needed."""
    global _server
    if _server is None:
        _server = Postgres().__enter__()
        atexit.register(_server.__exit__)
    return _server


def of(data: Path) -> str:
    """The address of the database of a folder, empty when it is first asked for."""
    running, data = server(), Path(data).absolute()
    if data not in _names:
        _names[data] = f"suite_{len(_names)}"
        psql = [shutil.which("psql") or PROGRAMS / "psql", "-q", "-h", "127.0.0.1", "-p", str(running.port), "-U", USER, "-d", "postgres",
                "-c", f"CREATE DATABASE {_names[data]}"]
        subprocess.run(psql, check=True, env={**os.environ, "PGPASSWORD": PASSWORD})
    return f"postgres://{USER}:{PASSWORD}@127.0.0.1:{running.port}/{_names[data]}"
