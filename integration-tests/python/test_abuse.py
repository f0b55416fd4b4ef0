"""What hostile clients send: it is refused in clear words, memory stays bounded, and everybody else is served."""

import base64
import gzip
import json
import socket
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import grpc
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import hyperframe.frame
import psutil
import pytest

from api import Api
from suite import Suite

MIB = 1 << 20
#: More than any one attack here may make the suite grow by.
GROWTH_MAX = 150 * MIB
#: How long somebody else may wait for an ordinary answer meanwhile, on a machine that is busy with tests.
OTHERS_SECONDS_MAX = 5
HEAD_SECONDS = 1.0
SECONDS_MAX = 30


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """One that gives slow clients up soon."""
    millis = str(int(HEAD_SECONDS * 1000))
    env = {"CAIRN__GATEWAY__HEAD_TIMEOUT_MS": millis, "CAIRN__GATEWAY__IDLE_TIMEOUT_MS": millis}
    with Suite(cairn, tmp_path_factory.mktemp("abuse") / "data", env) as running:
        yield running


@pytest.fixture(scope="module")
def api(suite) -> Api:
    return Api(suite)


@contextmanager
def unharmed(suite):
    """Somebody else asks all the while: every answer is good and in time, and the suite's memory stays bounded."""
    process, stop, waits, largest = psutil.Process(suite.process.pid), threading.Event(), [], [0]
    before = process.memory_info().rss

    def others():
        api = Api(suite)
        while not stop.is_set():
            began = time.monotonic()
            waits.append(None)
            assert api.get("auth/whoami", timeout=SECONDS_MAX).status_code == 200
            waits[-1] = time.monotonic() - began
            largest[0] = max(largest[0], process.memory_info().rss)
            stop.wait(0.02)

    asking = threading.Thread(target=others)
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()
    assert None not in waits, "an answer to somebody else was no good"
    assert max(waits) < OTHERS_SECONDS_MAX, f"somebody else waited {max(waits):.1f} s"
    assert largest[0] - before < GROWTH_MAX, f"it grew by {(largest[0] - before) // MIB} MiB"
    assert suite.process.poll() is None


class Wire:
    """A connection on which anything can be said."""

    def __init__(self, url: str):
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=SECONDS_MAX)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.socket.close()

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> tuple[int, str]:
        """The next answer's status and all that came with it; 0 if the connection ended without one."""
        heard = b""
        try:
            while b"\r\n\r\n" not in heard and (more := self.socket.recv(65536)):
                heard += more
            head, _, body = heard.partition(b"\r\n\r\n")
            lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            while lengths and len(body) < int(lengths[0]) and (more := self.socket.recv(65536)):
                body += more
        except ConnectionResetError:
            pass
        text = heard.decode(errors="replace") if not heard else (head + b"\r\n\r\n" + body).decode(errors="replace")
        return (int(text.split()[1]) if text.startswith("HTTP/1") else 0), text

    def has_ended(self) -> bool:
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True


def asked(suite, head: str, body: bytes = b"", *, keyed: bool = True) -> tuple[int, str]:
    """What is answered to a request line and headers as they stand here."""
    key = f"authorization: Bearer {suite.key}\r\n" if keyed else ""
    with Wire(suite.url) as wire:
        wire.say(f"{head}{key}\r\n".encode("latin-1") + body)
        return wire.hear()


# Bodies.

