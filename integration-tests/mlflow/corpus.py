"""Makes the same calls on a genuine MLflow server and on another, and compares the answers as JSON.

    corpus.py --other URL [--token KEY] [--genuine URL] [FILE...]

Without --genuine it starts one: SQLite, a temporary folder, a free port. The calls stand in the YAML files beside this
one. What differs by nature (times, ids, places) is masked or named; what differs on purpose is marked `differs`, with
the reason and what is expected instead, and every such mark must still be true.
"""

import argparse
import contextlib
import copy
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests
import yaml

HERE = Path(__file__).parent
START_SECONDS_MAX = 120
# Chosen by each server for itself.
MASKED = {"creation_time", "last_update_time", "creation_timestamp_ms", "last_updated_timestamp_ms", "artifact_uri",
          "artifact_location", "next_page_token", "root_uri", "workspace", "effective_trace_archival_retention"}


@dataclass
class Server:
    """A server under comparison, and the ids it gave."""

    url: str
    token: str | None = None
    ids: dict[str, str] = field(default_factory=dict)

    def call(self, step: dict) -> tuple[int, object]:
        """Makes a call and gives status and JSON; what is not JSON is given as text."""
        verb, path = self.fill(step["do"]).split(" ", 1)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= step.get("headers", {})
        body = {}
        if "body" in step:
            body["json"] = self.fill(step["body"])
        elif "raw" in step:
            body["data"] = self.fill(step["raw"]).encode()
            headers.setdefault("Content-Type", "application/json")
        path = path if path.startswith("/") else f"/api/2.0/mlflow/{path}"
        answer = requests.request(verb, self.url + path, params=self.fill(step.get("query")), headers=headers,
                                  timeout=60, **body)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text

    def fill(self, value):
        """Replaces ${name} by this server's id, everywhere."""
        if isinstance(value, str):
            whole = re.fullmatch(r"\$\{(\w+)\}", value)
            if whole:
                return self.ids[whole[1]]
            return re.sub(r"\$\{(\w+)\}", lambda match: str(self.ids[match[1]]), value)
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        return value

    def keep(self, captures: dict[str, str], answer) -> None:
        """Keeps ids that an answer gave."""
        for name, path in captures.items():
            self.ids[name] = dig(answer, path)

    def names(self, value, key: str = ""):
        """The answer with this server's ids under their names. Short ids (experiments count from 0) are ids only where
        the field says so: elsewhere a text may be the same by accident."""
        if isinstance(value, str):
            for name, known in sorted(self.ids.items(), key=lambda item: -len(str(item[1]))):
                if (value == known and key == "experiment_id") or (len(str(known)) >= 8 and str(known) in value):
                    value = value.replace(str(known), "${" + name + "}")
            return value
        if isinstance(value, list):
            return [self.names(item, key) for item in value]
        if isinstance(value, dict):
            return {key: self.names(item, key) for key, item in value.items()}
        return value


def dig(answer, path: str):
    """A value in an answer: `run.info.run_id`, `runs.0.info`."""
    for part in path.split("."):
        answer = answer[int(part)] if isinstance(answer, list) else answer[part]
    return answer


def masked(value, mask: set[str]):
    """The answer without what each server chooses for itself, and without the order of things that have none."""
    if isinstance(value, dict):
        value = {key: "(masked)" if key in mask else masked(item, mask) for key, item in value.items()}
        # A run's latest metrics; a history is a list of the same name, and has an order.
        if isinstance(value.get("data"), dict) and "metrics" in value["data"]:
            value["data"]["metrics"].sort(key=as_text)
        return value
    if isinstance(value, list):
        items = [masked(item, mask) for item in value]
        keyed = items and all(isinstance(item, dict) and set(item) == {"key", "value"} for item in items)
        return sorted(items, key=lambda item: item["key"]) if keyed else items
    return value


def as_text(value) -> str:
    return json.dumps(value, sort_keys=True)


def prepared(step: dict, status: int, answer, server: Server) -> dict:
    """What of an answer is compared. Of an error the code, and its wording where clients are known to read it."""
    if step.get("status_only"):
        return {"status": status}
    if status >= 400 and isinstance(answer, dict):
        said = {"error_code": answer.get("error_code")}
        if step.get("message"):
            said["message"] = server.names(answer.get("message"))
        return {"status": status, "answer": said}
    answer = masked(server.names(copy.deepcopy(answer)), MASKED | set(step.get("mask", [])))
    for path in step.get("unordered", []):
        with contextlib.suppress(KeyError, IndexError, TypeError):
            dig(answer, path).sort(key=as_text)
    return {"status": status, "answer": answer}


def compare(file: Path, genuine: Server, other: Server) -> tuple[int, list[str]]:
    """Makes a file's calls on both servers. Gives how many, and what differed."""
    differences = []
    steps = yaml.safe_load(file.read_text())
    for server in (genuine, other):
        server.ids = {"unique": f"{file.stem}-{time.time_ns()}"}
    for number, step in enumerate(steps, 1):
        where = f"{file.name} {number}: {step['name']}"
        seen = []
        try:
            for server in (genuine, other):
                status, answer = server.call(step)
                if status < 400 and "differs" not in step:
                    server.keep(step.get("capture", {}), answer)
                seen.append(prepared(step, status, answer, server))
        except (KeyError, IndexError, TypeError) as fault:
            differences.append(f"{where}\n  cannot be compared: {fault!r}; saw {seen}")
            continue
        expected, got = seen
        if "differs" in step:
            instead = step["instead"]
            if got == expected:
                differences.append(f"{where}\n  is marked as different ({step['differs']}) and is the same")
            elif not contains(got, instead):
                differences.append(f"{where}\n  expected instead {json.dumps(instead)}\n  other     {json.dumps(got)}")
        elif got != expected:
            differences.append(f"{where}\n  genuine   {json.dumps(expected)}\n  other     {json.dumps(got)}")
    return len(steps), differences


def contains(got, wanted) -> bool:
    """Whether an answer has at least what is wanted."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(key in got and contains(got[key], item) for key, item in wanted.items())
    return got == wanted


@contextlib.contextmanager
def genuine_server(folder: Path | None = None):
    """A genuine MLflow server on a store of its own, for as long as it is needed: mlflow.db and artifacts in the folder."""
    with contextlib.ExitStack() as stack, socket.socket() as probe:
        folder = folder or stack.enter_context(tempfile.TemporaryDirectory())
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        log = open(Path(folder) / "log", "w+")
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                   "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process, log)
            yield url
        finally:
            process.terminate()
            process.wait(30)
            log.close()


def wait_for(url: str, process: subprocess.Popen, log) -> None:
    end = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < end:
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(f"mlflow server ended: {log.read()}")
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        time.sleep(0.2)
    raise RuntimeError("mlflow server did not start in time")


def run(genuine: Server, other: Server, files: list[Path]) -> list[str]:
    """Compares all files and gives what differed."""
    differences = []
    for file in files:
        calls, found = compare(file, genuine, other)
        print(f"{file.name}: {calls} calls, {len(found)} differences")
        differences += found
    return differences


def corpus_files() -> list[Path]:
    return sorted(HERE.glob("*.yaml"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", required=True, help="URL of the server to compare")
    parser.add_argument("--token", help="token for that server")
    parser.add_argument("--genuine", help="URL of a running genuine server")
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = args.genuine or stack.enter_context(genuine_server())
        differences = run(Server(url), Server(args.other, args.token), args.files or corpus_files())
    print("\n".join(differences))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
