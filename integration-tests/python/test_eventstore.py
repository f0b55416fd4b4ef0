"""Streams of programs: KurrentDB's own Python client, unchanged, against the real program."""

import secrets
import threading
import time

import pytest
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import (
    AccessDeniedError,
    KurrentDBClientError,
    MaximumAppendSizeExceededError,
    NotFoundError,
    StreamIsDeletedError,
    WrongCurrentVersionError,
)

from eventstore import APPEND_BYTES_MAX, EVENT_BYTES_MAX, WAIT_SECONDS_MAX, EventStore, event, events, numbers


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


# --- Appending ---

def test_what_is_appended_is_read_as_it_was(client, stream):
    placed = NewEvent(type="OrderPlaced", data=b'{"n": 1}', metadata=b'{"$correlationId":"c"}')
    packed = NewEvent(type="OrderPacked", data=b"\x00\xff", content_type="application/octet-stream")
    position = client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=[placed, packed])
    first, second = client.get_stream(stream)
    assert (first.id, first.type, first.data, first.metadata) == (placed.id, "OrderPlaced", placed.data, placed.metadata)
    assert (first.content_type, second.content_type) == ("application/json", "application/octet-stream")
    assert (second.data, second.metadata, second.stream_name) == (b"\x00\xff", b"", stream)
    assert [first.stream_position, second.stream_position] == [0, 1]
    assert second.commit_position == position and first.commit_position == position - 1
    assert abs(first.recorded_at.timestamp() - time.time()) < 60


@pytest.mark.parametrize("many", [False, True], ids=["append", "batch append"])
def test_an_append_holds_the_stream_against_what_its_client_expects(client, many):
    def append(name: str, expected):
        one = event(n=0)
        return client.append_to_stream(name, current_version=expected, events=[one] if many else one)

    for start, expected, actual in [
        (0, StreamState.NO_STREAM, None), (0, StreamState.ANY, None),
        (0, StreamState.EXISTS, StreamState.NO_STREAM), (0, 0, StreamState.NO_STREAM), (0, 7, StreamState.NO_STREAM),
        (3, StreamState.ANY, None), (3, StreamState.EXISTS, None), (3, 2, None),
        (3, StreamState.NO_STREAM, 2), (3, 1, 2), (3, 3, 2), (3, 9, 2),
    ]:
        name = f"app.expected-{secrets.token_hex(6)}"
        if start:
            client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=events(start))
        if actual is None:
            append(name, expected)
            assert client.get_current_version(name) == start
        else:
            with pytest.raises(WrongCurrentVersionError) as refused:
                append(name, expected)
            assert (refused.value.actual_version, refused.value.expected_version) == (actual, expected)
            assert client.get_current_version(name) == (start - 1 if start else StreamState.NO_STREAM)


def test_a_repeated_append_appends_nothing_and_is_answered_as_before(client, stream):
    three = events(3)
    first = client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=three)
    client.append_to_stream(stream, current_version=StreamState.ANY, events=event("OrderPacked", n=9))
    for expected in [StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS]:
        assert client.append_to_stream(stream, current_version=expected, events=three) == first
    assert client.append_to_stream(stream, current_version=StreamState.ANY, events=three[2]) == first
    assert client.get_current_version(stream) == 3
    with pytest.raises(WrongCurrentVersionError):
        client.append_to_stream(stream, current_version=StreamState.ANY, events=[three[0], event(n=4)])
    other = f"{stream}-other"
    client.append_to_stream(other, current_version=StreamState.NO_STREAM, events=three)
    assert client.get_current_version(other) == 2, "the same ids in another stream are other events"


def test_many_appends_at_once_leave_no_hole(client, stream):
    threads = [threading.Thread(target=lambda: [
        client.append_to_stream(stream, current_version=StreamState.ANY, events=events(2)) for _ in range(10)
    ]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.stream_position for one in client.get_stream(stream)] == list(range(160))


def test_of_those_who_expect_the_same_one_wins(client, stream):
    client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=event(n=0))
    outcomes = []

    def append():
        try:
            outcomes.append(client.append_to_stream(stream, current_version=0, events=event(n=1)))
        except WrongCurrentVersionError:
            outcomes.append(None)

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([one for one in outcomes if one]) == 1 and len(outcomes) == 8


def test_names_may_be_anything_behind_the_prefix(client):
    for name in [f"app.{secrets.token_hex(4)} ünïcödé/☃ %25 a\nb\t", "app." + "x" * 900 + secrets.token_hex(4)]:
        client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=event(n=1))
        assert client.get_stream(name)[0].stream_name == name


