"""Fills an MLflow server or database with what there can be, with the genuine client; and tells what one has.

    import_story.py fill --uri URL
    import_story.py tell --uri URL [--token KEY]

In a process of its own: the client keeps its address in the process. What `tell` prints is the same for two servers that
hold the same, and for a database; places of artifacts and times of the last change are each server's own and are not told.
"""

import argparse
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path


def fill(client) -> None:
    from mlflow.entities import Metric, Param, RunTag, ViewType

    for number in range(3):
        experiment = client.create_experiment(f"study {number}", tags={"team": "risk", "mlflow.note.content": "*why*"})
        parent = None
        for at in range(4):
            nested = {"mlflow.parentRunId": parent} if parent else {}
            run = client.create_run(experiment, start_time=1_700_000_000_000 + at, run_name=f"run {at}",
                                    tags={"kind": "trial", "mlflow.user": "ada", **nested})
            parent = parent or run.info.run_id
            points = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(50)]
            odd = [Metric("odd", value, 1_700_000_000_500, step)
                   for step, value in enumerate([math.nan, math.inf, -math.inf, 0.0, -1e-300])]
            client.log_batch(run.info.run_id, points + odd, [Param("depth", str(at)), Param("long", "x" * 5000)],
                             [RunTag("note", "häßlich ✓")])
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "model").mkdir()
                Path(folder, "model", "weights 100%.bin").write_bytes(os.urandom(200_000))
                Path(folder, "empty.txt").touch()
                client.log_artifacts(run.info.run_id, folder)
            if at < 3:
                status = ["FINISHED", "FAILED", "KILLED"][at]
                client.set_terminated(run.info.run_id, status, end_time=1_700_000_100_000 + at)
            if at == 2:
                client.delete_run(run.info.run_id)
    client.delete_experiment(client.get_experiment_by_name("study 2").experiment_id)
    register(client, client.get_experiment_by_name("study 0").experiment_id)
    assert len(client.search_experiments(view_type=ViewType.ALL)) == 4


def register(client, experiment: str) -> None:
    from mlflow.entities import Metric

    runs = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    logged = client.create_logged_model(experiment, name="ranker", source_run_id=runs[0].info.run_id,
                                        tags={"a": "b"}, params={"rate": "0.1"}, model_type="Agent")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "MLmodel").write_text("flavors: {}\n")
        client.log_model_artifacts(logged.model_id, folder)
    client.log_batch(runs[0].info.run_id, [Metric("auc", 0.9, 1_700_000_000_000, 3, model_id=logged.model_id)])
    link(client, runs[2].info.run_id, logged.model_id)
    client.finalize_logged_model(logged.model_id, "READY")
    client.create_registered_model("fraud", tags={"team": "risk"}, description="finds it")
    for number in range(1, 5):
        run = runs[0].info.run_id
        source = f"models:/{logged.model_id}" if number == 4 else f"runs:/{run}/model"
        client.create_model_version("fraud", source, run, tags={"number": str(number)}, description=f"no. {number}",
                                    **({"model_id": logged.model_id} if number == 4 else {}))
    client.delete_model_version("fraud", "2")
    client.transition_model_version_stage("fraud", "1", "Archived")
    client.transition_model_version_stage("fraud", "3", "Production")
    client.set_registered_model_alias("fraud", "champion", "3")
    client.set_registered_model_alias("fraud", "first", "1")
    client.create_registered_model("it's empty")
    for name in ("it's \"new\"", "it_s \"new\""):
        client.create_registered_model(name, tags={"name": name})
        client.create_model_version(name, f"runs:/{runs[0].info.run_id}/model", runs[0].info.run_id)
    client.register_prompt("greeting", "Good day, {{name}}", tags={"kind": "letter"})


