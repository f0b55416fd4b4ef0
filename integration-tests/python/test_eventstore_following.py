"""Following the log, and who may: KurrentDB's own Python client, unchanged, against the real program."""

import json
import os
import secrets
import subprocess
import threading
import time

import grpc
import pytest
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.events import CaughtUp, Checkpoint
from kurrentdbclient.exceptions import (
    AccessDeniedError,
    GrpcError,
    KurrentDBClientError,
    ServiceUnavailableError,
    StreamIsDeletedError,
    UnauthenticatedError,
)

from api import Api
from certificates import Authority
from eventstore import SUBSCRIPTIONS_MAX, WAIT_SECONDS_MAX, EventStore, event, events, numbers, taken, until, until_type
from postgres_server import PROGRAMS
from processes import SERVICES, Deployment


@pytest.fixture(scope="module")
def store(cairn, tmp_path_factory):
    with EventStore(cairn, tmp_path_factory.mktemp("eventstore")) as running:
        yield running


@pytest.fixture(scope="module")
def client(store) -> KurrentDBClient:
    return store.client()


@pytest.fixture
def stream() -> str:
    """One that nobody else writes."""
    return f"app.orders-{secrets.token_hex(6)}"


# --- Subscriptions ---

def test_a_stream_is_followed_from_history_into_what_happens(client, stream):
    client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=events(40))
    with client.subscribe_to_stream(stream, include_caught_up=True) as subscription:
        history = until(subscription, CaughtUp)
        assert numbers(history[:-1]) == list(range(40))
        client.append_to_stream(stream, current_version=39, events=[event(n=40), event(n=41)])
        client.append_to_stream(f"{stream}-x", current_version=StreamState.ANY, events=event(n=99))
        client.append_to_stream(stream, current_version=41, events=event(n=42))
        assert numbers(taken(subscription, 3)) == [40, 41, 42]
    with client.subscribe_to_stream(stream, stream_position=40) as subscription:
        assert numbers(taken(subscription, 2)) == [41, 42], "goes on after what was seen"
    with client.subscribe_to_stream(stream, from_end=True, include_caught_up=True) as subscription:
        assert isinstance(taken(subscription, 1)[0], CaughtUp)
        client.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=43))
        assert numbers(taken(subscription, 1)) == [43]


def test_a_stream_that_is_not_there_yet_is_waited_for_until_its_tombstone(client, stream):
    with client.subscribe_to_stream(stream, include_caught_up=True) as subscription:
        assert isinstance(taken(subscription, 1)[0], CaughtUp)
        client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=event(n=0))
        assert numbers(taken(subscription, 1)) == [0]
        client.tombstone_stream(stream, current_version=0)
        assert taken(subscription, 1)[0].type == "$streamDeleted"
        with pytest.raises(KurrentDBClientError, match="is deleted"):
            taken(subscription, 1)


def test_the_whole_log_is_followed_and_gone_on_with_after_every_event(client, stream):
    before = client.get_commit_position()
    with client.subscribe_to_all(commit_position=before) as subscription:
        client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=events(5))
        seen = [one for one in taken(subscription, 5)]
        assert numbers(seen) == [0, 1, 2, 3, 4]
    for at in seen[:-1]:
        with client.subscribe_to_all(commit_position=at.commit_position) as subscription:
            n = numbers([at])[0]
            assert numbers(taken(subscription, 4 - n)) == list(range(n + 1, 5))
    with pytest.raises(KurrentDBClientError, match="invalid position"):
        client.subscribe_to_all(commit_position=10**9)


def test_whoever_goes_on_from_a_checkpoint_loses_nothing(client, stream):
    """Events that are wanted among many that are not: from each checkpoint, exactly those that were not told yet."""
    before = client.get_commit_position()
    wanted = 0
    for n in range(30):
        batch = events(n % 7 + 1, "Noise")
        if n % 3 == 0:
            batch.insert(n % len(batch), event("Wanted", n=wanted))
            wanted += 1
        client.append_to_stream(stream, current_version=StreamState.ANY, events=batch)
    options = {"filter_include": ["Wanted"], "include_checkpoints": True, "include_caught_up": True, "window_size": 3,
               "checkpoint_interval_multiplier": 2}

    def follow(position: int) -> list:
        with client.subscribe_to_all(commit_position=position, **options) as subscription:
            return until(subscription, CaughtUp)

    told = follow(before)
    checkpoints = [one for one in told if isinstance(one, Checkpoint)]
    assert len(checkpoints) > 10
    assert numbers([one for one in told if not isinstance(one, Checkpoint | CaughtUp)]) == list(range(wanted))
    for at, one in enumerate(told):
        if isinstance(one, Checkpoint):
            rest = [other for other in told[at:] if not isinstance(other, Checkpoint | CaughtUp)]
            again = [other for other in follow(one.commit_position) if not isinstance(other, Checkpoint | CaughtUp)]
            assert [other.id for other in again] == [other.id for other in rest]
    assert told[-2].commit_position == client.get_commit_position(filter_exclude=[])