def test_a_body_that_is_too_large_is_refused_before_it_has_come(suite):
    with unharmed(suite):
        head = "POST /api/v1/projects HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        status, text = asked(suite, f"{head}content-length: {1 << 30}\r\n")
        assert status == 413 and "REQUEST_TOO_LARGE" in text and "connection: close" in text
        with Wire(suite.url) as wire:
            wire.say(f"{head}authorization: Bearer {suite.key}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            piece, sent = b"100000\r\n" + b" " * MIB + b"\r\n", 0
            try:
                while sent < 200 * MIB:
                    wire.say(piece)
                    sent += MIB
            except OSError:
                pass
            assert sent < 100 * MIB, "it stopped taking a body without end"


@pytest.mark.parametrize("body", [
    b"[" * 10_000 + b"]" * 10_000,
    b'{"project_id":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"project_id": "a", "x": ' + b"[" * 100_000,
    b"{" + b",".join(b'"k%d":1' % at for at in range(900_000)) + b"}",
    b'{"project_id": "' + b"\\u0041" * 2_000_000 + b'"}',
    b"\xff\xfe" * 1000,
])
def test_json_that_is_deep_wide_or_none_is_refused(suite, body):
    with unharmed(suite):
        answer = Api(suite).post("projects", data=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 and answer.json()["error"]["reason"] == "VALIDATION_ERROR", answer.text[:300]
        assert len(answer.content) < 10_000


def bomb(size: int) -> bytes:
    """So many zeros, a thousandth of them on the wire."""
    return gzip.compress(b"\0" * (16 * MIB), 9) * (size // (16 * MIB))


def test_a_compressed_bomb_counts_as_what_it_becomes(suite):
    body = bomb(1 << 30)
    assert len(body) < 2 * MIB
    with unharmed(suite):
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = Api(suite).post("projects", data=body, headers=headers)
        # Whether the members of a file are one body or the first alone: what comes out is bounded either way.
        assert answer.status_code in (400, 413), answer.text[:300]
        for encoding in ("gzip, gzip", "deflate", "br", "zstd", "x-unheard-of"):
            answer = Api(suite).post("projects", data=body[:1000], headers={**headers, "Content-Encoding": encoding})
            assert answer.status_code in (400, 415), encoding


def test_a_compressed_bomb_over_grpc_counts_as_what_it_becomes(suite):
    with unharmed(suite), grpc.insecure_channel(urlsplit(suite.grpc).netloc) as channel:
        call = channel.unary_unary("/cairn.auth.v1.ProjectService/CreateProject")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"\0" * (128 * MIB), compression=grpc.Compression.Gzip, timeout=SECONDS_MAX,
                 metadata=[("authorization", f"Bearer {suite.key}")])
        assert refused.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)


# Slow ones.

def test_heads_and_bodies_that_never_end_are_given_up_and_hold_up_nobody(suite):
    with unharmed(suite):
        heads = [Wire(suite.url) for _ in range(200)]
        for wire in heads:
            wire.say(b"GET /api/v1/projects HTTP/1.1\r\nhost: a\r\nx-slow: ")
        bodies = [Wire(suite.url) for _ in range(50)]
        start = (f"POST /api/v1/projects HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n"
                 f"authorization: Bearer {suite.key}\r\n\r\n{{")
        for wire in bodies:
            wire.say(start.encode())
        for wire in bodies:
            status, text = wire.hear()
            assert status == 408 and "CLIENT_TOO_SLOW" in text and "connection: close" in text
        for wire in heads:
            wire.socket.settimeout(HEAD_SECONDS * 10)
            assert wire.has_ended(), "a head without end was kept"
        for wire in heads + bodies:
            wire.socket.close()


# Paths.

@pytest.mark.parametrize("path", [
    "/api/v1/projects/default/../../../etc/passwd", "/api/v1/../v1/projects", "/api/v1/./projects", "//api/v1/projects",
    "/api/v1//projects", "/api/v1/projects/", "/api/v1/projects/%2e%2e/users", "/api/v1/projects/..%2f..%2fusers",
    "/api/v1/projects/default%2Fexperiments", "/api/v1/projects/%2E", "/api/v1/projects/%252e%252e", "/api/v1/projects/a%00b",
    "/api/v1/projects/default%00", "/api/v1/projects/..\\..\\users", "/api/v1/projects/%c0%ae%c0%ae", "/api/v1/projects/%ff",
    "/api/v1/projects/%", "/api/v1/projects/%zz", "/api/v1/projects;x=y", "/api/v1/projects/default;x", "/%61pi/v1/projects",
    "/API/V1/PROJECTS", "/api/v1/projects/default%0d%0aset-cookie:x", "/docs/../api/v1/projects",
    "/projects/default/api/v1/projects", "/projects/%2e%2e/api/2.0/mlflow/experiments/search",
    "/api/v1/projects/" + "a" * 5000, "/" + "a/" * 2000,
])
def test_a_path_that_is_written_otherwise_is_another_path(suite, path):
    status, text = asked(suite, f"GET {path} HTTP/1.1\r\nhost: a\r\n")
    assert 400 <= status < 500, text[:300]
    assert "set-cookie" not in text.split("\r\n\r\n")[0].lower() and "root:" not in text


def test_an_artifacts_path_stays_below_its_run(suite, api):
    run = api.run("paths")
    for path in ("..%2f..%2fx", "%2e%2e/x", "a/../../x", "..", "%2fetc%2fpasswd", "a%00b", "a/..%5c..%5cx", "./x", "a//b"):
        head = f"PUT /api/v1/{run}/artifacts/{path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n"
        status, text = asked(suite, head, b"x")
        assert 400 <= status < 500, f"{path}: {text[:200]}"
    assert api.get(f"{run}/artifacts").json().get("artifacts", []) == []


# Heads.

@pytest.mark.parametrize("head", [
    "content-length: 5\r\ncontent-length: 6\r\n", "content-length: 5, 6\r\n", "content-length: +5\r\n", "content-length: 0x5\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "transfer-encoding: xchunked\r\n",
    "transfer-encoding : chunked\r\n", "x-folded: a\r\n b\r\n", " x: y\r\n", "content-length: 5\r\n\tfolded\r\n", "x\0y: z\r\n",
    "x_user: admin\r\n", "cairn_principal: x\r\n",
])
def test_a_head_that_could_be_read_in_two_ways_is_refused(suite, head):
    with Wire(suite.url) as wire:
        wire.say(f"POST /api/v1/projects HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {suite.key}\r\n{head}\r\nhello".encode())
        status, text = wire.hear()
        assert status in (400, 501), text


def test_two_lengths_never_make_a_second_request_of_a_body(suite):
    """The chunks count, and the connection ends: what follows is no request for whoever believes the other length."""
    smuggled = b"GET /api/v1/auth/whoami HTTP/1.1\r\nhost: a\r\n\r\n"
    for lengths in ("content-length: 4\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"):
        with Wire(suite.url) as wire:
            wire.say(b"POST /api/v1/projects HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n" + lengths.encode()
                     + b"\r\n0\r\n\r\n" + smuggled)
            status, text = wire.hear()
            assert 400 <= status < 500, text
            wire.socket.settimeout(3)
            assert wire.has_ended(), "a connection goes on behind a request of two lengths"


def test_nobody_says_of_themselves_who_they_are_or_where_they_come_from(suite, api):
    forged = {"cairn-principal": "users/admin", "cairn-source": "6.6.6.6", "x-forwarded-for": "6.6.6.6", "forwarded": "for=6.6.6.6",
              "cairn-project": "projects/default", "x-user": "admin", "remote-user": "admin"}
    assert Api(suite, stranger=True).get("projects", headers=forged).status_code == 401
    asked_by = api.post("projects", json={"project_id": "forged"}, headers={**forged, "x-request-id": "forged-request"})
    assert asked_by.status_code == 200, asked_by.text
    records = api.get("audit", params={"request_id": "forged-request"}).json()
    assert "6.6.6.6" not in json.dumps(records)
    with grpc.insecure_channel(urlsplit(suite.grpc).netloc) as channel:
        call = channel.unary_unary("/cairn.auth.v1.ProjectService/ListProjects")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=SECONDS_MAX, metadata=[("cairn-principal", "e30.e30.x"), ("cairn-source", "6.6.6.6")])
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_words_of_grpc_and_of_proxies_mean_nothing_over_http(api):
    plain = api.get("projects").json()
    for headers in ({"grpc-timeout": "1n"}, {"grpc-encoding": "gzip"}, {"te": "trailers, deflate"}, {"grpc-accept-encoding": "x"},
                    {"grpc-status": "0"}, {"x-http-method-override": "DELETE"}, {"x-http-method": "DELETE"},
                    {"x-method-override": "PATCH"}, {"x-original-url": "/api/v1/users"}, {"x-rewrite-url": "/api/v1/users"},
                    {"x-forwarded-host": "evil.example"}, {"x-forwarded-prefix": "/evil"}):
        answer = api.get("projects", headers=headers)
        assert answer.status_code == 200 and answer.json() == plain, headers
        assert "evil" not in str(answer.headers), headers
    assert api.post("projects?_method=DELETE", json={"project_id": "tunnel"}).status_code == 400


