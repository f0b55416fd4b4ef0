"""What is repeated, how often and how soon, against a server that fails as it is told to."""

import hashlib
import random

import pytest
from conftest import TOKEN

import cairn
from cairn.retry import Budget, RetryPolicy


def keys(server) -> list[str]:
    return [headers.get("idempotency-key") for _, _, headers, _ in server.asked]


@pytest.mark.parametrize("change", ["post", "patch", "delete"])
def test_a_change_is_repeated_with_the_same_id_until_it_is_answered_s3_42(server, client, time, change):
    server.reset()
    server.refuse(503, "UNAVAILABLE", "STORE_UNAVAILABLE")
    server.answer(502, b"<html>proxy</html>")
    server.answer(200, {"name": "done"})
    body = () if change == "delete" else ({"a": 1},)
    assert getattr(client, change)("projects/fraud/models", *body) == {"name": "done"}
    assert len(server.asked) == 4 and len(set(keys(server))) == 1 and keys(server)[0]
    assert all(0.1 <= pause <= 5 for pause in time.slept) and len(time.slept) == 3


def test_attempts_and_their_time_stay_within_bounds_s3_42(server, time):
    policy = RetryPolicy(attempts_max=4, pause_min=1, pause_max=3)
    client = cairn.Client(server.url, TOKEN, retry=policy, sleep=time.sleep, clock=time.clock)
    server.refuse(503, "UNAVAILABLE", "STORE_UNAVAILABLE", times=10)
    with pytest.raises(cairn.Unavailable) as raised:
        client.get("projects/fraud")
    assert raised.value.code == cairn.ErrorCode.STORE_UNAVAILABLE and raised.value.context["attempts"] == 4
    assert len(server.asked) == 4 and all(1 <= pause <= 3 for pause in time.slept)

    time.slept.clear()
    impatient = RetryPolicy(attempts_max=100, pause_min=1, pause_max=3, time_max=10, budget=100)
    client = cairn.Client(server.url, TOKEN, retry=impatient, sleep=time.sleep, clock=time.clock)
    server.refuse(503, "UNAVAILABLE", "STORE_UNAVAILABLE", times=100)
    with pytest.raises(cairn.Unavailable):
        client.get("projects/fraud")
    assert 3 <= len(time.slept) and sum(time.slept) <= 10


def test_all_calls_of_a_client_share_a_budget_s3_42(server, time):
    policy = RetryPolicy(attempts_max=5, budget=3)
    client = cairn.Client(server.url, TOKEN, retry=policy, sleep=time.sleep, clock=time.clock)
    server.refuse(503, "UNAVAILABLE", "STORE_UNAVAILABLE", times=100)
    for attempts in (4, 1, 1):
        server.asked.clear()
        with pytest.raises(cairn.Unavailable):
            client.get("projects/fraud")
        assert len(server.asked) == attempts
    server.answers.clear()
    for _ in range(10):
        client.get("projects/fraud")
    server.asked.clear()
    server.refuse(503, "UNAVAILABLE", "STORE_UNAVAILABLE", times=100)
    with pytest.raises(cairn.Unavailable):
        client.get("projects/fraud")
    assert len(server.asked) == 2, "ten successes earn one repeat"


def test_what_will_not_go_better_is_not_repeated(server, client):
    refusals = [(400, "INVALID_ARGUMENT", "VALIDATION_ERROR"), (401, "UNAUTHENTICATED", "CREDENTIAL_INVALID"),
                (403, "PERMISSION_DENIED", "ACCESS_DENIED"), (404, "NOT_FOUND", "MODEL_NOT_FOUND"),
                (409, "ABORTED", "ETAG_MISMATCH"), (500, "INTERNAL", "INTERNAL")]
    for status, code, reason in refusals:
        server.asked.clear()
        server.refuse(status, code, reason)
        with pytest.raises(cairn.CairnError) as raised:
            client.post("projects/fraud/models", {})
        assert (raised.value.code, raised.value.status, len(server.asked)) == (reason, status, 1)