@pytest.mark.parametrize("name", ["experiments.run-projects/default/runs/r", "auth.project-projects/x", "eventstore.stream-app.a",
                                  "serving.deployment-x", "elsewhere-1", "$ce-app.orders", "$$experiments.run-x", "$$elsewhere-1"])
@pytest.mark.parametrize("many", [False, True], ids=["append", "batch append"])
def test_nothing_but_what_the_settings_allow_is_written(client, name, many):
    one = event(n=1)
    with pytest.raises(AccessDeniedError):
        client.append_to_stream(name, current_version=StreamState.ANY, events=[one] if many else one)
    for end in [client.delete_stream, client.tombstone_stream]:
        with pytest.raises(AccessDeniedError):
            end(name, current_version=StreamState.ANY)


def test_what_is_too_large_is_refused_by_its_limit(client, stream):
    fits = EVENT_BYTES_MAX - len("Large") - len(b"{}")
    client.append_to_stream(stream, current_version=StreamState.ANY,
                            events=NewEvent(type="Large", data=b"x" * fits, metadata=b"{}", content_type="application/octet-stream"))
    large = NewEvent(type="Large", data=b"x" * (fits + 1), metadata=b"{}", content_type="application/octet-stream")
    for sent in [large, [large]]:
        with pytest.raises(KurrentDBClientError, match="event_bytes_max|size|Exceeded"):
            client.append_to_stream(stream, current_version=StreamState.ANY, events=sent)
    parts = [NewEvent(type="Part", data=b"x" * 60_000, content_type="application/octet-stream")
             for _ in range(APPEND_BYTES_MAX // 60_000 + 1)]
    with pytest.raises(MaximumAppendSizeExceededError, match=str(APPEND_BYTES_MAX)):
        client.append_to_stream(stream, current_version=StreamState.ANY, events=parts)
    assert client.get_current_version(stream) == 0


# --- Reading ---

def test_a_stream_is_read_from_anywhere_both_ways(client, stream):
    client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=events(40))
    assert numbers(client.get_stream(stream)) == list(range(40))
    assert numbers(client.get_stream(stream, stream_position=37)) == [37, 38, 39]
    assert numbers(client.get_stream(stream, stream_position=5, limit=3)) == [5, 6, 7]
    assert numbers(client.get_stream(stream, backwards=True)) == list(reversed(range(40)))
    assert numbers(client.get_stream(stream, stream_position=2, backwards=True)) == [2, 1, 0]
    assert numbers(client.get_stream(stream, backwards=True, limit=2)) == [39, 38]
    assert numbers(client.get_stream(stream, stream_position=99, backwards=True, limit=1)) == [39]
    assert client.get_stream(stream, stream_position=99) == ()
    with pytest.raises(NotFoundError):
        client.get_stream(f"{stream}-missing")


def test_the_whole_log_is_read_both_ways_and_from_a_position(client, stream):
    before = client.get_commit_position()
    positions = [client.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=n)) for n in range(5)]
    ours = [one for one in client.read_all(commit_position=before) if one.stream_name == stream]
    assert [one.commit_position for one in ours] == positions
    assert next(iter(client.read_all(commit_position=positions[2]))).commit_position == positions[2], "included forwards"
    back = [one for one in client.read_all(commit_position=positions[2], backwards=True, limit=9) if one.stream_name == stream]
    assert numbers(back) == [1, 0], "excluded backwards"
    assert next(iter(client.read_all(backwards=True))).commit_position >= positions[-1]
    every = [one.commit_position for one in client.read_all(filter_exclude=[])]
    assert every == sorted(every) and positions[-1] in every
    with pytest.raises(KurrentDBClientError, match="invalid position"):
        list(client.read_all(commit_position=10**9))


def test_the_whole_log_is_filtered_by_stream_and_type_and_pattern(client, stream):
    before = client.get_commit_position()
    for kind in ["OrderPlaced", "OrderPacked", "Invoiced"]:
        client.append_to_stream(stream, current_version=StreamState.ANY, events=event(kind, n=1))
        client.append_to_stream(f"{stream}-x", current_version=StreamState.ANY, events=event(kind, n=2))

    def found(**options):
        return [(one.stream_name.removeprefix(stream), one.type) for one in client.read_all(commit_position=before + 1, **options)]

    assert found(filter_include=[stream + "-x"], filter_by_stream_name=True, filter_by_prefix=True) == \
        [("-x", "OrderPlaced"), ("-x", "OrderPacked"), ("-x", "Invoiced")]
    assert found(filter_include=["Order"], filter_by_prefix=True, limit=3) == \
        [("", "OrderPlaced"), ("-x", "OrderPlaced"), ("", "OrderPacked")]
    assert found(filter_include=["Invo.*"]) == [("", "Invoiced"), ("-x", "Invoiced")]
    assert [kind for _, kind in found(filter_exclude=["Order.*"])] == ["Invoiced", "Invoiced"]
    with pytest.raises(KurrentDBClientError, match="filter"):
        found(filter_include=["(unclosed"])


