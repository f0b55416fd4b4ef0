"""Everything that `docker/compose.processes.yaml` describes at once, and any of it killed at any moment."""

import json
import subprocess
from types import SimpleNamespace

import pytest

import clickhouse_server
import nats_server
import postgres_server
import redis_server
from api import Api, eventually
from cluster import Cluster
from load import Load

pytestmark = pytest.mark.skipif(not (postgres_server.PROGRAMS and redis_server.PROGRAM),
                                reason="no PostgreSQL or no redis-server: `make test-python` installs Debian's")


@pytest.fixture(scope="module")
def cluster(cairn, tmp_path_factory):
    with Cluster(cairn, tmp_path_factory.mktemp("cluster") / "data") as running:
        yield running


def at(cluster, gateway: str) -> Api:
    """Talks to one of the gateways."""
    return Api(SimpleNamespace(url=cluster.url_of(gateway), key=cluster.key, authority=None))


def is_well(api: Api) -> bool:
    """Whether a gateway finds every process."""
    components = {part["name"]: part["state"] for part in api.get("health").json()["components"]}
    return all(components[role] == "healthy" for role in ("auth", "config", "experiments", "registry", "ledger"))


def test_two_gateways_show_the_same_and_share_their_limits(cluster):
    one, other = at(cluster, "gateway-1"), at(cluster, "gateway-2")
    run = one.run("seen from both")
    # Whoever comes by another gateway than he wrote through sees it a moment later, from every process behind.
    eventually(lambda: all(other.get(run).ok for _ in range(4)))
    assert other.get(run).json() == one.get(run).json()
    for gateway in ("gateway-1", "gateway-2"):
        assert is_well(at(cluster, gateway))
        assert "cairn_limits_shared 1" in at(cluster, gateway).get("metrics").text


def test_artifacts_are_in_the_bucket_whichever_process_took_them(cluster, tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"weights" * 1000)
    run = Api(cluster).run("with files")
    for number in range(4):
        done = cluster.cli("artifacts", "upload", run, str(file), "--to", f"part-{number}/weights.bin")
        assert done.returncode == 0, done.stderr
    kept = [data for data in cluster.store.objects().values() if data == file.read_bytes()]
    assert kept, "the bytes are in the bucket"
    for number in range(4):
        back = tmp_path / f"back-{number}"
        done = cluster.cli("artifacts", "download", run, f"part-{number}/weights.bin", "--to", str(back))
        assert done.returncode == 0, done.stderr
        assert back.read_bytes() == file.read_bytes()


@pytest.mark.skipif(not nats_server.PROGRAM, reason="no nats-server: `make nats` fetches Debian's")
def test_points_wait_in_nats_and_are_read_by_either_gateway(cluster):
    one, other = at(cluster, "gateway-1"), at(cluster, "gateway-2")
    run = one.run("queued")
    eventually(lambda: other.get(run).ok)
    for step in range(20):
        told = [one, other][step % 2].make(f"{run}:logBatch", {"batch_id": f"b{step}", "metrics": [{"key": "loss", "value": 1, "step": str(step)}]})
        assert told["queued"], told
    for gateway in (one, other):
        points = gateway.get(f"{run}/metricPoints", params={"metric": "loss", "page_size": 100}).json()["points"]
        assert sorted(int(point.get("step", 0)) for point in points) == list(range(20))


def test_what_is_shown_stands_in_postgresql_for_whoever_asks_in_sql(cluster):
    run = Api(cluster).run("in SQL").rsplit("/", 1)[1]
    row = f"SELECT state FROM cairn_experiments.runs WHERE run = '{run}'"
    assert eventually(lambda: cluster.postgres.query(row)) == ["RUNNING"]


@pytest.mark.skipif(not clickhouse_server.PROGRAM, reason="no clickhouse-server: `make test-python` installs Debian's")
def test_points_are_in_clickhouse_whichever_process_took_them(cluster):
    api = Api(cluster)
    run = api.run("with points")
    for batch in range(10):
        points = [{"key": "loss", "value": step / 7, "step": str(step)} for step in range(batch * 20, batch * 20 + 20)]
        assert api.post(f"{run}:logBatch", json={"batch_id": f"b{batch}", "metrics": points}).ok
    shown = api.get(f"{run}/metricPoints", params={"metric": "loss", "page_size": 1000}).json()["points"]
    assert len(shown) == 200
    counted = cluster.clickhouse.query(f"SELECT count(*) FROM cairn.metrics WHERE run = '{run.rsplit('/', 1)[1]}'")
    assert counted == ["200"]