def test_the_server_says_how_long_to_wait_and_is_not_asked_sooner(server, client, time):
    slower = {"error": {"status": "RESOURCE_EXHAUSTED", "reason": "RATE_LIMITED", "message": "slow down"}}
    server.answer(429, slower, {"retry-after": "7"})
    client.get("projects/fraud")
    assert time.slept == [7]
    server.answer(429, slower, {"retry-after": "3600"})
    with pytest.raises(cairn.ResourceExhausted):
        client.get("projects/fraud")


def test_what_a_quota_refuses_is_not_repeated(server, client, time):
    server.refuse(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    server.answer(200, {"name": "done"})
    with pytest.raises(cairn.ResourceExhausted) as refused:
        client.get("projects/fraud")
    assert (refused.value.code, time.slept) == ("QUOTA_EXCEEDED", [])


def test_two_that_changed_the_same_at_once_are_repeated(server, client):
    server.refuse(409, "ABORTED", "CONTENDED")
    server.answer(200, {"name": "done"})
    assert client.post("projects/fraud/models", {}) == {"name": "done"}


def test_an_upload_is_repeated_from_its_beginning(server, client, tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(b"x" * 100_000)
    server.refuse(503, "UNAVAILABLE", "OBJECT_STORE_UNAVAILABLE", times=2)
    client.upload("projects/fraud/experiments/0/runs/r/files/model.bin", file, "0" * 64)
    assert [body for _, _, _, body in server.asked] == [b"x" * 100_000] * 3
    assert len(set(keys(server))) == 1 and "sha256=" + "0" * 64 in server.asked[0][1]
    file.write_bytes(b"")
    client.upload("projects/fraud/experiments/0/runs/r/files/empty", file, "0" * 64)
    assert server.asked[-1][3] == b""


def test_a_download_that_breaks_off_or_is_wrong_is_repeated_and_leaves_no_half_file(server, client, tmp_path):
    right = hashlib.sha256(b"the bytes").hexdigest()
    server.answer(200, b"the b", {"content-length": "9"})
    server.answer(200, b"other bytes")
    server.answer(200, b"the bytes")
    client.download("projects/fraud/experiments/0/runs/r/files/a", tmp_path / "a", right)
    assert (tmp_path / "a").read_bytes() == b"the bytes" and len(server.asked) == 3
    server.answer(200, b"other bytes", times=20)
    with pytest.raises(cairn.Unavailable) as raised:
        client.download("projects/fraud/experiments/0/runs/r/files/a", tmp_path / "b", right)
    assert raised.value.code == cairn.ErrorCode.CONTENT_MISMATCH
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_nobody_there_is_an_error_of_its_own(time):
    client = cairn.Client("http://127.0.0.1:9", TOKEN, sleep=time.sleep, clock=time.clock)
    with pytest.raises(cairn.Unavailable) as raised:
        client.get("projects/fraud")
    assert raised.value.code == cairn.ErrorCode.UPSTREAM_UNAVAILABLE and raised.value.context["attempts"] == 5


def test_pauses_are_decorrelated_and_bounded():
    policy, chance = RetryPolicy(pause_min=0.1, pause_max=5), random.Random(7)
    pause, pauses = policy.pause_min, []
    for _ in range(1000):
        before, pause = pause, policy.pause(pause, chance.uniform)
        assert 0.1 <= pause <= min(5, max(0.1, 3 * before))
        pauses.append(pause)
    assert max(pauses) == 5 and len(set(pauses)) > 300


def test_a_budget_is_never_more_than_it_was():
    budget = Budget(1)
    for _ in range(100):
        budget.earn()
    assert [budget.take(), budget.take()] == [True, False]


def test_a_policy_without_an_attempt_is_refused():
    with pytest.raises(cairn.InvalidArgument):
        RetryPolicy(attempts_max=0)
