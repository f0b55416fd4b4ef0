"""What a client says of itself and of errors, and what it never says."""

import pickle
import traceback

import pytest
from conftest import TOKEN

import cairn


def everything_said(error: BaseException) -> str:
    """All that a log or a crash reporter could get hold of, chained errors included."""
    seen, said = [error], ""
    while seen:
        current = seen.pop()
        said += repr(current) + str(current) + repr(vars(current)) + "".join(traceback.format_exception(current))
        request = getattr(current, "request", None)
        said += repr(dict(request.headers)) if request is not None else ""
        seen += [other for other in (current.__cause__, current.__context__) if other is not None]
    return said


def test_a_key_is_sent_and_never_told(server, client, time):
    client.get("projects/fraud")
    assert server.asked[0][2]["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(client) + str(vars(client))
    with pytest.raises(TypeError):
        pickle.dumps(client)
    errors = []
    for refuse in (lambda: server.refuse(401, "UNAUTHENTICATED", "CREDENTIAL_INVALID"), lambda: server.reset(times=9)):
        refuse()
        with pytest.raises(cairn.CairnError) as raised:
            client.get("projects/fraud")
        errors.append(raised.value)
    gone = cairn.Client("http://127.0.0.1:9", TOKEN, sleep=time.sleep, clock=time.clock)
    with pytest.raises(cairn.Unavailable) as raised:
        gone.get("projects/fraud")
    assert all(TOKEN not in everything_said(error) for error in [*errors, raised.value])


def test_a_key_with_a_slip_in_it_or_in_the_address_is_not_shown():
    for arguments in ({"token": "xyz zyx"}, {"token": ""}, {"url": "http://ada:xyz%20zyx@127.0.0.1"}, {"token": "xyzé"}):
        with pytest.raises(cairn.InvalidArgument) as raised:
            cairn.Client(**arguments)
        assert "xyz" not in everything_said(raised.value)


def test_a_redirect_does_not_take_the_key_along(server, client):
    server.answer(307, b"", {"location": f"{server.url}/elsewhere"})
    with pytest.raises(cairn.Internal):
        client.get("projects/fraud")
    assert len(server.asked) == 1


def test_an_error_has_its_code_context_and_ids(server, client):
    server.refuse(404, "NOT_FOUND", "MODEL_NOT_FOUND", "no such model", model="projects/fraud/models/x")
    with pytest.raises(cairn.ModelNotFoundError) as raised:
        client.get("projects/fraud/models/x")
    error = raised.value
    assert error.code is error.error_code is cairn.ErrorCode.MODEL_NOT_FOUND
    assert (error.context["model"], error.trace_id, error.request_id) == ("projects/fraud/models/x", "t-1", "r-1")
    assert str(error) == "no such model (MODEL_NOT_FOUND)" and isinstance(error, cairn.NotFound)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.context, str(again)) == (type(error), error.code, error.context, str(error))


@pytest.mark.parametrize("status, code, kind", [
    (400, "INVALID_ARGUMENT", cairn.InvalidArgument), (401, "UNAUTHENTICATED", cairn.Unauthenticated),
    (403, "PERMISSION_DENIED", cairn.PermissionDenied), (404, "NOT_FOUND", cairn.NotFound),
    (409, "ALREADY_EXISTS", cairn.AlreadyExists), (409, "ABORTED", cairn.Conflict),
    (400, "FAILED_PRECONDITION", cairn.PreconditionFailed), (413, "RESOURCE_EXHAUSTED", cairn.ResourceExhausted),
    (500, "INTERNAL", cairn.Internal), (504, "DEADLINE_EXCEEDED", cairn.Unavailable)])
def test_a_reason_that_only_a_newer_server_has_is_still_of_a_kind(server, client, status, code, kind):
    server.refuse(status, code, "BRAND_NEW", times=5)
    with pytest.raises(kind) as raised:
        client.get("projects/fraud")
    assert type(raised.value) is kind and raised.value.code == "BRAND_NEW"


def test_what_is_no_cairn_is_called_so(server, client):
    for status, body, kind in [(200, b"<html>hello", cairn.Internal), (404, b"<html>nothing", cairn.Internal),
                               (200, b"[1]", cairn.Internal), (403, b'{"error": "x"}', cairn.Internal),
                               (404, b'{"error": {"reason": "A", "message": "b", "context": 5}}', cairn.Internal)]:
        server.answer(status, body)
        with pytest.raises(kind, match="is no Cairn"):
            client.get("projects/fraud")


def test_what_was_changed_is_seen_by_who_reads_next(server, client):
    server.answer(200, {}, {"cairn-position": "41"})
    server.answer(200, {}, {"cairn-position": "7"})
    client.post("projects/fraud/models", {})
    client.get("projects/fraud/models")
    client.get("projects/fraud/models")
    assert [headers.get("cairn-after") for _, _, headers, _ in server.asked] == [None, "41", "41"]


def test_a_list_is_read_to_its_end_or_to_its_limit(server, client):
    for limit, expected in ((None, [1, 2, 3]), (2, [1, 2]), (3, [1, 2, 3]), (0, [])):
        server.answers.clear()
        server.answer(200, {"items": [1, 2], "next_page_token": "a b"})
        server.answer(200, {"items": [3]})
        server.asked.clear()
        assert list(client.pages("projects/fraud/things", "items", limit, filter="x = 'ü'")) == expected
    server.answers.clear()
    server.answer(200, {"items": [1], "next_page_token": "a b"})
    server.asked.clear()
    list(client.pages("projects/fraud/things", "items", filter="x = 'ü'"))
    assert server.asked[1][1] == "/api/v1/projects/fraud/things?page_size=1000&page_token=a+b&filter=x+%3D+%27%C3%BC%27"
