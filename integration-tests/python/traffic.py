"""Traffic of version 1: recorded once from genuine clients, replayed for ever.

`python traffic.py record CAIRN` drives the command line and the Python SDK through a proxy that writes down what passes, into
`integration-tests/traffic/v1.jsonl`. What differs from run to run (ids, times, positions, digests of them) is written as a
token, numbered by where it appeared first: `⟨id:3⟩`. A replay sends the same requests, with what its own answers had in
these places, and expects the same answers.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

FILE = Path(__file__).resolve().parents[1] / "traffic/v1.jsonl"
SDK = Path(__file__).resolve().parents[2] / "libs/python/src"
#: What of a request's and an answer's head is part of the contract.
ASKED = ("content-type", "if-match", "idempotency-key", "accept", "cairn-after")
ANSWERED = ("content-type", "etag", "location", "allow", "retry-after", "www-authenticate", "cairn-position")

VOLATILE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"
    r"|(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b|\b[0-9A-HJKMNP-TV-Z]{26}\b|\b\d{15,}\b"
    r"|(?<=bindings/)[a-z2-7]{12}\b|(?<=apiKeys/)[a-z2-7]{12}\b)"
    r"|(?P<secret>cairn_[a-z]+_[0-9A-Za-z_]{20,})"
    r"|(?P<port>(?<=127\.0\.0\.1:)\d{4,5})"
)
#: Members of messages whose whole value is the suite's own to choose, with their tokens' name.
CHOSEN = {"etag": "etag", "position": "position", "next_page_token": "page", "create_time": "time", "request_id": "request",
          "update_time": "time", "source_address": "address", "secret": "secret", "decision_id": "decision", "trace_id": "trace", "key_id": "key"}
TOKEN = re.compile(r"⟨\w+:\d+⟩")


@dataclass
class Tokens:
    """What stands for what."""

    known: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def hidden(self, value, name: str = ""):
        """A value with tokens where it differs from run to run."""
        if isinstance(value, dict):
            return {key: self.hidden(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.hidden(item, name) for item in value]
        if not isinstance(value, str) or not value:
            return value
        if name in CHOSEN:
            return self._token(CHOSEN[name], value)
        return VOLATILE.sub(lambda found: self._token(found.lastgroup, found[0]), value)

    def _token(self, kind: str, value: str) -> str:
        if value not in self.known:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.known[value] = f"⟨{kind}:{self.counts[kind]}⟩"
        return self.known[value]



@dataclass
class Bound:
    """What this replay has in place of tokens."""

    values: dict[str, str] = field(default_factory=dict)

    def shown(self, text: str) -> str:
        """A request's text. What its client made up is made up anew."""
        return TOKEN.sub(lambda found: self.values.setdefault(found[0], str(uuid.uuid4())), text)

    def differs(self, recorded, actual, place: str = "") -> str:
        """Where an answer is not as it was recorded; empty if it is. Members that were added since are no difference."""
        if isinstance(recorded, dict) and isinstance(actual, dict):
            missing = [key for key in recorded if key not in actual]
            if missing:
                return f"{place}: {missing} are gone"
            return next(filter(None, (self.differs(item, actual[key], f"{place}.{key}") for key, item in recorded.items())), "")
        if isinstance(recorded, list) and isinstance(actual, list) and len(recorded) == len(actual):
            pairs = enumerate(zip(recorded, actual))
            return next(filter(None, (self.differs(*pair, f"{place}[{at}]") for at, pair in pairs)), "")
        if isinstance(recorded, str) and isinstance(actual, str) and self._stands_for(recorded, actual):
            return ""
        return "" if recorded == actual else f"{place}: {recorded!r} was recorded, {actual!r} came"

    def _stands_for(self, recorded: str, actual: str) -> bool:
        tokens = TOKEN.findall(recorded)
        pattern = "(.+?)".join(re.escape(part) for part in TOKEN.split(recorded))
        found = re.fullmatch(pattern, actual, re.DOTALL)
        return found is not None and all(
            self.values.setdefault(token, value) == value for token, value in zip(tokens, found.groups()))


def parsed(body: str):
    try:
        return json.loads(body)
    except ValueError:
        return body


