"""Writers with the unmodified MLflow client, each on a run of its own. Prints the runs once all have logged everything."""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor

parser = argparse.ArgumentParser()
parser.add_argument("--uri", required=True)
parser.add_argument("--token", required=True)
parser.add_argument("--writers", type=int, required=True)
parser.add_argument("--batches", type=int, required=True)
parser.add_argument("--points", type=int, required=True)
told = parser.parse_args()
os.environ["MLFLOW_TRACKING_TOKEN"] = told.token
# What is away comes back: the client repeats as long as that takes.
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "8"

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric  # noqa: E402

client = MlflowClient(told.uri)


def write(run: str) -> str:
    for batch in range(told.batches):
        first = batch * told.points
        client.log_batch(run, metrics=[Metric("loss", step / 4, 1000 + step, step) for step in range(first, first + told.points)])
    return run


runs = [client.create_run("0").info.run_id for _ in range(told.writers)]
print("begun", flush=True)
with ThreadPoolExecutor(told.writers) as threads:
    for done in threads.map(write, runs):
        print(done, flush=True)
