"""An unmodified MLflow client keeps models: registers, points aliases, loads, predicts, searches, stages.

    registry_story.py --uri http://127.0.0.1:3001 [--token KEY]

Everything is asked back through the client and compared. Prints what it did and ends with 0 when all of it was right.
"""

import argparse
import os
import sys
import uuid

# Before mlflow is imported: it reads them once.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from sklearn.datasets import load_wine  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402


def trained(strength: float):
    """A model, and what it was trained on. The weaker, the more it guesses."""
    features, target = load_wine(return_X_y=True)
    return LogisticRegression(C=strength, max_iter=5000).fit(features, target), features


def logged(name: str, strength: float):
    """A model logged and registered in one go."""
    model, features = trained(strength)
    with mlflow.start_run(run_name=f"strength {strength}") as run:
        mlflow.log_param("strength", strength)
        signature = infer_signature(features, model.predict(features))
        mlflow.sklearn.log_model(model, name="model", signature=signature, registered_model_name=name)
    return model, features, run.info.run_id


def champions(name: str) -> None:
    """The alias moves, and who loads by it gets the other model at once."""
    client = MlflowClient()
    first, features, run_id = logged(name, 1e-6)
    second, _, _ = logged(name, 1.0)
    assert not np.array_equal(first.predict(features), second.predict(features)), "the models cannot be told apart"
    assert [version.version for version in client.search_model_versions(f"name = '{name}'", order_by=["version_number ASC"])] == [
        "1", "2"]
    version = client.get_model_version(name, "1")
    assert (version.run_id, version.status, version.current_stage) == (run_id, "READY", "None"), version
    for number, model in (("1", first), ("2", second)):
        client.set_registered_model_alias(name, "champion", number)
        assert client.get_model_version_by_alias(name, "champion").version == number
        loaded = mlflow.sklearn.load_model(f"models:/{name}@champion")
        assert np.array_equal(loaded.predict(features), model.predict(features)), "another model came back"
        loaded = mlflow.pyfunc.load_model(f"models:/{name}/{number}")
        assert np.array_equal(loaded.predict(features), model.predict(features)), "another model came back"
    assert client.get_registered_model(name).aliases == {"champion": "2"}
    client.delete_registered_model_alias(name, "champion")
    try:
        client.get_model_version_by_alias(name, "champion")
    except MlflowException as fault:
        assert fault.error_code == "INVALID_PARAMETER_VALUE", fault
    else:
        raise AssertionError("the alias is still there")


def registered_later(name: str) -> None:
    """A model that was logged before is registered by its address, by its run, and by another version."""
    client = MlflowClient()
    model, features = trained(0.5)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, name="model")
    first = mlflow.register_model(info.model_uri, name, tags={"team": "risk"})
    assert (first.version, first.run_id, first.tags) == ("1", run.info.run_id, {"team": "risk"}), first
    second = mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    assert second.version == "2"
    copied = client.copy_model_version(f"models:/{name}/1", f"{name} copy")
    assert (copied.version, copied.run_id) == ("1", run.info.run_id), copied
    for uri in (f"models:/{name}/1", f"models:/{name}/2", f"models:/{name} copy/1", f"models:/{name}/latest"):
        assert np.array_equal(mlflow.sklearn.load_model(uri).predict(features), model.predict(features)), uri


def stages_and_notes(name: str) -> None:
    """Stages, notes, tags, renaming and deleting."""
    client = MlflowClient()
    client.create_registered_model(name, tags={"team": "risk"}, description="first")
    for _ in range(2):
        client.create_model_version(name, "s3://somewhere/model")
    client.transition_model_version_stage(name, "1", "Production")
    client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    stages = {version.version: version.current_stage for version in client.search_model_versions(f"name = '{name}'")}
    assert stages == {"1": "Archived", "2": "Production"}, stages
    assert [version.version for version in client.get_latest_versions(name, ["Production"])] == ["2"]
    client.update_model_version(name, "2", "the second")
    client.set_model_version_tag(name, "2", "k", "v")
    client.update_registered_model(name, "noted")
    version = client.get_model_version(name, "2")
    assert (version.description, version.tags) == ("the second", {"k": "v"})
    client.rename_registered_model(name, f"{name} renamed")
    renamed = client.get_registered_model(f"{name} renamed")
    assert (renamed.name, renamed.description, renamed.tags) == (f"{name} renamed", "noted", {"team": "risk"})
    found = client.search_registered_models(f"name LIKE '{name}%' AND tags.team = 'risk'")
    assert [model.name for model in found] == [f"{name} renamed"], found
    client.delete_model_version(f"{name} renamed", "1")
    client.delete_registered_model(f"{name} renamed")
    assert client.search_registered_models(f"name LIKE '{name}%'") == []


def prompts(name: str) -> None:
    """What the client keeps in the registry without its being a model."""
    client = MlflowClient()
    mlflow.genai.register_prompt(name=name, template="Hello {{name}}", tags={"kind": "greeting"})
    second = mlflow.genai.register_prompt(name=name, template="Hi {{name}}")
    assert second.version == 2
    mlflow.genai.set_prompt_alias(name, alias="live", version=1)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@live").format(name="Ada") == "Hello Ada"
    assert client.search_registered_models(f"name = '{name}'") == []
    assert [prompt.name for prompt in mlflow.genai.search_prompts(f"name = '{name}'")] == [name]


CHAPTERS = [champions, registered_later, stages_and_notes, prompts]


def tell(uri: str, token: str | None = None) -> None:
    """Tells the whole story to a server."""
    if token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = token
    mlflow.set_tracking_uri(uri)
    name = f"story-{uuid.uuid4().hex[:8]}"
    mlflow.set_experiment(name)
    for chapter in CHAPTERS:
        chapter(f"{name}-{chapter.__name__}")
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
