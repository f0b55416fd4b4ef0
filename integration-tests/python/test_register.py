"""Versions registered from the command line: files that are here, what a run made, what lies elsewhere."""

import hashlib
import json
import os
import signal
import subprocess

import numpy as np
import pytest
from mlflow.sklearn import save_model
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

from api import Api, eventually
from loading import predicted
from suite import Suite

DONE, FAILED, USAGE, _, NOT_FOUND, DENIED = range(6)
LARGE_BYTES = 200 * 1024 * 1024


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: tests look at everything that is left in it."""
    with Suite(cairn, tmp_path_factory.mktemp("register") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def unchanged(root):
    """Whatever the test does, it leaves neither a model nor files."""
    before = kept(root)
    yield
    assert kept(root) == before


def kept(root: Api) -> tuple[list[str], list[str]]:
    models = [model["name"] for page in root.pages("projects/default/models", "registered_models") for model in page]
    return models, [model["name"] for model in logged(root)]


def logged(root: Api) -> list[dict]:
    return [model for page in root.pages("projects/default/loggedModels", "logged_models") for model in page]


def files(root: Api, version: dict) -> dict[str, str]:
    """Digests by path, as the registry noted them."""
    return {file["path"]: file["sha256"] for page in root.pages(f"{version['name']}/artifacts", "artifacts") for file in page}


def refused(suite: Suite, *args: str, code: int, key: str | None = None) -> dict:
    done = suite.cli("--json", "models", "register", *args, key=key)
    assert done.returncode == code, f"{args}: {done.stdout}{done.stderr}"
    return json.loads(done.stderr)["error"]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_folder_is_registered_with_all_that_is_said_of_it_and_loads_in_an_unmodified_client(suite, root, tmp_path):
    features, target = load_wine(return_X_y=True)
    model = LogisticRegression(max_iter=5000).fit(features, target)
    save_model(model, tmp_path / "saved", pip_requirements=[])
    signature = {"inputs": [{"label": "age", "dtype": "int64"}], "outputs": [{"dtype": "float64", "shape": [-1]}]}
    (tmp_path / "signature.json").write_text(json.dumps(signature))
    (tmp_path / "notes.md").write_text("notes")
    made = suite.cli_json(
        "models", "register", "wine", str(tmp_path / "saved"), str(tmp_path / "notes.md"), "--framework", "sklearn",
        "--description", "*first*", "--tag", "team=cellar", "--tag", "a=b=c", "--metric", "accuracy=0.93", "--metric", "loss=inf",
        "--param", "max_iter=5000", "--param", "penalty=l2", "--signature", str(tmp_path / "signature.json"))
    read = root.get("projects/default/models/wine/versions/1").json()
    assert made == read
    assert (read["framework"], read["description"], read["tags"]) == ("sklearn", "*first*", {"team": "cellar", "a": "b=c"})
    assert read["metrics"] == {"accuracy": 0.93, "loss": "Infinity"}
    assert read["hyperparameters"] == {"max_iter": "5000", "penalty": "l2"}
    assert read["signature"]["inputs"] == signature["inputs"] and read["signature"]["outputs"] == signature["outputs"]
    below = {str(path.relative_to(tmp_path / "saved")): path for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    digests = {name: sha256(path.read_bytes()) for name, path in (below | {"notes.md": tmp_path / "notes.md"}).items()}
    assert files(root, read) == digests and read["artifact_manifest"]["state"] == "MANIFEST_STATE_KNOWN"
    assert np.array_equal(predicted(suite, "models:/wine/1", features, tmp_path), model.predict(features))
    [upload] = [model for model in logged(root) if model["display_name"] == "wine"]
    assert upload["state"] == "LOGGED_MODEL_STATE_READY" and read["source_model"] == upload["name"].rsplit("/", 1)[1]


def test_a_model_goes_by_what_it_is_called_by_its_id_and_by_its_full_name(suite, root, file):
    told = suite.cli("models", "register", "fraud detector", str(file))
    assert (told.returncode, told.stdout) == (DONE, "registered projects/default/models/fraud~20detector/versions/1\n")
    for number, name in enumerate(["fraud detector", "fraud~20detector", "projects/default/models/fraud~20detector"], 2):
        assert suite.cli_json("models", "register", name, str(file), "--existing")["version"] == number
    odd = """it's "odd" """.strip()
    assert [suite.cli_json("models", "register", odd, str(file))["version"] for _ in range(2)] == [1, 2]
    suite.cli("models", "rename", "fraud~20detector", "renamed")
    assert suite.cli_json("models", "register", "renamed", str(file))["version"] == 5
    # Somebody else may be called by what is the id of another.
    suite.cli_json("models", "create", "plain")
    suite.cli("models", "rename", "plain", "fancy")
    assert suite.cli_json("models", "register", "plain", str(file))["name"] == "projects/default/models/plain/versions/1"
    other = suite.cli_json("models", "create", "plain")["name"]
    error = refused(suite, "plain", str(file), code=USAGE)
    assert other in error["message"] and "projects/default/models/plain:" in error["message"], error


