"""The Python SDK's registry against the real suite: genuine models, people with different roles, hooks, a bad line."""

import hashlib
import json
import pickle
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import cairn
from api import Api
from cairn.registry import PromotionState, Stage
from cairn.tauro import HooksManager, HookType, ModelRegistry, ModelStage
from flaky import LOST, UNANSWERED, UNAVAILABLE, Flaky
from loading import predicted
from suite import Suite


#: PyTorch without what a graphics card needs is to be had from Debian alone.
DEBIAN_PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: tests count what happens in it."""
    with Suite(cairn, tmp_path_factory.mktemp("sdk") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


@pytest.fixture
def client(suite):
    with cairn.Client(suite.url, suite.key) as made:
        yield made


@pytest.fixture(scope="module")
def data():
    return load_wine(return_X_y=True)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"a": "model"}))
    return path


def person(root: Api, name: str, role: str) -> cairn.Client:
    """Somebody with a role in the default project."""
    user = root.make("users", {"user": {"display_name": name, "email": f"{name}@example.org"}})["name"]
    root.make("bindings", {"binding": {"principal": user, "role": role, "resource": "projects/default"}})
    return cairn.Client(root.suite.url, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"])


@pytest.fixture(scope="module")
def people(root) -> dict[str, cairn.Client]:
    return {name: person(root, name, f"roles/{role}")
            for name, role in (("vera", "viewer"), ("ada", "editor"), ("bob", "manager"))}


def protect(client: cairn.Client, model: str) -> None:
    terms = {"protected_stages": ["STAGE_PRODUCTION"]}
    client.patch(f"projects/default/models/{model}/promotionPolicies/default", {"terms": terms})


def happened(root: Api) -> int:
    """How many events the log has."""
    return sum(len(page) for page in root.pages("events", "events", page_size=1000))


def test_a_genuine_scikit_learn_model_is_registered_loaded_and_predicts_the_same_s3_6(client, data, tmp_path):
    features, target = data
    model = RandomForestClassifier(n_estimators=20, random_state=1).fit(features, target)
    (tmp_path / "forest.pkl").write_bytes(pickle.dumps(model))
    made = client.registry.register(
        "forest", tmp_path / "forest.pkl", artifact_type="pickle", framework="sklearn", description="*first*",
        hyperparameters={"n_estimators": np.int64(20), "criterion": "gini", "bootstrap": True, "depths": [1, None]},
        metrics={"accuracy": model.score(features, target)}, tags={"team": "ds"})
    read = client.registry.get("forest")
    assert made == read and (read.version, read.stage, read.artifact_type) == (1, Stage.NONE, "pickle")
    assert read.hyperparameters == {"n_estimators": 20, "criterion": "gini", "bootstrap": True, "depths": [1, None]}
    assert (read.metrics["accuracy"], read.tags, read.description) == (model.score(features, target), {"team": "ds"}, "*first*")
    folder = client.registry.download("forest", 1, tmp_path / "back")
    loaded = pickle.loads((folder / "forest.pkl").read_bytes())
    assert np.array_equal(loaded.predict_proba(features), model.predict_proba(features))
    with pytest.raises(cairn.InvalidArgument, match="no empty folder"):
        client.registry.download("forest", 1, tmp_path / "back")


def test_a_genuine_xgboost_model_is_registered_loaded_and_predicts_the_same_s3_6(client, data, tmp_path):
    features, target = data
    model = xgboost.XGBClassifier(n_estimators=10, max_depth=3).fit(features, target)
    model.save_model(tmp_path / "trees.ubj")
    made = client.registry.register("trees", tmp_path / "trees.ubj", artifact_type="xgboost", framework="xgboost")
    loaded = xgboost.XGBClassifier()
    loaded.load_model(client.registry.download("trees", made.version, tmp_path / "back") / "trees.ubj")
    assert np.array_equal(loaded.predict_proba(features), model.predict_proba(features))


def test_a_genuine_pytorch_model_is_registered_loaded_and_predicts_the_same_s3_6(suite, tmp_path):
    tried = subprocess.run([DEBIAN_PYTHON, "-c", "import requests, torch"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip("there is no Debian's python3-torch and python3-requests on this machine")
    story = Path(__file__).with_name("torch_story.py")
    env = {"PYTHONPATH": str(Path(cairn.__file__).parents[1]), "CAIRN_API_KEY": suite.key}
    done = subprocess.run([DEBIAN_PYTHON, story, suite.url, tmp_path], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "the same 9 predictions" in done.stdout, done.stderr


def test_a_folder_is_for_an_unmodified_client_what_it_is_for_the_sdk(suite, client, data, tmp_path):
    features, target = data
    model = LogisticRegression(max_iter=5000).fit(features, target)
    mlflow.sklearn.save_model(model, tmp_path / "saved", pip_requirements=[])
    made = client.registry.register("folder", tmp_path / "saved", framework="sklearn")
    files = {path.relative_to(tmp_path / "saved"): path for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    lines = sorted(f"{path}" for path in files)
    text = "".join(f"{hashlib.sha256((tmp_path / 'saved' / path).read_bytes()).hexdigest()}  {path}\n" for path in lines)
    assert made.artifact_sha256 == hashlib.sha256(text.encode()).hexdigest()
    back = client.registry.download("folder", 1, tmp_path / "back")
    assert {path.relative_to(back) for path in back.rglob("*") if path.is_file()} == set(files)
    assert np.array_equal(predicted(suite, "models:/folder/1", features, tmp_path), model.predict(features))


def test_names_of_files_are_kept_however_odd_and_what_is_none_is_refused(client, tmp_path):
    contents = {name: name.encode() for name in ("a b.bin", "ünï/ço#de?.bin", "per%20cent.bin", "co:lon", "plus+&=;")}
    # What is JSON comes compressed.
    contents |= {"empty": b"", "large.json": json.dumps(["large"] * 10_000).encode(), "a.txt.gz": b"\x1f\x8b no gzip"}
    for name, content in contents.items():
        path = tmp_path / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    client.registry.register("odd", tmp_path / "odd")
    back = client.registry.download("odd", 1, tmp_path / "back")
    found = {str(path.relative_to(back)): path.read_bytes() for path in back.rglob("*") if path.is_file()}
    assert found == contents
    (tmp_path / "odd" / "back\\slash").write_bytes(b"x")
    with pytest.raises(cairn.InvalidArgument):
        client.registry.register("odder", tmp_path / "odd")
    with pytest.raises(cairn.ModelNotFoundError):
        client.registry.get("odder")


def test_what_an_unmodified_client_registered_is_fetched(suite, client, root, tmp_path):
    run = root.run("made elsewhere")
    put = root.put(f"{run}/files/model/weights.bin", data=b"weights")
    assert put.status_code == 200, put.text
    id = run.rsplit("/", 1)[1]
    api = "/api/2.0/mlflow"
    root.make(f"{api}/registered-models/create", {"name": "elsewhere"})
    experiment = run.split("/")[3]
    sources = [f"runs:/{id}/model", f"mlflow-artifacts:/{experiment}/{id}/artifacts/model"]
    for number, source in enumerate(sources, 1):
        root.make(f"{api}/model-versions/create", {"name": "elsewhere", "source": source, "run_id": id})
        folder = client.registry.download("elsewhere", number, tmp_path / str(number))
        assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("weights.bin", b"weights")]
    third = client.registry.register("elsewhere", source_uri=sources[0])
    assert (third.version, third.source_run) == (3, run)
    fourth = client.registry.register("elsewhere", source_uri="s3://bucket/model")
    with pytest.raises(cairn.NotFound, match="s3://bucket/model"):
        client.registry.download("elsewhere", fourth.version, tmp_path / "s3")


def test_threads_that_share_a_client_register_a_new_model_at_once(client, file):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: client.registry.register("crowded", file, tags={"n": str(n)}), range(24)))
    assert sorted(version.version for version in made) == list(range(1, 25))
    listed = {version.version: version.tags["n"] for version in client.registry.versions("crowded")}
    assert listed == {version.version: version.tags["n"] for version in made}


def test_versions_are_found_aliased_tagged_described_and_deleted(client, file):
    registry = client.registry
    for framework in ("sklearn", "xgboost"):
        registry.register("it's found", file, framework=framework, tags={"team/of": "ds"})
    registry.set_alias("it's found", "champion", 1)
    assert registry.by_alias("it's found", "champion").version == 1
    assert registry.get_model("it's found").aliases == {"champion": 1}
    registry.remove_alias("it's found", "champion")
    with pytest.raises(cairn.ModelVersionNotFoundError):
        registry.by_alias("it's found", "champion")
    registry.set_tags("it's found", 2, {"a": "b"}, delete=["team/of"])
    assert registry.describe("it's found", 2, "the second").description == "the second"
    found = ModelRegistry(client, HooksManager())
    assert [version.version for version in found.search_models("it's found", framework="xgboost", tags={"a": "b"})] == [2]
    assert [version.version for version in found.search_models(tags={"team/of": "ds"}, filter="version_number > 0")] == [1]
    assert [version.version for version in found.list_model_versions("it's found")] == [2, 1]
    assert "it's found" in [model.name for model in found.list_models()]
    registry.delete_version("it's found", 2)
    with pytest.raises(cairn.ModelVersionNotFoundError) as raised:
        registry.get("it's found", 2)
    assert raised.value.code is cairn.ErrorCode.MODEL_VERSION_NOT_FOUND and raised.value.trace_id
    registry.delete_model("it's found")
    with pytest.raises(cairn.ModelNotFoundError):
        registry.get("it's found")


def test_who_may_promotes_and_who_may_not_learns_which_promotion_waits_s3_49(people, file):
    ada, bob, vera = (ModelRegistry(people[name], HooksManager()) for name in ("ada", "bob", "vera"))
    ada.register_model("free", file)
    assert ada.promote_model("free", 1, ModelStage.PRODUCTION).stage is ModelStage.PRODUCTION
    with pytest.raises(cairn.ModelVersionNotFoundError) as raised:
        ada.get_model_by_stage("free", ModelStage.STAGING)
    assert raised.value.code is cairn.ErrorCode.ALIAS_NOT_FOUND
    with pytest.raises(cairn.PermissionDenied) as denied:
        vera.promote_model("free", 1, ModelStage.ARCHIVED)
    assert denied.value.code is cairn.ErrorCode.ACCESS_DENIED

    ada.register_model("guarded", file)
    protect(people["bob"], "guarded")
    with pytest.raises(cairn.PromotionRequired) as required:
        ada.promote_model("guarded", 1, ModelStage.PRODUCTION, comment="better")
    with pytest.raises(cairn.PromotionRequired) as again:
        ada.promote_model("guarded", 1, ModelStage.PRODUCTION)
    error = required.value
    assert error.code is cairn.ErrorCode.TARGET_PROTECTED and error.promotion == again.value.promotion
    assert error.context["promotion"] == error.promotion and error.request_id
    [waiting] = people["ada"].registry.promotions("guarded", PromotionState.PENDING)
    assert (waiting.name, waiting.comment, len(waiting.unmet)) == (error.promotion, "better", 1)
    assert ada.get_model_version("guarded").stage is ModelStage.NONE
    with pytest.raises(cairn.PermissionDenied):
        people["ada"].registry.approve(error.promotion)
    assert people["bob"].registry.approve(error.promotion).state is PromotionState.COMPLETED
    assert bob.get_model_by_stage("guarded", ModelStage.PRODUCTION).version == 1


def test_promotions_are_rejected_and_taken_back(people, file):
    ada, bob = people["ada"].registry, people["bob"].registry
    ada.register("debated", file)
    protect(people["bob"], "debated")
    first = ada.request_promotion("debated", 1, stage="Production")
    assert bob.reject(first.name, "not yet").state is PromotionState.REJECTED
    second = ada.request_promotion("debated", 1, stage="Production", comment="again")
    assert ada.get_promotion(second.name) == second and second.moves == ({"version": 1, "stage": "STAGE_PRODUCTION"},)
    assert ada.withdraw(second.name, "no").state is PromotionState.WITHDRAWN
    assert [promotion.name for promotion in ada.promotions("debated")] == [second.name, first.name]


def test_a_pre_hook_that_raises_leaves_no_event_and_no_artifact_s3_24_s3_63(root, client, file):
    hooks = HooksManager()
    registry = ModelRegistry(client, hooks)

    @hooks.register(HookType.PRE_MODEL_REGISTER)
    def accurate(data):
        if data["metrics"].get("accuracy", 0) < 0.5:
            raise ValueError("Model accuracy too low")

    @hooks.register(HookType.PRE_MODEL_PROMOTE)
    def never(data):
        raise PermissionError(f"{data['name']} stays")

    before = happened(root)
    with pytest.raises(cairn.RegistrationRejected, match="Model accuracy too low") as raised:
        registry.register_model("hooked", file, metrics={"accuracy": 0.4})
    assert raised.value.code is cairn.ErrorCode.REGISTRATION_REJECTED
    assert raised.value.context["hook"].endswith("accurate") and len(raised.value.context["digest"]) == 64
    assert happened(root) == before
    assert registry.register_model("hooked", file, metrics={"accuracy": 0.9}).version == 1
    assert happened(root) > before
    before = happened(root)
    with pytest.raises(cairn.RegistrationRejected, match="hooked stays"):
        registry.promote_model("hooked", 1, ModelStage.PRODUCTION)
    assert happened(root) == before


def test_what_a_pre_hook_changes_is_what_is_registered_and_told(client, file):
    hooks, told = HooksManager(), []
    hooks.register(HookType.PRE_MODEL_REGISTER, lambda data: {**data, "tags": {**data["tags"], "checked": "yes"}})
    hooks.register(HookType.POST_MODEL_REGISTER, told.append)
    hooks.register(HookType.POST_MODEL_PROMOTE, told.append)
    registry = ModelRegistry(client, hooks)
    made = registry.register_model("changed", file, tags={"team": "ds"})
    assert made.tags == {"team": "ds", "checked": "yes"}
    registry.promote_model("changed", 1, "staging")
    registered, promoted = told
    assert (registered["version"], registered["tags"], registered["resource_name"]) == (1, made.tags, made.resource_name)
    assert promoted["stage"] is ModelStage.STAGING and registered["delivery_id"] != promoted["delivery_id"]


def test_a_hook_of_the_project_refuses_it_too_and_what_was_sent_is_gone(root, client, file):
    rule = {"timing": "HOOK_TIMING_BEFORE", "triggers": ["HOOK_TRIGGER_VERSION_CREATE"],
            "expression": {"expression": "version.metrics.accuracy >= 0.5", "message": "too low for the project"}}
    made = root.make("projects/default/hooks", {"hook_id": "quality", "hook": rule})
    try:
        with pytest.raises(cairn.RegistrationRejected, match="too low for the project") as raised:
            client.registry.register("refused", file, metrics={"accuracy": 0.4})
        assert (raised.value.context["hook"], raised.value.context["digest"]) == (made["name"], made["digest"])
    finally:
        assert root.delete("projects/default/hooks/quality").status_code == 200
    with pytest.raises(cairn.ModelNotFoundError):
        client.registry.get_model("refused")
    left = [model for page in root.pages("projects/default/loggedModels", "logged_models") for model in page]
    assert "refused" not in [model["display_name"] for model in left]


def test_over_a_bad_line_everything_is_done_once_s3_42(suite, client, root, file):
    # A POST whose answer was lost is the hard case: it has been done, and is asked for again.
    faults = [LOST, UNAVAILABLE, UNANSWERED]
    with Flaky(suite.url) as line:
        policy = cairn.RetryPolicy(attempts_max=4, pause_min=0.01, pause_max=0.05, time_max=30, budget=100)
        shaky = cairn.Client(line.url, suite.key, retry=policy)
        for number in (1, 2):
            line.faults += [*faults, None] * (5 if number == 1 else 4)
            assert shaky.registry.register("shaky", file).version == number
            assert line.faults == []
        changes = [(verb, path, key) for verb, path, key in line.asked if verb != "GET"]
        assert len(changes) == 36 and len({key for _, _, key in changes}) == 9
        line.faults += [UNAVAILABLE] * 4
        with pytest.raises(cairn.Unavailable) as raised:
            shaky.registry.set_alias("shaky", "champion", 1)
        assert raised.value.context["attempts"] == 4
    assert [version.version for version in client.registry.versions("shaky", order_by="version_number ASC")] == [1, 2]
    left = [model for page in root.pages("projects/default/loggedModels", "logged_models") for model in page]
    assert [model["display_name"] for model in left].count("shaky") == 2
    assert client.registry.get_model("shaky").aliases == {}


def test_another_project_is_another_world(root, suite, file):
    root.make("projects", {"project_id": "apart"})
    apart, here = cairn.Client(suite.url, suite.key, "apart"), cairn.Client(suite.url, suite.key)
    assert apart.registry.register("only-apart", file).resource_name == "projects/apart/models/only-apart/versions/1"
    with pytest.raises(cairn.ModelNotFoundError):
        here.registry.get("only-apart")


def test_a_key_that_is_not_one_is_told_so_and_not_shown(suite):
    with pytest.raises(cairn.Unauthenticated) as raised:
        cairn.Client(suite.url, "nobody-knows-this-key").get("projects/default")
    assert raised.value.code is cairn.ErrorCode.CREDENTIAL_INVALID and raised.value.trace_id
    assert "nobody-knows" not in json.dumps(raised.value.context) + str(raised.value)