def test_a_link_leads_to_what_it_stands_for(client, stream):
    placed = event(n=1)
    client.append_to_stream(stream, current_version=StreamState.ANY, events=placed)
    links = f"{stream}-links"
    link = NewEvent(type="$>", data=f"0@{stream}".encode(), content_type="application/octet-stream")
    client.append_to_stream(links, current_version=StreamState.ANY, events=link)
    resolved, = client.get_stream(links, resolve_links=True)
    assert (resolved.id, resolved.stream_name, resolved.link.id) == (placed.id, stream, link.id)
    assert client.get_stream(links)[0].type == "$>"


# --- Metadata, deletions, tombstones ---

def test_what_is_said_of_a_stream_limits_what_is_shown(client, stream):
    client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=events(6))
    assert client.get_stream_metadata(stream) == ({}, StreamState.NO_STREAM)
    client.set_stream_metadata(stream, metadata={"$maxCount": 2, "color": "blue"}, current_version=StreamState.NO_STREAM)
    assert client.get_stream_metadata(stream) == ({"$maxCount": 2, "color": "blue"}, 0)
    assert numbers(client.get_stream(stream)) == [4, 5] and numbers(client.get_stream(stream, backwards=True)) == [5, 4]
    client.set_stream_metadata(stream, metadata={"$tb": 3}, current_version=0)
    assert numbers(client.get_stream(stream)) == [3, 4, 5]
    with pytest.raises(WrongCurrentVersionError):
        client.set_stream_metadata(stream, metadata={}, current_version=0)
    client.set_stream_metadata(stream, metadata={"$maxAge": 3600})
    assert len(client.get_stream(stream)) == 6
    client.set_stream_metadata(stream, metadata={"$maxAge": 1})
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while client.get_stream(stream):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.append_to_stream(stream, current_version=5, events=event(n=6))
    assert numbers(client.get_stream(stream)) == [6]


def test_a_deleted_stream_is_gone_and_goes_on_with_its_numbers(client, stream):
    client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=events(3))
    with pytest.raises(WrongCurrentVersionError) as refused:
        client.delete_stream(stream, current_version=1)
    assert refused.value.actual_version == 2
    client.delete_stream(stream, current_version=2)
    with pytest.raises(NotFoundError):
        client.get_stream(stream)
    client.delete_stream(stream, current_version=StreamState.ANY)
    with pytest.raises(StreamIsDeletedError):
        client.append_to_stream(stream, current_version=StreamState.EXISTS, events=[event(n=3)])
    client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=event(n=3))
    client.append_to_stream(stream, current_version=3, events=event(n=4))
    assert numbers(client.get_stream(stream)) == [3, 4]
    assert [one.stream_position for one in client.get_stream(stream)] == [3, 4]
    for expected in [0, StreamState.ANY]:
        with pytest.raises(NotFoundError):
            client.delete_stream(f"{stream}-missing", current_version=expected)


def test_a_tombstone_ends_a_stream_for_good(client, stream):
    client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=events(2))
    with pytest.raises(WrongCurrentVersionError):
        client.tombstone_stream(stream, current_version=0)
    client.tombstone_stream(stream, current_version=1)
    for refused in [
        lambda: client.get_stream(stream),
        lambda: client.append_to_stream(stream, current_version=StreamState.ANY, events=event(n=1)),
        lambda: client.append_to_stream(stream, current_version=StreamState.ANY, events=events(2)),
        lambda: client.delete_stream(stream, current_version=StreamState.ANY),
        lambda: client.tombstone_stream(stream, current_version=StreamState.ANY),
        lambda: client.set_stream_metadata(stream, metadata={}),
        lambda: client.subscribe_to_stream(stream),
    ]:
        with pytest.raises(KurrentDBClientError, match="is deleted"):
            refused()
    client.tombstone_stream(f"{stream}-never", current_version=StreamState.NO_STREAM)
    with pytest.raises(StreamIsDeletedError):
        client.append_to_stream(f"{stream}-never", current_version=StreamState.ANY, events=events(1))
    last = [one for one in client.read_all(filter_exclude=[]) if one.stream_name == stream][-1]
    assert (last.type, last.stream_position) == ("$streamDeleted", 2**63 - 1)