def test_what_a_run_made_is_registered_by_the_runs_id_or_full_name(suite, root, tmp_path):
    run = root.run("trained")
    for path in ("model/weights.bin", "plot.png"):
        assert root.put(f"{run}/files/{path}", data=path.encode()).status_code == 200
    id = run.rsplit("/", 1)[1]
    first = suite.cli_json("models", "register", "of-a-run", "--run", id, "--path", "model/")
    assert (first["source_run"], first["source_uri"]) == (run, f"runs:/{id}/model")
    assert files(root, first) == {"weights.bin": sha256(b"model/weights.bin")}
    second = suite.cli_json("models", "register", "of-a-run", "--run", run)
    assert set(files(root, second)) == {"model/weights.bin", "plot.png"}
    third = suite.cli_json("models", "register", "of-a-run", "--source", f"runs:/{id}/model")
    assert (third["source_run"], files(root, third)) == (run, files(root, first))
    empty = suite.cli("models", "register", "of-a-run", "--run", id, "--path", "elsewhere")
    assert empty.returncode == DONE and f"nothing is stored under runs:/{id}/elsewhere" in empty.stderr


def test_a_model_that_a_run_logged_is_registered_by_the_run_as_unmodified_clients_do(suite, root):
    run = root.run("logs models")
    parent = "projects/default/experiments/0/loggedModels"

    def log(name: str, state: str = "LOGGED_MODEL_STATE_READY") -> str:
        made = root.make(parent, {"display_name": name, "source_run": run})["name"]
        assert root.put(f"{made}/files/MLmodel", data=made.encode()).status_code == 200
        root.make(f"{made}:finalize", {"state": state})
        return made.rsplit("/", 1)[1]

    older, newer = log("model"), log("model")
    log("model", "LOGGED_MODEL_STATE_FAILED")
    register = ["models", "register", "logged", "--run", run.rsplit("/", 1)[1]]
    made = suite.cli_json(*register, "--path", "model")
    assert (made["source_run"], made["source_model"], made["source_uri"]) == (run, newer, f"models:/{newer}")
    assert files(root, made) == {"MLmodel": sha256(f"{parent}/{newer}".encode())}
    error = refused(suite, *register[2:], code=USAGE)
    assert all(f"model ({id})" in error["message"] for id in (older, newer)), error
    # What the run keeps itself goes first.
    assert root.put(f"{run}/files/model/MLmodel", data=b"own").status_code == 200
    assert files(root, suite.cli_json(*register, "--path", "model")) == {"MLmodel": sha256(b"own")}


def test_what_lies_elsewhere_is_registered_by_its_address(suite, root, file):
    first = suite.cli_json("models", "register", "elsewhere", "--source", "s3://bucket/model")
    assert (first["version"], first["source_uri"]) == (1, "s3://bucket/model")
    second = suite.cli_json("models", "register", "elsewhere", str(file))
    again = suite.cli_json("models", "register", "copied", "--source", "models:/elsewhere/2")
    assert files(root, again) == files(root, second) == {"model.bin": sha256(b"weights")}
    root.make("projects/default/models/elsewhere:setAlias", {"alias": "best", "version": 2})
    assert suite.cli_json("models", "register", "copied", "--source", "models:/elsewhere@best")["source_uri"] == "models:/elsewhere/2"


