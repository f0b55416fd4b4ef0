"""Version 1 as its clients have always known it."""

import json

import traffic
from api import Api
from suite import Suite


def test_recorded_traffic_of_version_1_is_answered_as_it_was_s0_97(cairn, tmp_path):
    """What the command line and the SDK once sent and got; beside it whatever versions this build serves."""
    exchanges = [json.loads(line) for line in traffic.FILE.read_text(encoding="utf-8").splitlines()]
    assert len(exchanges) > 25
    bound = traffic.Bound()
    with Suite(cairn, tmp_path / "data") as suite:
        api = Api(suite)
        for at, exchange in enumerate(exchanges):
            asked, recorded = exchange["request"], exchange["answer"]
            body = asked["body"] if isinstance(asked["body"], str) else json.dumps(asked["body"], ensure_ascii=False)
            headers = {name: bound.shown(value) for name, value in asked["headers"].items()}
            answer = api.request(asked["verb"], bound.shown(asked["path"]), headers=headers, data=bound.shown(body).encode())
            heads = {name.lower(): value for name, value in answer.headers.items()}
            actual = {"status": answer.status_code, "headers": heads, "body": traffic.parsed(answer.text)}
            difference = bound.differs(recorded, actual)
            assert not difference, f"line {at + 1}, {asked['verb']} {asked['path']}: {difference}"


def test_a_difference_is_found_and_an_addition_is_none():
    recorded = {"name": "runs/⟨id:1⟩", "parts": [{"run": "⟨id:1⟩"}]}
    differs = traffic.Bound().differs
    assert differs(recorded, {"name": "runs/a", "parts": [{"run": "a", "new": 1}], "new": 2}) == ""
    for wrong in ({"name": "runs/a"}, {"name": "runs/a", "parts": []}, {"name": "run/a", "parts": [{"run": "a"}]},
                  {"name": "runs/a", "parts": [{"run": "b"}]}, {"name": 1, "parts": [{"run": "a"}]}):
        assert traffic.Bound().differs(recorded, wrong), wrong