def link(client, run: str, model: str) -> None:
    """What a run that goes on reads and makes."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput

    table = Dataset("loans", "d1", "local", '{"uri": "loans.csv"}', schema='{"a": "long"}', profile='{"rows": 3}')
    rest = Dataset("rest", "d2", "local", "{}")
    client.log_inputs(run, [DatasetInput(table, [InputTag("mlflow.data.context", "training"), InputTag("a", "b")]),
                            DatasetInput(rest, [])], [LoggedModelInput(model)])
    client.log_outputs(run, [LoggedModelOutput(model, 7)])


def tell(client) -> dict:
    from mlflow.entities import ViewType

    told = {"experiments": {}, "runs": {}, "logged_models": {}, "models": {}}
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        told["experiments"][experiment.experiment_id] = {
            "name": experiment.name, "tags": experiment.tags, "stage": experiment.lifecycle_stage,
            # The default experiment is each project's own.
            "created": experiment.creation_time if experiment.experiment_id != "0" else None,
        }
        for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL):
            told["runs"][run.info.run_id] = tell_run(client, run)
        for model in client.search_logged_models([experiment.experiment_id]):
            told["logged_models"][model.model_id] = {
                "experiment": model.experiment_id, "name": model.name, "tags": model.tags, "params": model.params,
                "type": model.model_type, "status": str(model.status), "run": model.source_run_id,
                "created": model.creation_timestamp,
                "metrics": sorted([m.key, m.value, m.step, m.run_id] for m in model.metrics or []),
                "files": files(lambda path, id=model.model_id: client.list_logged_model_artifacts(id, path), None),
            }
    is_prompt = "tags.`mlflow.prompt.is_prompt` = 'true'"
    for model in [*client.search_registered_models(), *client.search_registered_models(filter_string=is_prompt)]:
        # A filter has no escapes.
        named = "name LIKE '{}'".format(model.name.replace("'", "_"))
        found = [*client.search_model_versions(named), *client.search_model_versions(f"{named} AND {is_prompt}")]
        versions = [version for version in found if version.name == model.name]
        told["models"][model.name] = {
            "tags": model.tags, "description": model.description or "",
            "aliases": {alias: str(version) for alias, version in model.aliases.items()},
            "created": model.creation_timestamp,
            "versions": {version.version: {
                "created": version.creation_timestamp, "stage": version.current_stage, "run": version.run_id or None,
                "model": version.model_id or None, "tags": version.tags,
                "description": version.description or "",
                "aliases": sorted(version.aliases), "status": version.status,
            } for version in versions},
        }
    return told


def tell_run(client, run) -> dict:
    run = client.get_run(run.info.run_id)
    info, data = run.info, run.data
    fetch = None if info.lifecycle_stage == "deleted" else lambda path: client.download_artifacts(info.run_id, path)
    return {
        "experiment": info.experiment_id, "name": info.run_name, "status": info.status, "user": info.user_id,
        "start": info.start_time, "end": info.end_time, "stage": info.lifecycle_stage, "params": data.params,
        "tags": data.tags, "latest": {key: repr(value) for key, value in data.metrics.items()},
        "histories": {key: sorted([repr(m.value), m.step, m.timestamp]
                                  for m in client.get_metric_history(info.run_id, key)) for key in data.metrics},
        "inputs": [model.model_id for model in run.inputs.model_inputs or []],
        "datasets": sorted([read.dataset.name, read.dataset.digest, read.dataset.source_type, read.dataset.source,
                            read.dataset.schema, read.dataset.profile, sorted((tag.key, tag.value) for tag in read.tags)]
                           for read in run.inputs.dataset_inputs),
        "outputs": [[model.model_id, model.step] for model in run.outputs.model_outputs] if run.outputs else [],
        "files": files(lambda path: client.list_artifacts(info.run_id, path), fetch),
    }


def files(listed, fetch, folder=None) -> dict:
    found = {}
    for file in listed(folder):
        if file.is_dir:
            found |= files(listed, fetch, file.path)
        else:
            # Over HTTP an empty file has no size.
            found[file.path] = [file.file_size or 0, hashlib.sha256(Path(fetch(file.path)).read_bytes()).hexdigest()
                                if fetch else None]
    return found


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["fill", "tell"])
    arguments.add_argument("--uri", required=True)
    arguments.add_argument("--token")
    arguments = arguments.parse_args()
    if arguments.token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = arguments.token
    from mlflow import MlflowClient, set_tracking_uri

    # A store asks this one for logged models that versions are made of.
    set_tracking_uri(arguments.uri)
    client = MlflowClient(tracking_uri=arguments.uri, registry_uri=arguments.uri)
    if arguments.what == "fill":
        fill(client)
    else:
        print(json.dumps(tell(client)))


if __name__ == "__main__":
    main()
