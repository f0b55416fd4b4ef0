"""A git server as companies have one: git's own http-backend behind HTTP with a token."""

import base64
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

BACKEND_SECONDS_MAX = 60


def make_repository(path: Path) -> None:
    """A bare repository with one commit, that takes pushes."""
    def git(*args: str, cwd: Path) -> None:
        identity = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, env={**os.environ, **identity})

    path.mkdir(parents=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", cwd=path)
    git("config", "http.receivepack", "true", cwd=path)
    work = path.with_name(path.name + ".work")
    git("clone", "--quiet", str(path), str(work), cwd=path.parent)
    (work / "README").write_text("Functions.\n")
    git("add", "README", cwd=work)
    git("commit", "--quiet", "-m", "Begin", cwd=work)
    git("push", "--quiet", "origin", "HEAD:main", cwd=work)


@contextmanager
def serve(root: Path, token: str | None):
    """Serves the repositories below `root`, to whoever has the token (or to all), and gives the address."""
    backend = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer()

        def do_POST(self):
            self.answer()

        def body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            pieces = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def is_known(self) -> bool:
            if token is None:
                return True
            scheme, _, value = self.headers.get("authorization", "").partition(" ")
            given = base64.b64decode(value).decode().partition(":")[2] if scheme == "Basic" else ""
            return given == token

        def answer(self):
            body = self.body()
            if not self.is_known():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            url = urlsplit(self.path)
            env = {**os.environ, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": url.path,
                   "QUERY_STRING": url.query, "REQUEST_METHOD": self.command, "REMOTE_USER": "test",
                   "CONTENT_TYPE": self.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
                   "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                   "GIT_PROTOCOL": self.headers.get("git-protocol", "")}
            done = subprocess.run([backend / "git-http-backend"], input=body, capture_output=True, env=env,
                                  timeout=BACKEND_SECONDS_MAX)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
            status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
            self.send_response(status)
            for name, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
