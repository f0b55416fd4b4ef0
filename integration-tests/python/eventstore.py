"""Event stores that the genuine clients of KurrentDB are given: encrypted, with small limits, and with callers of all kinds."""

import json
import secrets
import threading
from pathlib import Path

from kurrentdbclient import KurrentDBClient, NewEvent

from api import Api
from certificates import Authority
from suite import Suite

EVENT_BYTES_MAX = 64 << 10
APPEND_BYTES_MAX = 256 << 10
SUBSCRIPTIONS_MAX = 4
WAIT_SECONDS_MAX = 20


def event(kind: str = "OrderPlaced", **data) -> NewEvent:
    return NewEvent(type=kind, data=json.dumps(data).encode(), metadata=b'{"from":"test"}')


def events(count: int, kind: str = "OrderPlaced") -> list[NewEvent]:
    return [event(kind, n=n) for n in range(count)]


def numbers(found) -> list[int]:
    return [json.loads(one.data)["n"] for one in found]


def taken(subscription, count: int) -> list:
    """The next things that a subscription says; or a failure if it does not say so much."""
    timer = threading.Timer(WAIT_SECONDS_MAX, subscription.stop)
    timer.start()
    found = []
    try:
        for one in subscription:
            found.append(one)
            if len(found) == count:
                break
    finally:
        timer.cancel()
    assert len(found) == count, f"waited {WAIT_SECONDS_MAX} s for {count}: {found}"
    return found


def until(subscription, kind: type) -> list:
    """All that a subscription says until it says this."""
    found = []
    while not found or not isinstance(found[-1], kind):
        found += taken(subscription, 1)
    return found


def until_type(subscription, kind: str) -> list:
    """All that a subscription says until there is an event of this type."""
    found = []
    while not found or found[-1].type != kind:
        found += taken(subscription, 1)
    return found


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
