"""Real models are trained through the unmodified MLflow client; then everything is asked back through it."""

import hashlib
import os
import subprocess
import sys

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

import training
from api import Api

STAGES, EPOCHS = 120, 30


@pytest.fixture(scope="module")
def client(suite):
    """MLflow's client, with the suite's key as its token. What it keeps in the process is put back afterwards."""
    before = mlflow.get_tracking_uri()
    os.environ["MLFLOW_TRACKING_TOKEN"] = suite.key
    mlflow.set_tracking_uri(suite.url)
    yield MlflowClient()
    del os.environ["MLFLOW_TRACKING_TOKEN"]
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def runs(client) -> dict[str, list[str]]:
    return training.train_everything(say=lambda _: None)


def test_runs_are_found_by_what_was_logged_s3_15_s4_38(client, runs):
    experiment = client.get_experiment_by_name("digits").experiment_id
    best, *others, parent = runs["digits"]
    found = client.search_runs([experiment], "params.depth = '12' and metrics.accuracy > 0.9", order_by=["metrics.accuracy DESC"])
    assert found[0].info.run_id == best and {run.data.params["depth"] for run in found} == {"12"}
    assert {run.info.run_id for run in client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")} == {best, *others}
    assert client.get_run(parent).data.tags["best_run"] == best


def test_nested_runs_know_their_parent_s3_16(client, runs):
    *children, parent = runs["digits"]
    assert len(children) == 6
    for child in children:
        assert client.get_parent_run(child).info.run_id == parent


def test_a_curve_comes_back_point_by_point_s3_11(client, runs):
    [run] = runs["diabetes"]
    history = client.get_metric_history(run, "test_rmse")
    assert [point.step for point in history] == list(range(STAGES))
    assert history[-1].value == client.get_run(run).data.metrics["test_rmse"] < history[0].value
    assert all(point.timestamp > 0 for point in history)
    [learned] = runs["wine"]
    assert len(client.get_metric_history(learned, "train_loss")) == EPOCHS


def test_an_autologged_run_has_its_params_metrics_data_and_model(client, runs):
    [run] = runs["breast-cancer"]
    seen = client.get_run(run)
    assert seen.info.status == "FINISHED" and seen.info.run_name == "logistic-regression"
    assert seen.data.params["logisticregression__max_iter"] == "500" and seen.data.metrics["test_accuracy"] > 0.9
    assert any(entry.dataset.name == "breast-cancer" for entry in seen.inputs.dataset_inputs)
    assert seen.outputs.model_outputs


def test_artifacts_come_down_with_the_digest_that_is_on_record_s1_28_s3_13(suite, client, runs, tmp_path):
    [run] = runs["diabetes"]
    down = client.download_artifacts(run, "importances.txt", str(tmp_path))
    with open(down, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    experiment = client.get_run(run).info.experiment_id
    [recorded] = Api(suite).get(f"projects/default/experiments/{experiment}/runs/{run}/artifacts").json()["artifacts"]
    assert recorded["path"] == "importances.txt" and recorded["sha256"] == digest


def test_a_model_loads_back_and_still_predicts(client, runs):
    [run] = runs["wine"]
    model = mlflow.sklearn.load_model(f"runs:/{run}/model")
    x, y = load_wine(return_X_y=True)
    assert model.score(StandardScaler().fit_transform(x), y) > 0.9


LIST = "import mlflow; print(sorted(e.name for e in mlflow.MlflowClient().search_experiments()))"


def in_a_process_of_its_own(program: str, **env: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING")}
    return subprocess.run([sys.executable, "-c", program], env={**clean, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", **env},
                          capture_output=True, text=True, timeout=120)


def test_the_client_is_let_in_by_user_name_and_password_where_the_password_is_a_key_s1_5(suite):
    who = {"MLFLOW_TRACKING_URI": suite.url, "MLFLOW_TRACKING_USERNAME": "anybody"}
    allowed = in_a_process_of_its_own(LIST, **who, MLFLOW_TRACKING_PASSWORD=suite.key)
    assert allowed.returncode == 0 and "Default" in allowed.stdout, allowed.stderr
    refused = in_a_process_of_its_own(LIST, **who, MLFLOW_TRACKING_PASSWORD="wrong")
    assert refused.returncode != 0 and "the credential is not valid" in refused.stderr


def test_a_project_in_the_address_keeps_its_experiments_to_itself(suite):
    suite.cli_json("projects", "create", "apart")
    program = f"import mlflow; mlflow.create_experiment('only here'); {LIST}"
    told = in_a_process_of_its_own(program, MLFLOW_TRACKING_URI=f"{suite.url}/projects/apart", MLFLOW_TRACKING_TOKEN=suite.key)
    assert told.stdout.strip() == "['Default', 'only here']", told.stdout + told.stderr
    root = in_a_process_of_its_own(LIST, MLFLOW_TRACKING_URI=suite.url, MLFLOW_TRACKING_TOKEN=suite.key)
    assert "only here" not in root.stdout and "Default" in root.stdout, root.stderr
