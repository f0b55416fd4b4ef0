"""What the unmodified MLflow client logs and reads back. Prints the run's id, and how many points it logged."""

import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--uri", required=True)
parser.add_argument("--token", required=True)
told = parser.parse_args()
os.environ["MLFLOW_TRACKING_TOKEN"] = told.token

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric  # noqa: E402

client = MlflowClient(told.uri)
run = client.create_run("0").info.run_id
count = 0
for step in range(50):
    client.log_metric(run, "one by one", step / 8, timestamp=1000 + step, step=step)
    count += 1
    # Read at once, as somebody does who watches.
    assert len(client.get_metric_history(run, "one by one")) == step + 1
for start in range(0, 5000, 1000):
    batch = [Metric("loss", 1 / (1 + step), 2000 + step, step) for step in range(start, start + 500)]
    batch += [Metric("val/auc", step, 2000 + step, step) for step in range(start, start + 500)]
    client.log_batch(run, metrics=batch)
    count += len(batch)
client.log_metric(run, "odd", float("nan"), timestamp=1, step=1)
client.log_metric(run, "odd", float("inf"), timestamp=2, step=2)
count += 2

history = client.get_metric_history(run, "loss")
wanted = [(step, 1 / (1 + step)) for start in range(0, 5000, 1000) for step in range(start, start + 500)]
assert [(point.step, point.value) for point in history] == wanted
assert [point.step for point in client.get_metric_history(run, "odd")] == [1, 2]
assert client.get_metric_history(run, "never logged") == []
assert client.get_run(run).data.metrics["val/auc"] == 4499
client.set_terminated(run)
print(run, count)
