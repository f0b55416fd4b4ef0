"""A server that answers as it is told to, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Instead of an answer: the connection is reset.
RESET = object()


class Server:
    """Use it in a `with` statement. Without further answers it says `{}`."""

    def __init__(self):
        self.asked, self.answers = [], []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {key.lower(): value for key, value in self.headers.items()}
                server.asked.append((self.command, self.path, headers, body))
                answer = server.answers.pop(0) if server.answers else (200, {}, b"{}")
                if answer is RESET:
                    # Without lingering: the other side sees a reset, as from a process that was killed.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                status, headers, body = answer
                self.send_response(status)
                for key, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)
                if "content-length" in headers:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # What ends badly on purpose is no news.
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, status: int, body: object = None, headers: dict | None = None, times: int = 1) -> None:
        """The next requests are answered so."""
        text = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        self.answers += [(status, headers or {}, text)] * times

    def refuse(self, status: int, code: str, reason: str, message: str = "no", times: int = 1, **context: str) -> None:
        """The next requests are refused in the platform's words."""
        error = {"code": status, "status": code, "reason": reason, "message": message,
                 "context": {"request_id": "r-1", **context}, "trace_id": "t-1"}
        self.answer(status, {"error": error}, times=times)

    def reset(self, times: int = 1) -> None:
        """The next connections are reset."""
        self.answers += [RESET] * times


class Time:
    """A clock that stands still, but for who sleeps."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
