"""An unmodified MLflow client at work: autologging, nested runs, curves, artifacts, search.

    client_story.py --uri http://127.0.0.1:3001 [--token KEY]

Everything is asked back through the client and compared. Prints what it did and ends with 0 when all of it was right.
"""

import argparse
import hashlib
import math
import os
import sys
import tempfile
import uuid
from pathlib import Path

# Before mlflow is imported: it reads them once.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression, Ridge  # noqa: E402
from sklearn.model_selection import GridSearchCV, train_test_split  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402


def autologged_models(experiment: str) -> None:
    """scikit-learn's own data sets, each with a model that logs itself."""
    mlflow.set_experiment(experiment)
    mlflow.sklearn.autolog(log_datasets=True, silent=True)
    cases = [
        ("breast cancer", load_breast_cancer, make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))),
        ("diabetes", load_diabetes, Ridge(alpha=0.5)),
        ("digits", load_digits, RandomForestClassifier(n_estimators=20, random_state=7)),
        ("wine", load_wine, RandomForestClassifier(n_estimators=10, max_depth=3, random_state=7)),
    ]
    for name, load, model in cases:
        features, target = load(return_X_y=True, as_frame=name != "digits")
        train, test, train_target, test_target = train_test_split(features, target, random_state=7)
        with mlflow.start_run(run_name=name) as run:
            model.fit(train, train_target)
            score = model.score(test, test_target)
            mlflow.log_metric("held_out", score)
        seen = mlflow.get_run(run.info.run_id)
        assert seen.info.status == "FINISHED", seen.info
        assert seen.info.run_name == name
        assert seen.data.metrics["held_out"] == score
        assert seen.data.params and any(key.startswith("training_") for key in seen.data.metrics), seen.data
        assert seen.inputs.dataset_inputs, "the training data was not noted"
        assert seen.outputs.model_outputs, "the model was not noted"
        model_id = seen.outputs.model_outputs[0].model_id
        assert mlflow.get_logged_model(model_id).status == "READY"
        again = mlflow.sklearn.load_model(f"models:/{model_id}")
        assert np.array_equal(again.predict(test), model.predict(test)), f"{name}: another model came back"
    mlflow.sklearn.autolog(disable=True)


def nested_search(experiment: str) -> None:
    """A grid search logs its trials as runs below one."""
    mlflow.set_experiment(experiment)
    mlflow.sklearn.autolog(max_tuning_runs=4, log_models=False, silent=True)
    features, target = load_wine(return_X_y=True)
    with mlflow.start_run(run_name="grid") as parent:
        GridSearchCV(RandomForestClassifier(random_state=7), {"n_estimators": [5, 10], "max_depth": [2, 3]}, cv=2).fit(
            features, target)
        with mlflow.start_run(run_name="by hand", nested=True) as child:
            mlflow.log_param("kind", "child")
    mlflow.sklearn.autolog(disable=True)
    found = mlflow.search_runs(filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", output_format="list")
    assert len(found) == 5, [run.info.run_name for run in found]
    assert child.info.run_id in {run.info.run_id for run in found}
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id


def curves(experiment: str) -> None:
    """Thousands of points, numbers that are none, and what is latest."""
    mlflow.set_experiment(experiment)
    client = MlflowClient()
    with mlflow.start_run(run_name="curve") as run:
        run_id = run.info.run_id
        for start in range(0, 3000, 1000):
            metrics = [Metric("loss", 1 / (1 + step), 1_700_000_000_000 + step, step) for step in range(start, start + 1000)]
            client.log_batch(run_id, metrics=metrics)
        client.log_batch(run_id, params=[Param("p", "1")], tags=[RunTag("t", "v")])
        mlflow.log_metric("odd", math.nan, step=1)
        mlflow.log_metric("odd", math.inf, step=2)
    history = client.get_metric_history(run_id, "loss")
    assert [point.step for point in history] == list(range(3000))
    assert history[10].value == 1 / 11
    assert client.get_run(run_id).data.metrics["loss"] == 1 / 3000
    odd = client.get_metric_history(run_id, "odd")
    assert math.isnan(odd[0].value) and odd[1].value == sys.float_info.max, odd


def artifacts(experiment: str) -> None:
    """Files up and down, digests compared, names with all sorts of letters."""
    mlflow.set_experiment(experiment)
    client = MlflowClient()
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_name="artifacts") as run:
        big = Path(folder) / "big.bin"
        big.write_bytes(os.urandom(12 * 1024 * 1024 + 3))
        mlflow.log_artifact(str(big), "data")
        mlflow.log_text("über\n", "notes/ü b+c.txt")
        mlflow.log_dict({"a": [1, 2]}, "config.json")
        mlflow.log_text("", "empty.txt")
        listed = {file.path: (file.is_dir, file.file_size) for file in client.list_artifacts(run.info.run_id)}
        assert set(listed) == {"config.json", "data", "empty.txt", "notes"}, listed
        assert listed["data"][0] and not listed["config.json"][0]
        [inner] = client.list_artifacts(run.info.run_id, "data")
        assert (inner.path, inner.file_size) == ("data/big.bin", big.stat().st_size)
        fetched = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="", dst_path=folder + "/down"))
        assert digest(fetched / "data" / "big.bin") == digest(big)
        assert (fetched / "notes" / "ü b+c.txt").read_text() == "über\n"
        assert (fetched / "empty.txt").read_bytes() == b""
        assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/config.json") == {"a": [1, 2]}


