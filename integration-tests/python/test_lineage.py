"""What was made from what: pipelines outside that speak through OpenLineage's own client, runs, models and exports."""

import json
import subprocess
import threading
import uuid
import xml.etree.ElementTree as xml
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attr
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, JobEvent, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import BaseFacet, RunFacet, parent_run, symlinks_dataset
from openlineage.client.transport.http import (ApiKeyTokenProvider, HttpCompression, HttpConfig, HttpTransport)

from api import Api, eventually
from suite import Suite

NAMESPACE = "airflow"
LAKE = "s3://lake"
NOT_FOUND = 4


@attr.define
class NobodyKnows(RunFacet):
    """A facet that no schema has."""

    deep: dict = attr.field(factory=dict)


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: its graph is small."""
    with Suite(cairn, tmp_path_factory.mktemp("lineage") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


def account(root: Api, name: str, role: str, project: str, scopes: list[str] | None = None) -> str:
    """The key of a program that has a role in a project."""
    made = root.make("serviceAccounts", {"service_account_id": name})["name"]
    root.make("bindings", {"binding": {"principal": made, "role": role, "resource": project}})
    return root.make(f"{made}/apiKeys", {"api_key": {"scopes": scopes or []}})["secret"]


def sender(url: str, key: str, **config) -> OpenLineageClient:
    """The client as its documentation sets it up."""
    auth = ApiKeyTokenProvider({"apiKey": key})
    return OpenLineageClient(transport=HttpTransport(HttpConfig(url=url, auth=auth, **config)))


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def run_event(job: str, inputs=(), outputs=(), state=RunState.COMPLETE, run_id: str | None = None, facets=None) -> RunEvent:
    return RunEvent(eventType=state, eventTime=now(), run=Run(runId=run_id or str(uuid.uuid4()), facets=facets or {}),
                    job=Job(namespace=NAMESPACE, name=job), producer="https://example.org/pipeline",
                    inputs=[InputDataset(namespace=n, name=d) for n, d in inputs],
                    outputs=[OutputDataset(namespace=n, name=d) for n, d in outputs])


def names(answer) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {node["name"] for node in answer.json().get("nodes", [])}


def exported(api: Api, **params) -> list[dict]:
    answer = api.get("lineage:export", params=params)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson", answer.text
    return [json.loads(line) for line in answer.text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def fraud(root) -> Api:
    """A project in which a pipeline, a run, a model version and an alias hang together."""
    root.make("projects", {"project_id": "fraud", "project": {"title": "Fraud"}})
    key = account(root, "airflow", "roles/editor", "projects/fraud", ["projects/fraud"])
    client = sender(root.suite.url, key)
    run_id = str(uuid.uuid4())
    facets = {"nobody_knows": NobodyKnows(deep={"list": [1, None, {"x": "é"}]})}
    client.emit(run_event("dag.load", state=RunState.START, run_id=run_id))
    client.emit(run_event("dag.load", [("postgres://db.example:5432", "shop.public.orders")],
                          [(LAKE, "orders/2026.parquet")], run_id=run_id, facets=facets))
    api = Api(root.suite, key)
    run = api.run("train", "fraud")
    source = json.dumps({"uri": f"{LAKE}/orders/2026.parquet"})
    dataset = {"display_name": "orders", "digest": "d1", "source_type": "s3", "source": source}
    api.make(f"{run}:logInputs", {"datasets": [dataset]})
    api.make(f"{run}:finish", {"state": "RUN_STATE_FINISHED"})
    model = api.make("projects/fraud/models", {"registered_model_id": "ranker"})["name"]
    version = api.make(f"{model}/versions", {"model_version": {"source_run": run, "source_uri": "s3://models/ranker"}})
    api.make(f"{model}:setAlias", {"alias": "champion", "version": version["version"]})
    api.run_name, api.version, api.alias = run, version["name"], f"{model}/aliases/champion"
    return api


def test_a_genuine_client_joins_its_pipeline_to_the_runs_that_read_what_it_wrote(fraud):
    up = fraud.get(f"lineage/{fraud.alias}", params={"direction": "LINEAGE_DIRECTION_UPSTREAM"})
    found = {(node["type"], node.get("label", "")) for node in up.json()["nodes"]}
    assert {("dataset", "postgres://db.example:5432/shop.public.orders"), ("job", "airflow/dag.load"),
            ("dataset", "s3://lake/orders/2026.parquet"), ("dataset_version", "orders")} <= found, found
    assert {fraud.run_name, fraud.version} <= names(up)
    job_run = next(node for node in up.json()["nodes"] if node["type"] == "job_run")
    assert job_run["state"] == "finished"


def test_what_nobody_knows_is_kept_to_the_letter_and_a_repeat_changes_nothing(root):
    root.make("projects", {"project_id": "kept", "project": {}})
    event = json.dumps({"eventTime": now(), "producer": "https://example.org", "schemaURL": "https://example.org/s",
                        "run": {"runId": str(uuid.uuid4()), "facets": {
                            "x": {"_producer": "p", "_schemaURL": "s", "number": 1.10, "big": 12345678901234567890}}},
                        "job": {"namespace": "n", "name": "j"}}, indent=None)
    for _ in range(2):
        answer = root.post("/projects/kept/api/v1/lineage", data=event, headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
    kept = root.get("lineage:export", params={"resource": "projects/kept"}).text
    assert kept == event + "\n"


def test_the_client_may_compress_and_name_the_project_in_its_address(root):
    root.make("projects", {"project_id": "gzip", "project": {}})
    key = account(root, "packer", "roles/editor", "projects/gzip")
    client = sender(f"{root.suite.url}/projects/gzip/", key, compression=HttpCompression.GZIP)
    client.emit(run_event("packed", outputs=[(LAKE, "packed")]))
    parent = parent_run.ParentRunFacet(run=parent_run.Run(runId=str(uuid.uuid4())),
                                       job=parent_run.Job(namespace=NAMESPACE, name="dag"))
    client.emit(run_event("child", facets={"parent": parent}))
    client.emit(JobEvent(eventTime=now(), job=Job(namespace=NAMESPACE, name="static"), producer="https://example.org",
                         inputs=[InputDataset(namespace=LAKE, name="packed")]))
    links = symlinks_dataset.SymlinksDatasetFacet(
        identifiers=[symlinks_dataset.Identifier(namespace=LAKE, name="packed", type="TABLE")])
    client.emit(run_event("hive", outputs=[]))
    hive = OutputDataset(namespace="hive://metastore.example", name="db.packed", facets={"symlinks": links})
    event = run_event("hive")
    event.outputs = [hive]
    client.emit(event)
    down = names(root.get("lineage/projects/gzip/jobs/airflow+hive", params={"direction": "LINEAGE_DIRECTION_DOWNSTREAM"}))
    assert "projects/gzip/datasets/s3~3A~2F~2Flake~2Fpacked" in down, "over the other name of the table"
    assert "projects/gzip/jobs/airflow+static" in down
    refused = sender(root.suite.url, key)
    with pytest.raises(Exception, match="403"):
        refused.emit(run_event("astray"))


def test_an_event_that_lacks_something_is_refused_with_the_field(root):
    answer = root.post("lineage", json={"eventTime": now(), "producer": "p", "schemaURL": "s", "job": {"name": "j"}})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"] == "job.namespace: is missing"
    assert "OPEN_LINEAGE_INVALID" in answer.text


def test_the_graph_is_asked_for_ways_impact_and_moments(fraud):
    address = "projects/fraud/datasets/s3~3A~2F~2Flake~2Forders~2F2026.parquet"
    way = fraud.get(f"lineagePaths/{address}", params={"to": fraud.alias}).json()
    assert [edge["relation"] for edge in way["edges"]] == ["versioned", "used", "registered", "named"]
    groups = fraud.get(f"lineageImpacts/{address}").json()["groups"]
    assert {group["type"]: group["count"] for group in groups} == {
        "alias": 1, "dataset_version": 1, "model_version": 1, "run": 1}
    position = int(way["edges"][2]["position"])
    before = fraud.get(f"lineage/{fraud.version}", params={"as_of": str(position - 1)})
    assert before.status_code == 404 and "LINEAGE_NODE_NOT_FOUND" in before.text
    then = names(fraud.get(f"lineage/{fraud.version}", params={"as_of": str(position)}))
    assert fraud.version in then and fraud.alias not in then
    found = fraud.get("lineageNodes", params={"label": "s3://lake/orders/2026.parquet"}).json()["nodes"]
    assert [node["name"] for node in found] == [address]


def test_strangers_to_a_project_see_nothing_of_it(root, fraud):
    key = account(root, "elsewhere", "roles/editor", "projects/default")
    api = Api(root.suite, key)
    assert api.get(f"lineage/{fraud.version}").status_code == 403
    assert "fraud" not in api.get("lineage:export").text
    assert names(api.get("lineageNodes", params={"resource": "projects/fraud"})) == set()


def typed(event: dict):
    """An event as the client's own classes have it, which check ids and times."""
    datasets = lambda cls, items: [cls(namespace=item["namespace"], name=item["name"]) for item in items or []]
    for facets in [event.get("job", {}).get("facets", {}), event.get("run", {}).get("facets", {})]:
        for facet in facets.values():
            assert BaseFacet(producer=facet["_producer"]) and facet["_schemaURL"]
    job = Job(namespace=event["job"]["namespace"], name=event["job"]["name"])
    rest = {"eventTime": event["eventTime"], "producer": event["producer"], "job": job,
            "inputs": datasets(InputDataset, event["inputs"]), "outputs": datasets(OutputDataset, event["outputs"])}
    if "run" not in event:
        made = JobEvent(**rest)
    else:
        made = RunEvent(run=Run(runId=event["run"]["runId"]), eventType=RunState(event["eventType"]), **rest)
    assert made.schemaURL == event["schemaURL"]
    return made


