"""Settings of the suite itself change while it runs; bad ones are refused, and one that makes it unwell is taken back."""

import time

import pytest

from api import Api, eventually
from suite import Suite

PLATFORM = "config/environments/platform"


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    env = {"CAIRN__SERVER__SETTINGS_SOAK_MS": "1500"}
    with Suite(cairn, tmp_path_factory.mktemp("live") / "data", env) as running:
        yield running


def set_(api: Api, **values) -> None:
    changes = [{"key": key.replace("__", "."), "value": value} for key, value in values.items()]
    answer = api.post(f"{PLATFORM}:revise", json={"changes": changes, "reason": "a test"})
    assert answer.ok, answer.text


def kinds(api: Api) -> list[str]:
    events = api.get("events", params={"page_size": 50, "category": "config.scope"}).json()["events"]
    return [event["type"].rsplit(".", 1)[1] for event in events]


def test_the_log_filter_and_the_rates_change_within_a_second_and_without_a_restart_s4_126(suite):
    api = Api(suite)
    assert b"DEBUG" not in suite.log.read_bytes()
    set_(api, telemetry__log_filter="debug")
    began = time.monotonic()
    eventually(lambda: api.get("projects").ok and b"DEBUG" in suite.log.read_bytes())
    assert time.monotonic() - began < 1
    set_(api, telemetry__log_filter="warn", gateway__stranger_rate_max=1, gateway__burst_seconds=1)
    stranger = Api(suite, stranger=True)
    began = time.monotonic()
    eventually(lambda: stranger.get("projects").status_code == 429)
    assert time.monotonic() - began < 1
    assert suite.cli("config", "rollback", "environments/platform", "0").returncode == 0
    eventually(lambda: all(stranger.get("projects").status_code == 401 for _ in range(5)))


def test_a_value_that_no_process_could_start_with_is_refused_s4_126(suite):
    api = Api(suite)
    before = api.get(PLATFORM).json()
    for key, value, problem in [("gateway.caller_rate_max", 0, "must be greater than 0"),
                                ("gateway.caller_rate_max", "many", "caller_rate_max"),
                                ("telemetry.log_filter", "no=such=filter", "is no filter"),
                                ("health.disk_critical_share", 7, "between 0 and 1"),
                                ("server.http_port", 4000, "no setting that changes while the suite runs")]:
        answer = api.put(f"{PLATFORM}/entries/{key}", json={"value": value})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["reason"] == "CONFIG_VALUE_INVALID" and problem in answer.text, answer.text
    assert api.get(PLATFORM).json() == before
    refused = suite.cli("config", "set", "environments/platform", "gateway.burst_seconds=0")
    assert refused.returncode != 0 and "burst_seconds must be greater than 0" in refused.stderr


def test_a_setting_that_makes_a_process_unwell_is_taken_back_and_on_record_s4_126(suite):
    api = Api(suite)
    before = api.get(PLATFORM).json().get("entries", [])
    assert api.get("health").ok
    changes = [{"key": "health.disk_warning_share", "value": 0}, {"key": "health.disk_critical_share", "value": 0},
               {"key": "health.disk_plenty_bytes", "value": 0}]
    answer = api.post(f"{PLATFORM}:revise", json={"changes": changes, "staged": True, "reason": "a mistake"})
    assert answer.ok, answer.text
    eventually(lambda: "RolloutAbandoned" in kinds(api))
    assert eventually(lambda: api.get(PLATFORM).json().get("entries", []) == before)
    assert kinds(api).count("RolloutBegun") == 1 and "RolloutFinished" not in kinds(api)
    eventually(lambda: api.get("health").ok)
    (last, tried) = api.get(f"{PLATFORM}/revisions").json()["revisions"][:2]
    assert last["author"] == "services/config" and "was not well" in last["reason"]
    assert tried["reason"] == "a mistake"


def test_a_staged_setting_that_does_no_harm_is_finished_s4_126(suite):
    api = Api(suite)
    done = suite.cli("config", "set", "environments/platform", "gateway.caller_rate_max=90000", "--staged")
    assert done.returncode == 0, done.stderr
    eventually(lambda: "RolloutFinished" in kinds(api))
    assert api.get(f"{PLATFORM}/entries/gateway.caller_rate_max").json()["value"] == 90000