def test_a_checkpoint_comes_while_nothing_wanted_happens(client, stream):
    with client.subscribe_to_all(from_end=True, filter_include=["Never"], include_checkpoints=True, window_size=2,
                                 checkpoint_interval_multiplier=2) as subscription:
        position = client.append_to_stream(stream, current_version=StreamState.ANY, events=events(12))
        last = taken(subscription, 3)[-1]
        assert isinstance(last, Checkpoint) and last.commit_position <= position


def test_a_slow_subscriber_loses_nothing_and_holds_up_nobody(client, stream):
    with client.subscribe_to_stream(stream) as subscription:
        started = time.monotonic()
        for n in range(40):
            batch = [NewEvent(type="Large", data=json.dumps({"n": n * 4 + i, "x": "y" * 50_000}).encode()) for i in range(4)]
            client.append_to_stream(stream, current_version=StreamState.ANY, events=batch)
        assert time.monotonic() - started < WAIT_SECONDS_MAX, "8 MB that nobody takes hold up no writer"
        assert numbers(taken(subscription, 160)) == list(range(160))


def test_subscriptions_are_counted_and_given_back(store, stream):
    client = store.client()
    client.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=0))
    for _ in range(2):
        subscriptions = [client.subscribe_to_stream(stream) for _ in range(SUBSCRIPTIONS_MAX)]
        with pytest.raises(GrpcError):
            client.subscribe_to_stream(stream)
        assert numbers(client.get_stream(stream)) == [0], "reading goes on"
        for subscription in subscriptions:
            subscription.stop()
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            try:
                client.subscribe_to_stream(stream).stop()
                break
            except GrpcError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


# --- Who may ---

def test_without_a_credential_that_holds_nothing_is_told(store, stream):
    for key in ["wrong", "cairn_nobody_knows_this"]:
        client = store.client(key)
        for refused in [
            lambda: client.get_stream(stream),
            lambda: list(client.read_all()),
            lambda: client.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=0)),
            lambda: client.append_to_stream(stream, current_version=StreamState.ANY, events=events(2)),
            lambda: client.subscribe_to_all(),
        ]:
            with pytest.raises(UnauthenticatedError):
                refused()
    channel = grpc.secure_channel(store.suite.eventstore, grpc.ssl_channel_credentials(store.authority.file.read_bytes()))
    with channel:
        for method in ["Read", "Append", "BatchAppend", "Delete", "Tombstone"]:
            call = channel.stream_stream(f"/event_store.client.streams.Streams/{method}")
            with pytest.raises(grpc.RpcError) as refused:
                list(call(iter([b""]), timeout=10))
            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, method
            assert "grpc-status-details-bin" not in dict(refused.value.trailing_metadata())
        persistent = channel.unary_unary("/event_store.client.persistent_subscriptions.PersistentSubscriptions/List")
        with pytest.raises(grpc.RpcError) as refused:
            persistent(b"", metadata=[("authorization", f"Bearer {store.suite.key}")], timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_caller_does_what_their_roles_hold_on_the_deployment(store, client, stream):
    client.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=0))
    reader, writer, elsewhere = (store.client(store.account(grant)) for grant in [
        ("roles/viewer", "*"), ("roles/editor", "*"), ("roles/editor", "projects/default")])
    assert numbers(reader.get_stream(stream)) == [0]
    writer.append_to_stream(stream, current_version=0, events=event(n=1))
    writer.append_to_stream(stream, current_version=1, events=events(2))
    for refused in [
        lambda: reader.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=0)),
        lambda: reader.append_to_stream(stream, current_version=StreamState.ANY, events=events(2)),
        lambda: reader.delete_stream(stream, current_version=StreamState.ANY),
        lambda: elsewhere.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=0)),
        lambda: elsewhere.get_stream(stream),
        lambda: elsewhere.get_stream(f"{stream}-missing"),
        lambda: elsewhere.subscribe_to_stream(stream),
    ]:
        with pytest.raises(AccessDeniedError):
            refused()
    assert [one for one in elsewhere.read_all(filter_exclude=[]) if one.stream_name.startswith("app.")] == []
    denied = Api(store.suite).get("audit", params={"action": "eventstore.streams.append", "outcome": "OUTCOME_DENIED"})
    assert len(denied.json()["audit_records"]) >= 3, "who was refused is on record"