def kept(headers, names: tuple[str, ...], tokens: Tokens) -> dict[str, str]:
    chosen = {"etag": "quoted", "if-match": "quoted", "cairn-position": "position", "cairn-after": "position",
              "idempotency-key": "request"}
    found = {}
    for name in names:
        if (value := headers.get(name)) is not None:
            bare = value.strip('"')
            found[name] = value.replace(bare, tokens.hidden(bare, {"quoted": "etag"}.get(chosen[name], chosen[name]))) \
                if name in chosen else tokens.hidden(value)
    return found


def exchange(tokens: Tokens, verb: str, path: str, asked, body: str, answer: requests.Response) -> dict:
    """One request and its answer, as the corpus has them."""
    return {
        "request": {"verb": verb, "path": tokens.hidden(path), "headers": kept(asked, ASKED, tokens),
                    "body": tokens.hidden(parsed(body))},
        "answer": {"status": answer.status_code, "headers": kept(answer.headers, ANSWERED, tokens),
                   "body": tokens.hidden(parsed(answer.text))},
    }


class Recorder(ThreadingHTTPServer):
    """Passes requests on to a suite, one at a time, and writes down what passes."""

    def __init__(self, suite):
        super().__init__(("127.0.0.1", 0), Passing)
        self.suite, self.tokens, self.exchanges, self.lock = suite, Tokens(), [], threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self) -> None:
        recorder: Recorder = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in ("host", "accept-encoding", "connection", "content-length")}
        with recorder.lock:
            answer = requests.request(self.command, recorder.suite.url + self.path, headers=headers, data=body, timeout=60,
                                      allow_redirects=False)
            recorder.exchanges.append(exchange(recorder.tokens, self.command, self.path, self.headers, body.decode(), answer))
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "content-encoding", "date"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def log_message(self, *_arguments) -> None:
        pass


#: What people do with the command line.
COMMANDS = [
    "whoami", "projects create fraud --title Fraud", "projects list", "projects get fraud", "experiments create ranking",
    "experiments list", "runs list", "models create ranker --description recorded", "models show ranker", "models list",
    "models show nowhere", "service-accounts create trainer", "service-accounts list",
    "bindings create --principal serviceAccounts/trainer --role roles/editor --resource projects/fraud", "bindings list", "audit list --limit 3",
    "experiments create ranking",
]

#: And with the SDK, which knows paths.
STORY = """
import cairn
client = cairn.Client(project="projects/fraud")
made = client.post("projects/fraud/experiments", {"display_name": "recorded"})
run = client.post(made["name"] + "/runs", {"display_name": "first"})
client.post(run["name"] + ":finish", {"state": "RUN_STATE_FINISHED"})
client.patch(made["name"], {"description": "by the SDK"})
client.get(made["name"])
client.get(run["name"])
list(client.pages("projects/fraud/experiments", "experiments"))
client.delete(made["name"])
for path in ("projects/fraud/experiments/none", "nowhere", "users/nobody", "projects/fraud/experiments?page_size=-1"):
    try:
        client.get(path)
    except cairn.CairnError as fault:
        print(fault)
"""


def record(cairn: str) -> None:
    from suite import Suite

    with tempfile.TemporaryDirectory() as folder, Suite(Path(cairn), Path(folder) / "data") as suite:
        recorder = Recorder(suite)
        threading.Thread(target=recorder.serve_forever, daemon=True).start()
        env = {**suite.env, "CAIRN_URL": recorder.url, "CAIRN_API_KEY": suite.key, "PYTHONPATH": str(SDK), "CAIRN_PROJECT": "fraud"}
        for command in COMMANDS:
            done = subprocess.run([cairn, *command.split()], env=env, capture_output=True, text=True, timeout=60)
            print(done.returncode, command, done.stderr.strip()[:200], file=sys.stderr)
        done = subprocess.run([sys.executable, "-c", STORY], env=env, capture_output=True, text=True, timeout=60)
        print(done.returncode, "SDK", done.stderr.strip()[-300:], file=sys.stderr)
        recorder.shutdown()
        FILE.parent.mkdir(exist_ok=True)
        lines = [json.dumps(exchange, ensure_ascii=False, sort_keys=True) + "\n" for exchange in recorder.exchanges]
        FILE.write_text("".join(lines), encoding="utf-8")
        print(len(lines), "exchanges in", os.path.relpath(FILE), file=sys.stderr)


if __name__ == "__main__":
    record(os.path.abspath(sys.argv[2]))