def test_a_command_that_cannot_be_meant_is_refused_before_anything_is_sent(suite, unchanged, file, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "away").symlink_to(file)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / file.name).write_bytes(b"x")
    (tmp_path / "bad.json").write_text("[]")
    for args, code, words in [
        ([], USAGE, "required"),
        ([str(file), "--source", "s3://b/m"], USAGE, "cannot be used with"),
        ([str(file), "--run", "r"], USAGE, "cannot be used with"),
        ([str(file), "--path", "model"], USAGE, "cannot be used with"),
        (["--path", "model"], USAGE, "required"),
        ([str(file), "--metric", "auc=high"], USAGE, "NAME=NUMBER"),
        ([str(file), "--tag", "team"], USAGE, "KEY=VALUE"),
        ([str(file), str(tmp_path / "other")], USAGE, "would both be model.bin"),
        ([str(tmp_path / "linked")], USAGE, "is a link"),
        ([str(tmp_path / "empty")], USAGE, "empty folder"),
        ([str(tmp_path / "nowhere")], FAILED, "cannot read"),
        ([str(file), "--signature", str(tmp_path / "bad.json")], FAILED, "holds no signature"),
        (["--run", "0" * 32], NOT_FOUND, "no run"),
        ([str(file), "--existing"], NOT_FOUND, "no model"),
    ]:
        assert words in refused(suite, "never", *args, code=code)["message"], args


@pytest.mark.parametrize("source, reason", [("runs:/nobody/model", None), ("models:/nothing/1", "SOURCE_INVALID"),
                                            ("/tmp/model", "SOURCE_INVALID"), ("s3://b/../m", "SOURCE_INVALID")])
def test_a_source_that_cannot_be_used_leaves_no_model(suite, root, source, reason):
    if reason is None:
        # A run that is not known here is the maker's word, as for every other client.
        assert suite.cli_json("models", "register", "word", "--source", source)["source_run"] == "nobody"
        return
    before = kept(root)
    assert refused(suite, "never", "--source", source, code=FAILED)["reason"] == reason
    assert kept(root) == before


def test_what_a_hook_refuses_leaves_neither_files_nor_a_model_that_was_made_for_it(suite, root, unchanged, file):
    rule = {"timing": "HOOK_TIMING_BEFORE", "triggers": ["HOOK_TRIGGER_VERSION_CREATE"],
            "expression": {"expression": "version.metrics.accuracy >= 0.5", "message": "too low for the project"}}
    root.make("projects/default/hooks", {"hook_id": "quality", "hook": rule})
    try:
        error = refused(suite, "hooked", str(file), "--metric", "accuracy=0.4", code=FAILED)
        assert "too low for the project" in error["message"]
    finally:
        assert root.delete("projects/default/hooks/quality").status_code == 200


def test_a_signature_of_another_form_is_refused_and_leaves_nothing(suite, unchanged, file, tmp_path):
    (tmp_path / "signature.json").write_text('{"inputs": [{"name": "age", "type": "long"}]}')
    error = refused(suite, "formless", str(file), "--signature", str(tmp_path / "signature.json"), code=FAILED)
    assert "name" in error["message"], error


def test_who_may_not_register_leaves_nothing(suite, root, unchanged, file):
    user = root.make("users", {"user": {"display_name": "vera", "email": "vera@example.org"}})["name"]
    root.make("bindings", {"binding": {"principal": user, "role": "roles/viewer", "resource": "projects/default"}})
    key = root.make(f"{user}/apiKeys", {"api_key": {}})["secret"]
    assert refused(suite, "vera", str(file), code=DENIED, key=key)["reason"] == "ACCESS_DENIED"
    assert refused(suite, "vera", "--source", "s3://b/m", code=DENIED, key=key)["reason"] == "ACCESS_DENIED"


def test_a_large_file_goes_in_parts_and_an_interrupt_leaves_nothing(suite, root, tmp_path):
    large = tmp_path / "large.bin"
    with open(large, "wb") as out:
        out.truncate(LARGE_BYTES)
        out.write(b"begins")
    state = tmp_path / "state"
    env = {**suite.env, "CAIRN_URL": suite.url, "CAIRN_API_KEY": suite.key, "XDG_STATE_HOME": str(state)}
    before = kept(root)
    command = [suite.cairn, "--json", "models", "register", "large", large]
    client = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    eventually(lambda: list(state.rglob("*.json")))
    os.kill(client.pid, signal.SIGINT)
    _, told = client.communicate(timeout=60)
    assert client.returncode == FAILED and json.loads(told)["error"]["message"] == "interrupted"
    assert kept(root) == before and list(state.rglob("*.json")) == []

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == DONE, done.stderr
    digest = hashlib.sha256()
    with open(large, "rb") as whole:
        while block := whole.read(1 << 22):
            digest.update(block)
    assert files(root, json.loads(done.stdout)) == {"large.bin": digest.hexdigest()}
    assert list(state.rglob("*.json")) == []