def test_a_key_that_is_revoked_ends_what_it_follows(store, stream):
    api = Api(store.suite)
    account = api.make("serviceAccounts", {"service_account_id": f"follower-{secrets.token_hex(4)}"})["name"]
    api.make("bindings", {"binding": {"principal": account, "role": "roles/viewer", "resource": "*"}})
    key = api.make(f"{account}/apiKeys", {"api_key": {"title": "test"}})
    follower = store.client(key["secret"])
    subscription = follower.subscribe_to_stream(stream)
    api.make(f"{key['api_key']['name'] if 'api_key' in key else key['name']}:revoke", {})
    with pytest.raises(KurrentDBClientError):
        taken(subscription, 1)


# --- The platform ---

def test_the_platforms_own_events_are_followed(store, client):
    api = Api(store.suite)
    project = api.make("projects", {"project_id": f"es-{secrets.token_hex(6)}"})["name"]
    with client.subscribe_to_all(from_end=True, filter_include=["cairn\\.experiments\\..*"]) as subscription:
        run = api.make(f"{project}/experiments/0/runs", {"display_name": "seen from outside"})["name"]
        created = next(one for one in iter(lambda: taken(subscription, 1)[0], None) if one.type.endswith(".RunCreated"))
    data, told = json.loads(created.data), json.loads(created.metadata)
    assert data["run"] == run and data["display_name"] == "seen from outside"
    assert created.content_type == "application/json" and told["action"] == "experiments.runs.create"
    assert told["resource"].startswith(project) and told["principal"] == "users/admin"
    shown = api.get("events", params={"resource": project, "type": created.type}).json()["events"][0]
    assert (shown["position"], shown["event_id"], shown["stream"], shown["data"]) == \
        (str(created.commit_position), str(created.id), created.stream_name, data)
    stream = client.get_stream(created.stream_name)
    assert stream[created.stream_position].id == created.id


def test_nobody_sees_more_of_the_platform_than_by_its_own_api(store):
    api = Api(store.suite)
    mine, other = (api.make("projects", {"project_id": f"es-{secrets.token_hex(6)}"})["name"] for _ in range(2))
    runs = {project: api.make(f"{project}/experiments/0/runs", {"display_name": "r"})["name"] for project in [mine, other]}
    key = store.account(("roles/manager", mine))
    client, rest = store.client(key), Api(store.suite, key)
    seen = {str(one.id) for one in client.read_all(filter_exclude=[])}
    listed = {one["event_id"] for page in rest.pages("events", "events", page_size=500) for one in page}
    assert seen and seen == listed
    streams = {one["stream"] for one in api.get("events", params={"resource": runs[other]}).json()["events"]}
    for stream in streams:
        with pytest.raises(AccessDeniedError):
            client.get_stream(stream)
    # Who works in a project without the right to read its log sees nothing of it.
    editor = store.client(store.account(("roles/editor", mine)))
    assert list(editor.read_all(filter_exclude=[])) == []


def test_what_a_program_appends_is_part_of_the_one_log(store, client, stream):
    placed = event(n=1)
    position = client.append_to_stream(stream, current_version=StreamState.ANY, events=placed)
    shown = Api(store.suite).get("events", params={"after_position": str(position - 1), "order": "ORDER_OLDEST_FIRST"})
    shown = shown.json()["events"][0]
    assert (shown["event_id"], shown["type"]) == (str(placed.id), "cairn.eventstore.events.v1.ProgramEventAppended")
    assert (shown["data"]["event_stream"], shown["data"]["event_type"]) == (stream, "OrderPlaced")
    assert (shown["principal"], shown["action"], shown["resource"]) == ("users/admin", "eventstore.streams.append", "*")


def test_the_api_tells_where_the_event_store_is(store):
    admin = Api(store.suite).get("eventStore").json()
    assert admin["connection_string"].startswith("kurrentdb://127.0.0.1:") and admin["connection_string"].endswith("?tls=true")
    assert admin["writable_prefixes"] == ["app.", "other-"]
    assert admin["can_read"] and admin["can_append"] and admin["can_delete"]
    viewer = Api(store.suite, store.account(("roles/viewer", "*"))).get("eventStore").json()
    assert viewer["can_read"] and not viewer.get("can_append") and not viewer.get("can_delete")


