"""A secret where there is one, the environment where there is none, and nothing said of either."""

import logging

import pytest
from test_client import everything_said

import cairn

CANARY = "canary-of-the-sdk-7f3a"


def test_a_secret_goes_before_the_environment_s0_93(server, client):
    server.answer(200, b'{"name": "n", "value": "%s"}' % CANARY.encode(), {})
    assert cairn.get_secret_or_env("API_KEY", client=client, env={"API_KEY": "other"}) == CANARY
    assert server.asked[0][1].startswith("/api/v1/projects/fraud/secrets/API_KEY/versions/latest:access")


def test_only_a_secret_that_is_not_there_gives_way_to_the_environment_s0_93(server, client):
    for reason in ("SECRET_NOT_FOUND", "SECRET_VERSION_NOT_FOUND"):
        server.refuse(404, "NOT_FOUND", reason, "no such secret")
        assert cairn.get_secret_or_env("API_KEY", client=client, env={"API_KEY": CANARY}) == CANARY
    server.refuse(404, "NOT_FOUND", "SECRET_NOT_FOUND", "no such secret")
    assert cairn.get_secret_or_env("API_KEY", "none", client=client, env={}) == "none"
    for status, code, reason in ((403, "PERMISSION_DENIED", "ACCESS_DENIED"),
                                 (400, "FAILED_PRECONDITION", "SECRET_VERSION_DISABLED")):
        server.refuse(status, code, reason, "no")
        with pytest.raises(cairn.CairnError):
            cairn.get_secret_or_env("API_KEY", client=client, env={"API_KEY": CANARY})


def test_without_a_suite_the_environment_is_asked_alone_s0_93(monkeypatch):
    for variable in ("CAIRN_URL", "CAIRN_API_KEY", "CAIRN_KEY_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("API_KEY", CANARY)
    assert cairn.get_secret_or_env("API_KEY") == CANARY
    assert cairn.get_secret_or_env("NO_SUCH_KEY") is None


def test_a_value_is_in_no_log_and_no_error_s0_93(server, client, caplog):
    caplog.set_level(logging.DEBUG)
    server.answer(200, b'{"name": "n", "value": "%s"}' % CANARY.encode(), {})
    assert cairn.get_secret(client, "API_KEY", version=3, reason="a test") == CANARY
    assert "versions/3:access" in server.asked[0][1]
    server.refuse(403, "PERMISSION_DENIED", "ACCESS_DENIED", "no")
    with pytest.raises(cairn.PermissionDenied) as raised:
        cairn.get_secret_or_env("API_KEY", client=client, env={"API_KEY": CANARY})
    assert CANARY not in everything_said(raised.value)
    assert CANARY not in caplog.text and CANARY not in repr(client) + str(vars(client))