def test_an_export_is_openlineage_as_the_clients_own_classes_have_it(fraud):
    events = exported(fraud, resource="projects/fraud")
    ours = [event for event in events if event["job"]["namespace"] == "cairn"]
    assert [event["eventType"] for event in ours if "run" in event] == ["START", "OTHER", "COMPLETE", "OTHER"]
    for event in ours:
        assert isinstance(typed(event), (RunEvent, JobEvent))
    assert sum(event["job"]["namespace"] == NAMESPACE for event in events) == 2


def test_an_export_is_graphml_that_parsers_read(suite, fraud):
    done = suite.cli("lineage", "export", "--format", "graphml", "--resource", "projects/fraud")
    assert done.returncode == 0, done.stderr
    tag = "{http://graphml.graphdrawing.org/xmlns}"
    graph = xml.fromstring(done.stdout).find(f"{tag}graph")
    nodes = {node.get("id") for node in graph.iter(f"{tag}node")}
    edges = list(graph.iter(f"{tag}edge"))
    assert len(nodes) >= 8 and len(edges) >= 7
    assert all({edge.get("source"), edge.get("target")} <= nodes for edge in edges)


def test_the_command_line_shows_trees_ways_and_what_is_touched(suite, fraud):
    def told(*words: str) -> str:
        done = suite.cli("lineage", *words, "--project", "fraud")
        assert done.returncode == 0, done.stderr
        return done.stdout

    up = told("up", "models/ranker/versions/1")
    assert up.startswith("model_version projects/fraud/models/ranker/versions/1\n  [registered] run ")
    assert "    [used] dataset_version" in up and "airflow/dag.load" in up
    assert "champion" in told("down", f"{LAKE}/orders/2026.parquet")
    assert "champion" not in told("down", f"{LAKE}/orders/2026.parquet", "--relation", "versioned")
    way = told("path", f"{LAKE}/orders/2026.parquet", "models/ranker/aliases/champion").splitlines()
    assert len(way) == 5 and way[-1].startswith("[named] alias ")
    assert "no way leads" in told("path", "models/ranker/aliases/champion", f"{LAKE}/orders/2026.parquet")
    assert "1 model_version" in told("impact", f"{LAKE}/orders/2026.parquet")
    assert "postgres://db.example" in told("nodes", "--type", "dataset")
    whole = suite.cli_json("lineage", "up", "models/ranker/versions/1", "--project", "fraud", "--depth", "1")
    assert whole["truncated"] is True
    assert suite.cli("lineage", "up", "models/nothing", "--project", "fraud").returncode == NOT_FOUND
    assert suite.cli("lineage", "up", "s3://no/where", "--project", "fraud").returncode == NOT_FOUND