def searching(experiment: str) -> None:
    """The filter language, orders and pages, over what was just logged."""
    mlflow.set_experiment(experiment)
    client = MlflowClient()
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    for depth, score in ((3, 0.8), (5, 0.95), (7, 0.9)):
        with mlflow.start_run(run_name=f"depth {depth}", tags={"kind": "sweep"}):
            mlflow.log_params({"depth": depth})
            mlflow.log_metric("auc", score)
    found = client.search_runs([experiment_id], "metrics.auc > 0.85 and params.depth = '5'")
    assert [run.data.params["depth"] for run in found] == ["5"], found
    best = client.search_runs([experiment_id], "tags.kind = 'sweep'", order_by=["metrics.auc DESC"])
    assert [run.data.metrics["auc"] for run in best] == [0.95, 0.9, 0.8]
    page = client.search_runs([experiment_id], "tags.kind = 'sweep'", max_results=2, order_by=["metrics.auc ASC"])
    rest = client.search_runs([experiment_id], "tags.kind = 'sweep'", max_results=2, order_by=["metrics.auc ASC"],
                              page_token=page.token)
    assert [run.data.metrics["auc"] for run in [*page, *rest]] == [0.8, 0.9, 0.95]
    frame = mlflow.search_runs([experiment_id], "tags.kind = 'sweep'")
    assert len(frame) == 3 and set(frame["params.depth"]) == {"3", "5", "7"}


def deleting(experiment: str) -> None:
    """What is deleted is hidden, refuses changes, and comes back."""
    mlflow.set_experiment(experiment)
    client = MlflowClient()
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    run = client.create_run(experiment_id, run_name="to delete")
    client.delete_run(run.info.run_id)
    refused = False
    try:
        client.log_param(run.info.run_id, "a", "b")
    except MlflowException as fault:
        refused = fault.error_code == "INVALID_PARAMETER_VALUE"
    assert refused, "a deleted run took a param"
    deleted = client.search_runs([experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert [found.info.run_id for found in deleted] == [run.info.run_id]
    client.restore_run(run.info.run_id)
    client.set_terminated(run.info.run_id, "KILLED")
    assert client.get_run(run.info.run_id).info.status == "KILLED"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


CHAPTERS = [autologged_models, nested_search, curves, artifacts, searching, deleting]


def tell(uri: str, token: str | None = None) -> None:
    """Tells the whole story to a server."""
    if token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = token
    mlflow.set_tracking_uri(uri)
    name = f"story {uuid.uuid4().hex[:8]}"
    for chapter in CHAPTERS:
        chapter(f"{name} {chapter.__name__}")
        print(f"{chapter.__name__}: as it should be", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uri", required=True, help="tracking URI")
    parser.add_argument("--token", help="sent as a bearer token")
    args = parser.parse_args()
    tell(args.uri, args.token)
    return 0


if __name__ == "__main__":
    sys.exit(main())