def test_heads_without_end_are_refused(suite):
    with unharmed(suite):
        status, _ = asked(suite, "GET /api/v1/projects HTTP/1.1\r\nhost: a\r\n" + "x-many: y\r\n" * 5000)
        assert status == 431
        status, _ = asked(suite, "GET /api/v1/projects HTTP/1.1\r\nhost: a\r\nx-long: " + "y" * 200_000 + "\r\n")
        assert status == 431


# HTTP/2.

class Http2:
    """A client that keeps to no manners, over the frames of a library that knows them."""

    def __init__(self, url: str):
        self.wire = Wire(url)
        config = h2.config.H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.wire.socket.close()

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.wire.say(data)

    def headers(self, suite, path="/api/v1/auth/whoami", verb="GET", extra=()):
        address = urlsplit(suite.url)
        return [(":method", verb), (":scheme", "http"), (":authority", address.netloc), (":path", path),
                ("authorization", f"Bearer {suite.key}"), *extra]

    def events(self, seconds: float):
        """What comes until the connection ends or so much time has passed."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.wire.socket.settimeout(left)
            try:
                data = self.wire.socket.recv(65536)
            except TimeoutError:
                return
            except OSError:
                yield None
                return
            if not data:
                yield None
                return
            try:
                yield from self.h2.receive_data(data)
                self.flush()
            except (h2.exceptions.ProtocolError, OSError):
                yield None
                return


def test_streams_that_are_opened_and_left_are_bounded(suite):
    """Thousands, each waiting for a body that never comes: they are given up like any slow body, or their
    connection is."""
    given_up = []

    def leave(_at: int) -> None:
        with Http2(suite.url) as client:
            list(client.events(0.1))
            allowed = client.h2.remote_settings.max_concurrent_streams
            assert allowed <= 256
            for _ in range(allowed):
                stream = client.h2.get_next_available_stream_id()
                client.h2.send_headers(stream, client.headers(suite, "/api/v1/projects", "POST"))
            client.flush()
            answered = 0
            for event in client.events(20):
                answered += isinstance(event, h2.events.ResponseReceived)
                if answered == allowed or event is None:
                    given_up.append(allowed)
                    break

    with unharmed(suite):
        clients = [threading.Thread(target=leave, args=[at]) for at in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert len(given_up) == 8 and sum(given_up) > 1500, "streams that never go on were kept"


def test_more_streams_than_are_allowed_are_refused_one_by_one(suite):
    with unharmed(suite), Http2(suite.url) as client:
        list(client.events(0.2))
        allowed = client.h2.remote_settings.max_concurrent_streams
        client.h2.remote_settings.max_concurrent_streams = 1 << 20
        client.h2.remote_settings.acknowledge()
        for _ in range(allowed + 50):
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, client.headers(suite, "/api/v1/projects", "POST"))
        client.flush()
        refused = [event for event in client.events(HEAD_SECONDS / 2)
                   if isinstance(event, h2.events.StreamReset) and event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM]
        assert len(refused) == 50


def test_streams_that_are_opened_and_reset_end_the_connection_and_not_the_suite(suite):
    with unharmed(suite):
        ended = 0
        for _ in range(5):
            with Http2(suite.url) as client:
                list(client.events(0.1))
                try:
                    for at in range(20_000):
                        stream = client.h2.get_next_available_stream_id()
                        client.h2.send_headers(stream, client.headers(suite), end_stream=True)
                        client.h2.reset_stream(stream)
                        if at % 100 == 99:
                            client.flush()
                    client.flush()
                    ended += any(event is None or isinstance(event, h2.events.ConnectionTerminated) for event in client.events(2))
                except (OSError, h2.exceptions.ProtocolError):
                    ended += 1
        assert ended == 5, "a client that only resets is sent away"


def test_a_head_in_pieces_without_end_ends_the_connection(suite):
    with unharmed(suite), Http2(suite.url) as client:
        list(client.events(0.1))
        first = hyperframe.frame.HeadersFrame(1)
        first.data = client.h2.encoder.encode(client.headers(suite))
        client.wire.say(first.serialize())
        more = hyperframe.frame.ContinuationFrame(1)
        more.data = client.h2.encoder.encode([("x-" + "y" * 50, "z" * 4000)] * 3, huffman=False)[:16_000]
        sent = 0
        try:
            while sent < 100 * MIB:
                client.wire.say(more.serialize())
                sent += len(more.data)
        except OSError:
            pass
        assert sent < 20 * MIB, "a head without end was taken"


def test_a_head_that_is_small_on_the_wire_and_large_when_it_is_read_is_refused(suite):
    with unharmed(suite), Http2(suite.url) as client:
        list(client.events(0.1))
        # The table remembers the large field; each repetition is one byte.
        large = [("x-large", "y" * 4000)]
        client.h2.send_headers(1, client.headers(suite, extra=large * 3000), end_stream=True)
        client.flush()
        events = list(client.events(2))
        statuses = [dict(event.headers).get(b":status") for event in events if isinstance(event, h2.events.ResponseReceived)]
        assert statuses in ([b"431"], []) and (statuses or events), "neither read nor answered as if it were none"


def test_frames_that_are_no_work_are_not_answered_for_ever(suite):
    with unharmed(suite), Http2(suite.url) as client:
        list(client.events(0.1))
        ping = hyperframe.frame.PingFrame(0, b"12345678").serialize() * 1000
        settings = hyperframe.frame.SettingsFrame(0, settings={4: 65_535}).serialize() * 1000
        empty = hyperframe.frame.DataFrame(0x7FFF_FFF1).serialize()
        try:
            for _ in range(100):
                client.wire.say(ping + settings)
            client.wire.say(empty * 1000)
        except OSError:
            pass


def test_the_grpc_port_stands_it_too(suite):
    with unharmed(suite), Http2(suite.grpc) as client:
        list(client.events(0.1))
        extra = [("content-type", "application/grpc"), ("te", "trailers")]
        path = "/cairn.auth.v1.ProjectService/ListProjects"
        try:
            for _ in range(20_000):
                stream = client.h2.get_next_available_stream_id()
                client.h2.send_headers(stream, client.headers(suite, path, "POST", extra), end_stream=True)
                client.h2.reset_stream(stream)
            client.flush()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        broken = base64.b64decode("AAAAAAX/////")
        with grpc.insecure_channel(urlsplit(suite.grpc).netloc) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(path)(broken, timeout=SECONDS_MAX, metadata=[("authorization", f"Bearer {suite.key}")])
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
