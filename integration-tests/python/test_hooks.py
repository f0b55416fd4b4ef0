"""Hooks over REST, from the command line and under an unmodified MLflow client: who refuses, who is told, and how."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from api import Api, eventually
from sink import Sink
from suite import Suite

FOLDER = Path(__file__).parent.parent / "mlflow"
sys.path.insert(0, str(FOLDER))
import corpus  # noqa: E402

STORY_SECONDS_MAX = 300
SECRET = "a secret between the two"
# What the story makes happen that is told.
TOLD = 16


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite whose hooks may reach this machine, and that does not wait long before it tries again."""
    env = {"CAIRN__HOOKS__ALLOWED_PRIVATE": "127.0.0.1/32", "CAIRN__HOOKS__BACKOFF_MS": "20"}
    with Suite(cairn, tmp_path_factory.mktemp("hooks") / "data", env) as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


@pytest.fixture
def sink():
    with Sink() as running:
        yield running


def project(root: Api, name: str) -> str:
    return root.make("projects", {"project_id": name})["name"]


def hook(root: Api, project: str, id: str, **fields) -> dict:
    return root.make(f"{project}/hooks", {"hook_id": id, "hook": fields})


def requiring(expression: str, message: str) -> dict:
    return {"timing": "HOOK_TIMING_BEFORE", "triggers": ["HOOK_TRIGGER_VERSION_CREATE"],
            "expression": {"expression": expression, "message": message}}


def telling(url: str, *triggers: str, **webhook) -> dict:
    return {"timing": "HOOK_TIMING_AFTER", "triggers": [f"HOOK_TRIGGER_{trigger}" for trigger in triggers],
            "webhook": {"url": url, **webhook}}


def in_python(suite: Suite, script: list[str]) -> str:
    """The last line that a program with the unmodified client prints."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": suite.url, "MLFLOW_TRACKING_TOKEN": suite.key, "GIT_PYTHON_REFRESH": "quiet"}
    done = subprocess.run([sys.executable, *script], env=env, capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_what_a_hook_refuses_has_not_happened_and_the_refusal_is_on_record_s3_24(root):
    here = project(root, "refusals")
    model = root.make(f"{here}/models", {"registered_model_id": "ranker"})["name"]
    made = hook(root, here, "quality", **requiring("version.metrics.auc >= 0.8", "auc must be at least 0.8"))
    before = root.get(f"history/{model}").json()
    answer = root.post(f"{model}/versions", json={"model_version": {"metrics": {"auc": 0.5}}},
                       headers={"X-Request-Id": "refused-by-a-hook"})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["reason"] == "REGISTRATION_REJECTED" and error["message"].startswith("auc must be at least 0.8")
    told = next(detail["metadata"] for detail in error["details"] if "metadata" in detail)
    assert (told["hook"], told["digest"], told["trigger"]) == (made["name"], made["digest"], "VERSION_CREATE")
    # Nothing has happened to the model, and nothing is there.
    assert root.get(f"history/{model}").json() == before
    assert root.get(f"{model}/versions").json().get("model_versions", []) == []
    assert root.get(f"{model}/versions/1").status_code == 404
    # That it was refused, and by what, is on record.
    found = eventually(lambda: root.get("audit", params={"request_id": "refused-by-a-hook"}).json().get("audit_records"))
    assert [record["outcome"] for record in found] == ["OUTCOME_REJECTED"]
    assert made["name"] in json.dumps(found) and made["digest"] in json.dumps(found)
    assert root.make(f"{model}/versions", {"model_version": {"metrics": {"auc": 0.9}}})["version"] == 1


REGISTER = """
import json, mlflow
from sklearn.dummy import DummyClassifier
mlflow.set_experiment("training")
def register(accuracy):
    with mlflow.start_run() as run:
        mlflow.log_metric("accuracy", 0.1, step=0)
        mlflow.log_metric("accuracy", accuracy, step=1)
        model = mlflow.sklearn.log_model(DummyClassifier(), name="model", pip_requirements=[])
    try:
        return mlflow.register_model(model.model_uri, "classifier").version
    except mlflow.MlflowException as refused:
        return str(refused)
