"""How often callers may ask: what they are told of it, and that replicas count together."""

import re

import pytest

import redis_server
from api import Api, eventually
from redis_server import Redis
from suite import Suite

needs_redis = pytest.mark.skipif(not redis_server.PROGRAM, reason="no redis-server: `make test-python` installs Debian's")

#: Slow enough that nothing fills up while a test looks.
SLOW = {"CAIRN__GATEWAY__CALLER_RATE_MAX": "1", "CAIRN__GATEWAY__BURST_SECONDS": "40"}


def left(answer, policy: str) -> int:
    """What an answer says is left under a policy."""
    return int(re.search(rf'"{policy}";r=(\d+)', answer.headers["ratelimit"])[1])


def shared(api: Api) -> bool:
    return "cairn_limits_shared 1" in api.get("metrics").text


def test_every_answer_tells_of_the_callers_and_the_projects_allowance_s4_90(cairn, tmp_path):
    limits = {"CAIRN__LIMITS__PROJECT_RATE_MAX": "50", "CAIRN__LIMITS__PROJECTS": "projects/small rate=1 burst=4",
              "CAIRN__GATEWAY__METHODS": "cairn.experiments.v1.RunService/SearchRuns cost=7"}
    with Suite(cairn, tmp_path / "data", limits) as suite:
        api = Api(suite)
        api.make("projects", {"project_id": "small"})
        answer = api.get("projects/default/experiments")
        assert answer.headers["ratelimit-policy"].startswith('"project";q=100;w=2, "caller";q=')
        before = left(answer, "project")
        assert left(api.post("projects/default/runs:search", json={}), "project") >= before - 8
        answers = [api.get("projects/small/experiments") for _ in range(6)]
        assert [answer.status_code for answer in answers[:4]] == [200] * 4 and answers[-1].status_code == 429
        refused = answers[-1]
        assert refused.json()["error"]["context"]["limit"] == "project" and int(refused.headers["retry-after"]) >= 1
        assert '"project";r=0;t=4' in refused.headers["ratelimit"] and '"project";q=4;w=4' in refused.headers["ratelimit-policy"]
        assert api.get("projects/default/experiments").status_code == 200, "other projects go on"


@needs_redis
def test_replicas_count_together_and_alone_when_redis_is_away_s4_90(cairn, tmp_path):
    with Redis(tmp_path / "redis") as redis:
        env = {**SLOW, "REDIS_URL": redis.url}
        with Suite(cairn, tmp_path / "one", env) as first, Suite(cairn, tmp_path / "two", env) as second:
            one, two = Api(first), Api(second)
            eventually(lambda: shared(one) and shared(two))
            # Both know `users/admin`, who has 40 in all.
            answers = [api.get("auth/whoami") for _ in range(30) for api in (one, two)]
            allowed = [answer.status_code for answer in answers].count(200)
            assert 38 <= allowed <= 44, f"40, and one for each second that went by: {allowed}"
            refused = answers[-1]
            assert refused.status_code == 429 and refused.json()["error"]["context"]["limit"] == "caller"
            assert refused.headers["retry-after"] == "1"

            redis.stop()
            alone = [one.get("auth/whoami") for _ in range(60)]
            statuses = [answer.status_code for answer in alone]
            assert statuses.count(200) >= 38 and statuses[-1] == 429, "each process keeps the limit by itself"
            assert not shared(one) and "cairn_limits_counted_alone_total" in one.get("metrics").text
            assert max(answer.elapsed.total_seconds() for answer in alone[1:]) < 1, "nobody waits for what is away"

            redis.start()
            eventually(lambda: shared(one))
            assert one.get("auth/whoami").status_code == 200, "an empty Redis begins anew"
    assert "Redis is away" in first.log.read_text()


def test_an_address_that_is_no_redis_stops_the_start_and_is_not_shown(cairn, tmp_path):
    with pytest.raises(RuntimeError, match="redis_url") as refused:
        Suite(cairn, tmp_path / "data", {"REDIS_URL": "http://hidden@127.0.0.1"}).start()
    assert "hidden" not in str(refused.value)