def test_what_was_answered_is_seen_by_the_next_call_whichever_process_answers_it(cluster):
    """Views of other processes follow a moment later; whoever has changed something waits for them."""
    api = Api(cluster)
    for number in range(40):
        run = api.run(f"read back {number}")
        assert api.get(run).json()["display_name"] == f"read back {number}"
        assert api.patch(run, json={"display_name": f"renamed {number}"}, params={"update_mask": "display_name"}).ok
        assert api.get(run).json()["display_name"] == f"renamed {number}"
        assert cluster.services["experiments-1"].process.poll() is None


def test_a_revoked_key_opens_nothing_once_that_is_answered(cluster):
    cluster.cli_json("service-accounts", "create", "robot")
    cluster.cli_json("bindings", "create", "--principal", "serviceAccounts/robot", "--role", "viewer", "--resource", "projects/default", "--reason", "reads")
    for _ in range(10):
        key = cluster.cli_json("keys", "create", "--owner", "serviceAccounts/robot")
        theirs = Api(cluster, key["secret"])
        assert theirs.get("projects/default/experiments").ok
        assert Api(cluster).post(f"{key['name']}:revoke", json={}).ok
        assert theirs.get("projects/default/experiments").status_code == 401


def test_any_process_is_killed_between_any_two_steps_and_the_story_goes_on(cluster, cairn, tmp_path):
    """Metrics, a model, a promotion under four eyes, an audit and its proof; every process dies once on the way."""
    api = Api(cluster)

    def person(name: str, role: str) -> str:
        user = cluster.cli_json("users", "create", name)["name"]
        cluster.cli_json("bindings", "create", "--principal", user, "--role", role, "--resource", "projects/default", "--reason", "works here")
        return cluster.cli_json("keys", "create", "--owner", user)["secret"]

    story = {}

    def logs():
        story["run"] = api.run("the candidate")
        points = [{"key": "loss", "value": 1 / (step + 1), "step": str(step)} for step in range(100)]
        assert api.post(f"{story['run']}:logBatch", json={"batch_id": "b", "metrics": points}).ok

    def hires():
        story["ada"], story["bob"] = person("ada", "editor"), person("bob", "manager")

    def protects():
        done = cluster.cli("promotions", "policy", "set", "--protect-alias", "champion", "--approvals", "1")
        assert done.returncode == 0, done.stderr

    def registers():
        story["model"] = api.make("projects/default/models", {"display_name": "fraud"})["name"]
        api.make(f"{story['model']}/versions", {"model_version": {"framework": "sklearn"}})

    def asks():
        model = story["model"].rsplit("/", 1)[1]
        story["asked"] = cluster.cli_json("promotions", "create", model, "1", "--alias", "champion", key=story["ada"])["name"]
        assert cluster.cli("promotions", "approve", story["asked"], key=story["ada"]).returncode != 0, "her own"

    def approves():
        done = cluster.cli("promotions", "approve", story["asked"], key=story["bob"])
        assert done.returncode == 0, done.stderr

    def proves():
        moved = eventually(lambda: cluster.cli_json("events", "history", story["model"]))
        key = tmp_path / "keys"
        key.write_text(cluster.cli("audit", "checkpoint", "--keys").stdout)
        proof = tmp_path / "moved.tlog-proof"
        done = cluster.cli("audit", "prove", moved[0]["position"], "--to", str(proof))
        assert done.returncode == 0, done.stderr
        assert subprocess.run([cairn, "audit", "verify", proof, "--key", key], env={}).returncode == 0

    steps = [logs, hires, protects, registers, asks, approves, proves]
    victims = ["experiments-1", "auth", "config", "registry", "ledger", "experiments-2", "gateway-1"]
    assert {*victims, "gateway-2"} == set(cluster.ours())
    for step, victim in zip(steps, victims, strict=True):
        step()
        cluster.services[victim].kill()
        cluster.services[victim].start()
        eventually(lambda: cluster.cli("health").returncode == 0 and is_well(api))
    assert api.get(story["run"]).json()["name"] == story["run"]
    points = api.get(f"{story['run']}/metricPoints", params={"metric": "loss", "page_size": 1000}).json()["points"]
    assert len(points) == 100
    shown = cluster.cli_json("models", "show", story["model"].rsplit("/", 1)[1], "--alias", "champion")
    assert "1" in json.dumps(shown)


def test_nothing_acknowledged_is_lost_while_one_of_two_is_killed_under_load(cluster):
    load = Load(cluster, writers=6)

    def goes_on() -> None:
        before = load.acknowledged()
        eventually(lambda: load.acknowledged() >= before + 60)

    load.start()
    try:
        goes_on()
        for victim in ("experiments-1", "experiments-2"):
            cluster.services[victim].kill()
            goes_on()
            cluster.services[victim].start()
            goes_on()
            # Not the other one before this one is asked again.
            eventually(lambda: is_well(Api(cluster)))
    finally:
        load.stop()
    load.check()
