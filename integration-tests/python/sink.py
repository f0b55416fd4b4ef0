"""A receiver of webhooks on this machine: takes what comes, answers as it is told to, and keeps what it got."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from api import eventually


class Sink:
    """Use it in a `with` statement."""

    def __init__(self):
        self.heard, self.answers = [], []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = sink.answers.pop(0) if sink.answers else (200, b"taken")
                sink.heard.append(({key.lower(): value for key, value in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/in/canary"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, status: int, body: dict | None = None, times: int = 1) -> None:
        """The next requests are answered so."""
        self.answers += [(status, json.dumps(body).encode() if body is not None else b"")] * times

    def wait(self, count: int) -> list:
        """Heads and bodies of so many requests, once they are there."""
        eventually(lambda: len(self.heard) >= count)
        return self.heard
