"""A genuine OpenID Connect provider (npm `oidc-provider`), and a browser that logs in at it."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests

HERE = Path(__file__).resolve().parents[1] / "oidc_provider"
START_SECONDS_MAX = 30
REDIRECTS_MAX = 30


def installed() -> Path:
    """The folder that the provider is installed in. Skips where it cannot be had: `make test-python` installs it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cairn"
    folder = Path(os.environ.get("OIDC_PROVIDER_FOLDER") or cache / "oidc-provider")
    if not shutil.which("node"):
        pytest.skip("no node: the tests with npm's oidc-provider need it")
    if not (folder / "node_modules" / "oidc-provider").exists():
        pytest.skip(f"npm's oidc-provider is not in {folder}: run `make oidc-provider`")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Provider:
    """A running provider. Its people may be changed between a stop and a start, and its keys are others then."""

    def __init__(self, folder: Path, accounts: dict):
        self.installed, self.folder, self.accounts = installed(), folder, accounts
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.clients = []
        self.process = None

    def client(self, redirect_uri: str, **more) -> dict:
        """A client of the provider: known from the next start on."""
        client = {"client_id": f"cairn-{secrets.token_hex(4)}", "client_secret": secrets.token_urlsafe(32),
                  "redirect_uris": [redirect_uri], "response_types": ["code"], "grant_types": ["authorization_code"], **more}
        self.clients.append(client)
        return client

    def start(self) -> "Provider":
        file = self.folder / "provider.json"
        file.write_text(json.dumps({"port": self.port, "clients": self.clients, "accounts": self.accounts}))
        self.log = open(self.folder / "provider.log", "ab")
        self.process = subprocess.Popen(["node", HERE / "provider.mjs", self.installed, file], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        for line in self.process.stdout:
            if line.strip() == "ready":
                return self
        raise RuntimeError(f"the provider did not start: {(self.folder / 'provider.log').read_text()}")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.log.close()
            self.process = None

    def __enter__(self) -> "Provider":
        return self

    def __exit__(self, *_exc) -> None:
        self.stop()


class Browser(requests.Session):
    """Goes where it is sent, keeps cookies, and fills in the provider's forms as one person."""

    def __init__(self, person: str = ""):
        super().__init__()
        self.person = person
        self.seen: list[str] = []

    def go(self, url: str, until: str = "") -> requests.Response:
        """Follows redirects and forms to the end, or to the first address that begins with `until`, which it does not
        open."""
        answer = self.get(url, allow_redirects=False, timeout=30)
        for _ in range(REDIRECTS_MAX):
            self.seen.append(answer.url)
            if answer.is_redirect:
                target = urljoin(answer.url, answer.headers["location"])
                if until and target.startswith(until):
                    answer.target = target
                    return answer
                answer = self.get(target, allow_redirects=False, timeout=30)
                continue
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            if "/interaction/" in answer.url and prompt:
                action = urljoin(answer.url, re.search(r'<form[^>]* action="([^"]+)"', answer.text)[1])
                form = {"prompt": prompt[1], "login": self.person, "password": "any"}
                answer = self.post(action, data=form, allow_redirects=False, timeout=30)
                continue
            return answer
        raise RuntimeError(f"sent around in circles: {self.seen}")


def query(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
