"""Every role as a process of its own: the same program, the same doors, one log in PostgreSQL."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import grpc
import pytest

from api import Api, eventually
from postgres_server import PROGRAMS
from processes import SERVICES, Deployment, Process
from suite import Suite

pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed: `make postgres`")


def children(supervisor: int) -> dict[str, int]:
    """The processes that `cairn up micro` looks after, by role."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(supervisor)], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in listed.splitlines():
        pid, *words = line.split()
        if "serve" in words:
            found[words[words.index("serve") + 1]] = int(pid)
    return found


@pytest.fixture(scope="module")
def micro(cairn, tmp_path_factory):
    suite = Suite(cairn, tmp_path_factory.mktemp("micro") / "data")
    if "micro" not in suite.up:
        import databases

        suite.up = ["up", "micro"]
        suite.env["DATABASE_URL"] = databases.of(suite.data)
    with suite as running:
        yield running


def story(suite, title: str) -> str:
    """Something of every service, through the gateway. Gives the run that it was about."""
    api = Api(suite)
    run = api.run(title)
    api.make(f"{run}:logBatch", {"batch_id": "1", "params": {"lr": "0.1"}})
    model = api.make("projects/default/models", {"registered_model_id": title})["name"]
    assert api.make(f"{model}/versions", {"model_version": {"metrics": {"auc": 0.9}}})["name"] == f"{model}/versions/1"
    secret = api.make("projects/default/secrets", {"secret_id": title, "secret": {}, "value": "one"})
    assert secret["latest_version"] == 1
    assert eventually(lambda: api.get("audit", params={"resource": run}).json().get("audit_records"))
    assert api.get("auth/whoami").json()["principal"]
    return run


def test_the_same_modules_run_as_processes_s1_4(micro):
    found = children(micro.process.pid)
    assert sorted(found) == sorted([*SERVICES, "gateway"])
    run = story(micro, "micro")
    health = Api(micro).get("/api/v1/health").json()
    assert {*SERVICES} <= {part["name"] for part in health["components"]}
    proof = eventually(lambda: next((one for one in [Api(micro).get("audit/checkpoint")] if one.ok), None)).json()
    assert proof["size"] != "0"
    assert Api(micro).get(run).json()["name"] == run


def test_every_method_finds_the_process_that_answers_it(micro):
    contract = (Path(__file__).resolve().parents[2] / "docs/api/contract.txt").read_text().splitlines()[1:]
    methods = sorted({line.split()[2] for line in contract})
    assert len(methods) > 300
    credentials = [("authorization", f"Bearer {micro.key}")]
    with grpc.insecure_channel(micro.grpc.removeprefix("http://")) as channel:
        def code(method: str) -> grpc.StatusCode:
            try:
                # Enough for a first answer: streams go on.
                next(channel.unary_stream(f"/{method}")(b"", metadata=credentials, timeout=5), None)
            except grpc.RpcError as refused:
                return refused.code()
            return grpc.StatusCode.OK

        assert code("cairn.auth.v1.UserService/Fly") == grpc.StatusCode.UNIMPLEMENTED
        astray = {method: said for method in methods
                  if (said := code(method)) in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)}
    assert astray == {}


def test_all_services_killed_at_once_come_back_side_by_side(micro):
    before = children(micro.process.pid)
    run = story(micro, "before-all")
    for role in SERVICES:
        os.kill(before[role], signal.SIGKILL)
    eventually(lambda: all(children(micro.process.pid).get(role) not in (None, before[role]) for role in SERVICES))
    api = Api(micro)
    eventually(lambda: answer(api, run))
    eventually(lambda: all(part["state"] == "healthy" for part in api.get("/api/v1/health").json()["components"]
                           if part["name"] in SERVICES))
    assert story(micro, "after-all") != run


def answer(api: Api, run: str) -> bool:
    """Whether every service answers. What the gateway last heard of their health may be older than what befell them."""
    asked = ["auth/whoami", "projects/default/secrets", run, "projects/default/models", "audit"]
    try:
        return api.get("/api/v1/health/ready").ok and all(api.get(path).ok for path in asked)
    except OSError:
        return False