def test_the_one_node_is_found_by_gossip(store, client):
    member, = client.read_gossip()
    host, port = store.suite.eventstore.rsplit(":", 1)
    assert (member.state, member.address, member.port) == ("NODE_STATE_LEADER", host, int(port))
    discovering = store.client(options="&nodePreference=leader")
    assert list(discovering.read_all(limit=1))


# --- Life ---

def test_everything_outlives_a_restart_and_subscribers_are_told_to_come_again(cairn, tmp_path):
    with EventStore(cairn, tmp_path) as store:
        client = store.client()
        stream = "app.orders-1"
        three = events(3)
        position = client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=three)
        client.set_stream_metadata(stream, metadata={"$maxCount": 2})
        client.append_to_stream("app.gone-1", current_version=StreamState.NO_STREAM, events=event(n=0))
        client.tombstone_stream("app.gone-1", current_version=0)
        subscription = client.subscribe_to_stream(stream, include_caught_up=True)
        until(subscription, CaughtUp)
        ended = []

        def follow():
            try:
                ended.append(list(subscription))
            except KurrentDBClientError as fault:
                ended.append(fault)

        follower = threading.Thread(target=follow)
        follower.start()
        assert store.suite.stop() == 0
        follower.join(WAIT_SECONDS_MAX)
        assert isinstance(ended[0], ServiceUnavailableError), ended
        store.suite.start()
        client = store.client()
        assert numbers(client.get_stream(stream)) == [1, 2]
        assert client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=three) == position
        with pytest.raises(StreamIsDeletedError):
            client.append_to_stream("app.gone-1", current_version=StreamState.ANY, events=events(1))


def test_without_encryption_it_stays_on_this_machine(cairn, tmp_path):
    env = {"CAIRN__EVENTSTORE__LISTEN": "0.0.0.0:0", "API_HTTP_PORT": "0", "API_GRPC_PORT": "0"}
    done = subprocess.run([cairn, "up", "--data", tmp_path / "data"], env={**os.environ, **env}, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode != 0 and "eventstore.plain" in done.stderr


@pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed: `make postgres`")
def test_event_stores_are_processes_of_their_own_over_one_log(cairn, tmp_path):
    authority = Authority(tmp_path / "authority")
    chain, private, _ = authority.issue()
    files = {"certificate": tmp_path / "edge.pem", "key": tmp_path / "edge.key"}
    files["certificate"].write_bytes(chain)
    files["key"].write_bytes(private)
    settings = {"eventstore__listen": "127.0.0.1:0", "gateway__tls_certificate_file": str(files["certificate"]),
                "gateway__tls_key_file": str(files["key"])}
    with Deployment(cairn, tmp_path / "house") as house:
        rest = house.serve("rest", *SERVICES)
        gateway = house.gateway("gateway", {role: [rest] for role in SERVICES})
        doors = [house.serve(f"eventstore-{n}", "eventstore", **settings) for n in range(2)]
        clients = [KurrentDBClient(uri=f"kurrentdb://me:{house.key}@{door.said['eventstore']}?tls=true",
                                   root_certificates=authority.file.read_bytes()) for door in doors]
        one, two = clients
        with two.subscribe_to_all(from_end=True, filter_exclude=[]) as subscription:
            one.append_to_stream("app.shared-1", current_version=StreamState.NO_STREAM, events=events(2))
            run = Api(gateway).run("beside")
            seen = until_type(subscription, "cairn.experiments.events.v1.RunCreated")
            assert [found.type for found in seen if found.stream_name == "app.shared-1"] == ["OrderPlaced"] * 2
            assert json.loads(seen[-1].data)["run"] == run
        # What one process says of a stream, the other cannot miss, whatever it remembers.
        two.append_to_stream("app.shared-1", current_version=1, events=event(n=2))
        one.delete_stream("app.shared-1", current_version=2)
        with pytest.raises(StreamIsDeletedError):
            two.append_to_stream("app.shared-1", current_version=StreamState.EXISTS, events=events(1))
        two.append_to_stream("app.shared-1", current_version=StreamState.ANY, events=event(n=3))
        assert numbers(one.get_stream("app.shared-1")) == [3]
        one.tombstone_stream("app.shared-1", current_version=StreamState.ANY)
        with pytest.raises(StreamIsDeletedError):
            two.append_to_stream("app.shared-1", current_version=StreamState.ANY, events=events(1))
        for client in clients:
            client.close()
