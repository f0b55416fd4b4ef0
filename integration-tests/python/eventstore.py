"""Event stores that the genuine clients of KurrentDB are given: encrypted, with small limits, and with callers of all kinds."""

import secrets
from pathlib import Path

from kurrentdbclient import KurrentDBClient

from api import Api
from certificates import Authority
from suite import Suite

EVENT_BYTES_MAX = 64 << 10
APPEND_BYTES_MAX = 256 << 10
SUBSCRIPTIONS_MAX = 4


class EventStore:
    """A suite with an event store, and clients of it."""

    def __init__(self, cairn: Path, folder: Path, env: dict[str, str] | None = None):
        self.authority = Authority(folder / "authority")
        certificate, key = folder / "edge.pem", folder / "edge.key"
        chain, private, _ = self.authority.issue()
        certificate.write_bytes(chain)
        key.write_bytes(private)
        settings = {"LISTEN": "127.0.0.1:0", "WRITABLE_PREFIXES": "app.,other-", "EVENT_BYTES_MAX": str(EVENT_BYTES_MAX),
                    "APPEND_BYTES_MAX": str(APPEND_BYTES_MAX),
                    "SUBSCRIPTIONS_PER_CONNECTION_MAX": str(SUBSCRIPTIONS_MAX), "AHEAD_EVENTS_MAX": "16"}
        env = {"CAIRN__GATEWAY__TLS_CERTIFICATE_FILE": str(certificate), "CAIRN__GATEWAY__TLS_KEY_FILE": str(key),
               **{f"CAIRN__EVENTSTORE__{name}": value for name, value in settings.items()}, **(env or {})}
        self.suite = Suite(cairn, folder / "data", env, authority=self.authority.file)
        # Where each role is a process, an event store is one more, which nobody starts by themselves.
        self.suite.up = ["up"]
        self._clients: list[KurrentDBClient] = []

    def __enter__(self) -> "EventStore":
        self.suite.start()
        return self

    def __exit__(self, *_exc) -> None:
        for client in self._clients:
            client.close()
        self.suite.stop()

    def address(self, key: str | None = None, options: str = "") -> str:
        host, port = self.suite.eventstore.rsplit(":", 1)
        return f"kurrentdb://anybody:{key or self.suite.key}@{host}:{port}?tls=true{options}"

    def client(self, key: str | None = None, options: str = "") -> KurrentDBClient:
        client = KurrentDBClient(uri=self.address(key, options), root_certificates=self.authority.file.read_bytes())
        self._clients.append(client)
        return client

    def account(self, *grants: tuple[str, str]) -> str:
        """The key of a service account with these roles, each on a resource."""
        api = Api(self.suite)
        name = f"client-{secrets.token_hex(4)}"
        account = api.make("serviceAccounts", {"service_account_id": name})["name"]
        for role, resource in grants:
            api.make("bindings", {"binding": {"principal": account, "role": role, "resource": resource}})
        return api.make(f"{account}/apiKeys", {"api_key": {"title": "test"}})["secret"]
