"""Both ports behind a certificate, that is replaced while they serve."""

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
import requests
from cryptography import x509
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from api import Api, eventually
from certificates import Authority
from suite import Suite

SDK = Path(__file__).resolve().parents[2] / "libs/python/src"


class Edge:
    """A suite whose ports are encrypted, and the files that they are encrypted with."""

    def __init__(self, cairn: Path, folder: Path):
        self.authority = Authority(folder / "authority")
        self.certificate, self.key = folder / "edge.pem", folder / "edge.key"
        self.serial = self.put(*self.authority.issue())
        env = {"CAIRN__GATEWAY__TLS_CERTIFICATE_FILE": str(self.certificate), "CAIRN__GATEWAY__TLS_KEY_FILE": str(self.key),
               "CAIRN__GATEWAY__TLS_RELOAD_MS": "50", "CAIRN__HEALTH__INTERVAL_MS": "100"}
        self.suite = Suite(cairn, folder / "data", env, authority=self.authority.file)

    def put(self, certificate: bytes, key: bytes, serial: int = 0) -> int:
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)
        return serial

    def handshake(self, *protocols: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.authority.file)
        context.set_alpn_protocols(list(protocols))
        address = urlsplit(self.suite.url)
        raw = socket.create_connection((address.hostname, address.port), timeout=10)
        return context.wrap_socket(raw, server_hostname="127.0.0.1")

    def served(self) -> int:
        """The serial number of the certificate that a new connection gets."""
        with self.handshake() as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True)).serial_number

    def health(self) -> dict:
        parts = Api(self.suite).get("health").json()["components"]
        return next(part for part in parts if part["name"] == "certificate")


@pytest.fixture(scope="module")
def edge(cairn, tmp_path_factory):
    edge = Edge(cairn, tmp_path_factory.mktemp("tls"))
    with edge.suite:
        yield edge


def test_rest_is_encrypted_and_clear_text_is_not_answered(edge):
    assert edge.suite.url.startswith("https://") and edge.suite.grpc.startswith("https://")
    answer = Api(edge.suite).get("auth/whoami")
    assert answer.status_code == 200 and answer.headers["strict-transport-security"].startswith("max-age=")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{edge.suite.url}/api/v1/health", timeout=10)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(edge.suite.url.replace("https", "http"), timeout=10)


def test_http_1_and_http_2_are_chosen_by_the_client(edge):
    for offered in (["h2", "http/1.1"], ["http/1.1"], ["h2"]):
        with edge.handshake(*offered) as connection:
            assert connection.selected_alpn_protocol() == offered[0]


def test_old_versions_of_the_protocol_are_refused(edge):
    context = ssl.create_default_context(cafile=edge.authority.file)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    address = urlsplit(edge.suite.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            assert connection.version() == "TLSv1.2"
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="localhost")


def test_grpc_is_encrypted_for_a_genuine_client(edge):
    credentials = grpc.ssl_channel_credentials(edge.authority.file.read_bytes())
    with grpc.secure_channel(urlsplit(edge.suite.grpc).netloc, credentials) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        answer = next(stub.ServerReflectionInfo(asked, metadata=[("authorization", f"Bearer {edge.suite.key}")], timeout=20))
    assert any("ExperimentService" in service.name for service in answer.list_services_response.service)


def test_the_command_line_and_the_sdk_trust_a_given_authority(edge):
    assert edge.suite.cli_json("projects", "list")
    foreign = {**edge.suite.env, "CAIRN_URL": edge.suite.url, "CAIRN_API_KEY": edge.suite.key}
    distrusting = subprocess.run([edge.suite.cairn, "projects", "list"], env=foreign, capture_output=True, text=True, timeout=60)
    assert distrusting.returncode != 0
    nonsense = subprocess.run([edge.suite.cairn, "projects", "list", "--ca-file", __file__], env=foreign, capture_output=True,
                              text=True, timeout=60)
    assert nonsense.returncode != 0 and "no certificates" in nonsense.stderr
    story = "import cairn; print(cairn.Client().get('auth/whoami')['principal'])"
    sdk = {**foreign, "PYTHONPATH": str(SDK)}
    trusting = subprocess.run([sys.executable, "-c", story], env={**sdk, "CAIRN_CA_FILE": str(edge.authority.file),
                                                                 "REQUESTS_CA_BUNDLE": os.devnull},
                              capture_output=True, text=True, timeout=60)
    assert trusting.stdout.strip() == "users/admin", trusting.stderr
    refused = subprocess.run([sys.executable, "-c", story], env=sdk, capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0


def test_files_go_up_and_down_by_addresses_that_are_encrypted_too(edge, tmp_path):
    run = Api(edge.suite).run("encrypted")
    file = tmp_path / "weights.bin"
    file.write_bytes(os.urandom(100_000))
    done = edge.suite.cli("artifacts", "upload", run, str(file))
    assert done.returncode == 0, done.stderr
    down = tmp_path / "down.bin"
    done = edge.suite.cli("artifacts", "download", run, "weights.bin", "--to", str(down))
    assert done.returncode == 0 and down.read_bytes() == file.read_bytes(), done.stderr


def test_a_new_certificate_is_taken_and_one_that_cannot_be_used_is_not(edge):
    assert edge.served() == edge.serial and edge.health()["state"] == "healthy"
    lasting = edge.handshake("http/1.1")
    renewed = edge.put(*edge.authority.issue())
    eventually(lambda: edge.served() == renewed)
    for certificate, key, says in (
        (b"nonsense", b"", "holds no certificate"),
        (*edge.authority.issue()[:1], edge.authority.issue()[1], "do not work together"),
        (*edge.authority.issue(days=-2)[:2], "which is not now"),
    ):
        edge.put(certificate, key)
        eventually(lambda: says in edge.health()["message"])
        assert edge.health()["state"] == "warning" and edge.served() == renewed
        assert Api(edge.suite).get("auth/whoami").status_code == 200
    assert "stays in force" in edge.suite.log.read_text()
    last = edge.put(*edge.authority.issue())
    eventually(lambda: edge.served() == last and edge.health()["state"] == "healthy")
    lasting.sendall(b"GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert lasting.recv(12) == b"HTTP/1.1 200", "a connection that stands goes on"
    lasting.close()


def test_a_certificate_without_its_key_stops_the_start(cairn, tmp_path):
    only = {"CAIRN__GATEWAY__TLS_CERTIFICATE_FILE": str(tmp_path / "edge.pem")}
    with pytest.raises(RuntimeError, match="tls_key_file"):
        Suite(cairn, tmp_path / "one", only).start()
    with pytest.raises(RuntimeError, match="cannot be read"):
        Suite(cairn, tmp_path / "two", {**only, "CAIRN__GATEWAY__TLS_KEY_FILE": str(tmp_path / "edge.key")}).start()
