"""A proxy in front of a suite that fails as it is told to: before a request arrives, or after it was done."""

import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: The request never arrives; it arrives, and its answer is lost; somebody between says that it is too early.
LOST, UNANSWERED, UNAVAILABLE = "lost", "unanswered", "unavailable"
#: What a hop keeps for itself.
HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


class Flaky:
    """Use it in a `with` statement. Each entry of `faults` is what happens to the next request of one of `verbs`."""

    def __init__(self, url: str, verbs: tuple[str, ...] = ("POST", "PUT", "PATCH", "DELETE")):
        self.faults, self.asked = [], []
        address, proxy = urlsplit(url), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                proxy.asked.append((self.command, self.path, self.headers.get("idempotency-key")))
                fault = proxy.faults.pop(0) if proxy.faults and self.command in verbs else None
                if fault == UNAVAILABLE:
                    return self.tell(503, [], b"not now")
                if fault == LOST:
                    return self.hang_up()
                behind = HTTPConnection(address.hostname, address.port, timeout=60)
                behind.request(self.command, self.path, body, dict(self.headers.items()))
                answer = behind.getresponse()
                content = answer.read()
                behind.close()
                if fault == UNANSWERED:
                    return self.hang_up()
                headers = [(key, value) for key, value in answer.getheaders() if key.lower() not in HOP]
                self.tell(answer.status, headers, content)

            def tell(self, status, headers, body):
                self.send_response(status)
                for key, value in [*headers, ("content-length", str(len(body)))]:
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def hang_up(self):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