class Sink(BaseHTTPRequestHandler):
    """Another program that takes events; now and then not at once."""

    received: list[dict] = []
    answers: list[int] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.answers.pop(0) if self.answers else 201
        if status == 201:
            self.received.append({"path": self.path, "key": self.headers["authorization"], "event": json.loads(body)})
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def sink():
    Sink.received, Sink.answers = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_the_graph_is_sent_on_to_another_program(suite, fraud, sink):
    Sink.answers = [503]
    suite.env["OPENLINEAGE_API_KEY"] = "theirs"
    done = suite.cli_json("lineage", "emit", "--to", sink, "--resource", "projects/fraud")
    assert done["sent"] == len(Sink.received) == len(exported(fraud, resource="projects/fraud"))
    assert {(got["path"], got["key"]) for got in Sink.received} == {("/api/v1/lineage", "Bearer theirs")}
    again = suite.cli_json("lineage", "emit", "--to", sink, "--resource", "projects/fraud", "--after", done["position"])
    assert again["sent"] == 0
    Sink.answers = [302]
    refused = suite.cli("lineage", "emit", "--to", sink, "--resource", "projects/fraud")
    assert refused.returncode == 1 and "302" in refused.stderr


def test_what_happens_is_sent_on_as_it_happens(suite, root, sink):
    env = {**suite.env, "CAIRN_URL": suite.url, "CAIRN_API_KEY": suite.key}
    root.make("projects", {"project_id": "live", "project": {}})
    command = [suite.cairn, "lineage", "emit", "--to", sink, "--resource", "projects/live", "--follow"]
    follower = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        run = root.run("live", "live")
        root.make(f"{run}:finish", {"state": "RUN_STATE_FAILED"})
        kinds = eventually(lambda: len(Sink.received) >= 2 and [got["event"]["eventType"] for got in Sink.received])
        assert kinds == ["START", "FAIL"]
    finally:
        follower.kill()
        follower.communicate()