@pytest.mark.parametrize("role", [*SERVICES, "gateway"])
def test_each_process_may_be_killed_and_nothing_acknowledged_is_lost(micro, role):
    before = children(micro.process.pid)[role]
    run = story(micro, f"before-{role}")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: children(micro.process.pid).get(role) not in (None, before))
    api = Api(micro)
    eventually(lambda: answer(api, run))
    eventually(lambda: all(part["state"] == "healthy" for part in api.get("/api/v1/health").json()["components"]
                           if part["name"] in SERVICES))
    assert story(micro, f"after-{role}") != run


def test_of_three_processes_one_is_killed_and_no_call_fails_s1_64(cairn, tmp_path):
    with Deployment(cairn, tmp_path / "three") as house:
        rest = house.serve("rest", "auth", "config", "registry", "ledger")
        three = [house.serve(f"experiments-{n}", "experiments") for n in range(3)]
        peers = {**{role: [rest] for role in ("auth", "config", "registry", "ledger")}, "experiments": three}
        gateway = house.gateway("gateway", peers)
        api = Api(gateway)
        run = api.run("of three")
        failed, done, stop = [], [], threading.Event()

        def logs(writer: int) -> None:
            api, step = Api(gateway), 0
            while not stop.is_set():
                step += 1
                name = f"p-{writer}-{step}"
                answer = api.post(f"{run}:logBatch", json={"request_id": name, "batch_id": name, "params": {name: "1"}})
                (done if answer.status_code == 200 else failed).append((name, answer.text))

        writers = [threading.Thread(target=logs, args=(n,)) for n in range(4)]
        for writer in writers:
            writer.start()
        time.sleep(2)
        three[1].kill()
        count = len(done)
        eventually(lambda: len(done) > count + 100)
        three[1].start()
        time.sleep(2)
        stop.set()
        for writer in writers:
            writer.join()
        assert failed == []
        logged = api.get(run).json()
        kept = {*logged.get("params", {})}
        assert {name for name, _ in done} <= kept


def test_what_is_begun_at_one_gateway_holds_at_the_other_and_ends_there_s1_67(cairn, tmp_path):
    with Deployment(cairn, tmp_path / "two") as house:
        rest = house.serve("rest", *SERVICES)
        peers = {role: [rest] for role in SERVICES}
        first, second = (house.gateway(name, peers) for name in ("one", "two"))
        admin = Api(first)
        admin.make("serviceAccounts", {"service_account_id": "ci"})
        key = admin.make("serviceAccounts/ci/apiKeys", {"api_key": {}})
        session = Api(first, stranger=True).make("auth/login", {"api_key": key["secret"]})
        there = Api(second, session["access_token"])
        assert eventually(lambda: there.get("auth/whoami").ok)
        assert there.get("auth/whoami").json()["principal"] == "serviceAccounts/ci"
        Api(second, stranger=True).make("auth/revoke", {"token": session["access_token"]})
        eventually(lambda: Api(first, session["access_token"]).get("auth/whoami").status_code == 401)


def test_what_cannot_run_alone_says_why(cairn, tmp_path):
    env = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}

    def refused(*command: str, **more: str) -> str:
        done = subprocess.run([cairn, *command, "--data", tmp_path / "alone"], env={**env, **more}, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        return done.stderr

    assert "DATABASE_URL" in refused("serve", "auth")
    assert "DATABASE_URL" in refused("up", "micro")
    assert "possible values" in refused("serve", "kitchen")
    with Deployment(cairn, tmp_path / "house") as house:
        def told(*roles: str, **settings: str) -> str:
            process = Process(house, "alone", roles, {key.replace("__", "."): value for key, value in settings.items()})
            with pytest.raises(RuntimeError) as fault:
                process.start()
            return str(fault.value)

        assert "peers.auth is empty" in told("gateway")
        assert "links" in told("auth", peers__listen="0.0.0.0:0")
