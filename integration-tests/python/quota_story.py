"""What an unmodified MLflow client meets in a project that is full: a refusal, at once, with the reason in it.

    quota_story.py --uri URL --token KEY

The project may have one run more, and 1,000 bytes. In a process of its own: the client keeps its address in the process.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

#: A client that takes a refusal for "wait a while" waits for minutes.
SECONDS_MAX = 20


def refused(act) -> str:
    """The message with which `act` is refused, and the error code."""
    from mlflow.exceptions import MlflowException

    began = time.monotonic()
    try:
        act()
    except MlflowException as refusal:
        assert time.monotonic() - began < SECONDS_MAX, "it waited, as if waiting would help"
        return f"{refusal.error_code} {refusal}"
    except Exception as refusal:  # Uploads fail with what the transport raises.
        assert time.monotonic() - began < SECONDS_MAX, "it waited, as if waiting would help"
        return f"{type(refusal).__name__} {refusal}"
    raise AssertionError("it was let in")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--uri", required=True)
    arguments.add_argument("--token", required=True)
    given = arguments.parse_args()
    os.environ["MLFLOW_TRACKING_TOKEN"] = given.token

    from mlflow import MlflowClient

    client = MlflowClient(given.uri)
    run = client.create_run("0", run_name="the last one").info.run_id
    told = refused(lambda: client.create_run("0"))
    assert told.startswith("RESOURCE_LIMIT_EXCEEDED") and "runs_max" in told, told
    client.log_metric(run, "auc", 0.9)  # What is there goes on.
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.bin"), Path(folder, "large.bin")
        small.write_bytes(os.urandom(700))
        large.write_bytes(os.urandom(400))
        client.log_artifact(run, str(small))
        told = refused(lambda: client.log_artifact(run, str(large)))
        assert "400" in told or "storage_bytes_max" in told, told
        assert [file.path for file in client.list_artifacts(run)] == ["small.bin"]
    client.delete_run(run)
    assert client.create_run("0", run_name="in its place").info.status == "RUNNING"
    print("as it should be")


if __name__ == "__main__":
    main()