print(json.dumps([register(0.5), register(0.95)]))
"""


def test_a_model_of_low_accuracy_is_not_registered_by_an_unmodified_client_s3_63(suite, root):
    made = hook(root, "projects/default", "accuracy", **requiring("version.metrics.accuracy >= 0.9", "accuracy is below 0.9"))
    try:
        refused, version = json.loads(in_python(suite, ["-c", REGISTER]))
    finally:
        assert root.delete("projects/default/hooks/accuracy").status_code == 200
    assert f"accuracy is below 0.9 (refused by {made['name']} sha256:{made['digest']})" in refused
    assert int(version) == 1
    versions = root.get("projects/default/models/classifier/versions").json()["model_versions"]
    assert [found["version"] for found in versions] == [1]


def test_receivers_are_told_signed_as_standard_webhooks_and_again_until_they_take_it(root, sink):
    here = project(root, "told")
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    made = hook(root, here, "tell", **telling(sink.url, "VERSION_CREATE", "STAGE_MOVE", secret=secret))
    assert made["webhook"]["signed"] and made["webhook"]["origin"] == sink.url.split("/in/")[0]
    assert "canary" not in json.dumps(made) and secret not in json.dumps(made)
    sink.answer(500)
    model = root.make(f"{here}/models", {"registered_model_id": "ranker"})["name"]
    version = root.make(f"{model}/versions", {"model_version": {"tags": {"a": "1"}}})["name"]
    root.make(f"{version}:transition", {"stage": "STAGE_STAGING"})
    first, again, moved = sink.wait(3)
    assert (first[0]["webhook-id"], first[1]) == (again[0]["webhook-id"], again[1])
    for head, body in (first, again, moved):
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(b"0123456789abcdef01234567", signed, hashlib.sha256).digest()).decode()
        assert head["webhook-signature"] == f"v1,{expected}"
    told = json.loads(moved[1])
    assert told["type"] == "registry.stage_move" and told["data"]["change"] == {"from_stage": "None", "to_stage": "Staging"}
    assert told["data"]["version"]["name"] == version
    taken = eventually(lambda: (found := root.get(f"{made['name']}/deliveries").json()["deliveries"])
                       and all(one["state"] == "HOOK_DELIVERY_STATE_DELIVERED" for one in found) and found)
    assert [one["attempt_count"] for one in taken] == [1, 2]
    assert taken[1]["name"].endswith(first[0]["webhook-id"])
    # Whoever reads the project sees what its hooks are; its credentials nobody does.
    for path in (made["name"], f"{here}/hooks", f"history/{made['name']}", "audit"):
        answer = root.get(path)
        assert answer.ok and "canary" not in answer.text and secret not in answer.text, path


def test_a_channel_of_slack_gets_one_message_in_slacks_shape(root, sink):
    here = project(root, "channel")
    hook(root, here, "channel", **telling(sink.url, "MODEL_CREATE", format="HOOK_FORMAT_SLACK"))
    root.make(f"{here}/models", {"display_name": "R&D <model>"})
    (head, body), = sink.wait(1)
    message = json.loads(body)
    assert message["text"].endswith("registered model *R&amp;D &lt;model&gt;*") and set(message) == {"text", "blocks"}
    assert [block["type"] for block in message["blocks"]] == ["section", "context"]
    assert head["content-type"] == "application/json" and "webhook-signature" not in head


def heard(sink: Sink) -> list[dict]:
    """What a receiver was told, in an order of its own: a genuine server tells on several threads. Verified as MLflow's
    own code verifies it."""
    bodies = []
    for head, body in sink.heard:
        signature = _generate_hmac_signature(SECRET, head["x-mlflow-delivery-id"], head["x-mlflow-timestamp"], body.decode())
        assert head["x-mlflow-signature"] == signature
        told = json.loads(body)
        assert told.pop("timestamp")
        # A trial shows an example, and whose does not matter.
        if told["data"].get("name") in ("example_model", "example"):
            told["data"] = sorted(told["data"])
        bodies.append(told)
    return sorted(bodies, key=lambda body: json.dumps(body, sort_keys=True))


def test_mlflows_webhooks_are_kept_and_told_as_by_a_genuine_server(suite, monkeypatch):
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "0")
    answers, told = [], []
    with corpus.genuine_server() as genuine:
        for url, token in ((genuine, ""), (suite.url, suite.key)):
            with Sink() as sink:
                env = {**os.environ, "MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_TOKEN": token, "GIT_PYTHON_REFRESH": "quiet",
                       "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
                story = [sys.executable, str(FOLDER / "webhook_story.py"), sink.url, SECRET]
                with subprocess.Popen(story, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
                    while running.stdout.readline() != "happened\n":
                        assert running.poll() is None
                    sink.wait(TOLD)
                    rest, _ = running.communicate("go on\n", timeout=STORY_SECONDS_MAX)
                assert running.returncode == 0
                answers.append(json.loads(rest.splitlines()[-1].replace(sink.url, "URL")))
                told.append(heard(sink))
    assert answers[0] == answers[1]
    assert told[0] == told[1]


def test_hooks_are_administered_from_the_command_line(suite, root, sink, tmp_path):
    here = project(root, "cli")
    at = ("--project", "cli")
    secret = tmp_path / "secret"
    secret.write_text("a secret of sixteen or more\n")
    made = suite.cli_json("hooks", "create", "quality", "--before", "--on", "version-create", "--expression",
                          "version.metrics.auc > 0.5", "--message", "too low", *at)
    assert made["timing"] == "HOOK_TIMING_BEFORE" and len(made["digest"]) == 64
    suite.cli_json("hooks", "create", "tell", "--after", "--on", "version-create", "--address", sink.url, "--secret-file",
                   str(secret), "--deadline", "500ms", *at)
    assert [found["name"] for found in suite.cli_json("hooks", "list", *at)] == [f"{here}/hooks/quality", f"{here}/hooks/tell"]
    assert "version.metrics.auc > 0.5" in suite.cli("hooks", "list", *at).stdout
    assert suite.cli_json("hooks", "get", "tell", *at)["webhook"]["deadline"] == "0.500s"
    assert suite.cli_json("hooks", "test", "tell", *at)["success"]
    assert not suite.cli_json("hooks", "test", "quality", *at).get("success")
    model = root.make(f"{here}/models", {"registered_model_id": "m"})["name"]
    assert root.post(f"{model}/versions", json={"model_version": {}}).status_code == 400
    suite.cli_json("hooks", "disable", "quality", *at)
    # The trial was the first request; whatever happens now finds nobody who takes it.
    sink.wait(1)
    sink.answer(503, times=1000)
    root.make(f"{model}/versions", {"model_version": {}})
    sink.wait(3)
    sink.answers.clear()
    taken = eventually(lambda: [one for one in suite.cli_json("hooks", "deliveries", "tell", *at)
                                if one["state"] == "HOOK_DELIVERY_STATE_DELIVERED"])
    assert len(taken) == 1 and taken[0]["attempt_count"] > 2
    refused = suite.cli("--json", "hooks", "retry", taken[0]["name"])
    assert refused.returncode != 0 and "DELIVERY_NOT_DEAD" in refused.stderr
    assert suite.cli_json("hooks", "deliveries", "tell", "--dead", *at) == []
    suite.cli_json("hooks", "delete", "tell", *at)
    assert root.get(f"{here}/hooks/tell").status_code == 404
    wrong = suite.cli("--json", "hooks", "create", "x", "--before", "--on", "version-create", "--expression", "versio > 1", *at)
    assert wrong.returncode != 0 and "HOOK_EXPRESSION_INVALID" in wrong.stderr and '"column"' in wrong.stderr


def test_who_works_in_a_project_sees_its_hooks_and_who_manages_it_administers_them(suite, root):
    here = project(root, "roles")
    hook(root, here, "quality", **requiring("true", ""))
    keys = {}
    for role in ("editor", "manager"):
        user = root.make("users", {"user": {"display_name": role, "email": f"hooks-{role}@example.org"}})["name"]
        root.make("bindings", {"binding": {"principal": user, "role": f"roles/{role}", "resource": here}})
        keys[role] = Api(suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"])
    body = {"hook_id": "mine", "hook": requiring("true", "")}
    assert keys["editor"].get(f"{here}/hooks/quality").json()["expression"]["expression"] == "true"
    assert keys["editor"].post(f"{here}/hooks", json=body).status_code == 403
    assert keys["editor"].post(f"{here}/hooks/quality:disable", json={}).status_code == 403
    assert keys["manager"].post(f"{here}/hooks", json=body).status_code == 200
    changed = keys["manager"].patch(f"{here}/hooks/mine", json={"expression": {"expression": "false"}, "description": "no"})
    assert changed.status_code == 200 and changed.json()["description"] == "no", changed.text
    stale = keys["manager"].patch(f"{here}/hooks/mine", json={"description": "x", "etag": "0"})
    assert stale.status_code == 409, stale.text


def test_no_hook_reaches_a_private_address_where_that_is_not_allowed(cairn, tmp_path, sink):
    with Suite(cairn, tmp_path / "data") as running:
        root = Api(running)
        answer = root.post("projects/default/hooks", json={"hook_id": "h", "hook": telling(sink.url, "MODEL_CREATE", secret=SECRET)})
        assert answer.status_code == 400 and "HOOK_ADDRESS_REFUSED" in answer.text and "canary" not in answer.text
        port = sink.url.split(":")[2].split("/")[0]
        url = f"http://localhost:{port}/in/canary"
        made = hook(root, "projects/default", "h", **telling(url, "MODEL_CREATE", secret=SECRET))
        tried = root.make(f"{made['name']}:test", {})
        assert not tried.get("success") and "private" in tried["error_message"] and sink.heard == []
