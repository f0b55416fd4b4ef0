"""What Cairn does, in a few minutes: real models, trained with the unmodified MLflow client, and what is known of them."""

import argparse
import json
import logging
import os
import shlex
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

from cluster import Cluster  # noqa: E402
from suite import Suite  # noqa: E402
from training import train_everything  # noqa: E402  (before mlflow: it says what mlflow shall not do)

import mlflow  # noqa: E402


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n## {text}", flush=True)


def show(suite: Suite, *args: str, key: str | None = None, expect: int = 0) -> str:
    """Runs a command of the command line and shows both."""
    print(f"$ cairn {shlex.join(args)}", flush=True)
    done = suite.cli(*args, key=key)
    output = (done.stdout + done.stderr).rstrip()
    print(output, flush=True)
    if done.returncode != expect:
        raise SystemExit(f"expected exit code {expect}, got {done.returncode}")
    return output


def quieten() -> None:
    """Only what the demo is about: not what libraries say to their own users."""
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)


def what_is_known(suite: Suite, runs: dict[str, list[str]]) -> None:
    say("Experiments")
    show(suite, "experiments", "list")

    say("The digits runs, best first")
    digits = suite.cli_json("experiments", "list", "--filter", "name = 'digits'")[0]["name"]
    show(suite, "runs", "list", "--experiment", digits, "--order-by", "metrics.accuracy DESC", "--limit", "5")

    say("Two of them side by side")
    show(suite, "runs", "compare", *runs["digits"][:2])

    say("A learning curve, thinned to eight points with the extremes kept")
    show(suite, "runs", "metrics", runs["diabetes"][0], "test_rmse", "--points", "8")

    say("The history of one run, event by event, with who and when")
    name = suite.cli_json("runs", "get", runs["digits"][0])["name"]
    show(suite, "events", "history", name)


def a_refusal(suite: Suite) -> None:
    say("A viewer tries to write, and is refused with a reason")
    suite.cli_json("service-accounts", "create", "demo-viewer")
    suite.cli_json("bindings", "create", "--principal", "serviceAccounts/demo-viewer", "--role", "viewer",
                   "--resource", "projects/default", "--reason", "reads the dashboards")
    key = suite.cli_json("keys", "create", "--owner", "serviceAccounts/demo-viewer")["secret"]
    show(suite, "experiments", "list", key=key)
    show(suite, "experiments", "create", "not-for-viewers", key=key, expect=5)

    refused = json.loads(suite.cli("--json", "experiments", "create", "not-for-viewers", key=key).stderr)["error"]
    decision = next(detail["metadata"]["decision_id"] for detail in refused["details"] if "metadata" in detail)
    say("What that decision rests on")
    show(suite, "authz", "explain", decision)

    say("And the audit log has it")
    show(suite, "audit", "list", "--principal", "serviceAccounts/demo-viewer")


def person(suite: Suite, name: str, role: str) -> str:
    """The key of somebody new with a role in the project."""
    user = suite.cli_json("users", "create", name)["name"]
    suite.cli_json("bindings", "create", "--principal", user, "--role", role, "--resource", "projects/default",
                   "--reason", "works here")
    return suite.cli_json("keys", "create", "--owner", user)["secret"]


def a_promotion(suite: Suite, run: str) -> str:
    say("Ada registers the wine model with the MLflow client; a policy protects its alias `champion`")
    ada, bob = person(suite, "ada", "editor"), person(suite, "bob", "manager")
    show(suite, "promotions", "policy", "set", "--protect-alias", "champion", "--approvals", "1")
    os.environ["MLFLOW_TRACKING_TOKEN"] = ada
    for _ in range(2):
        mlflow.register_model(f"runs:/{run}/model", "wine")
    show(suite, "models", "versions", "wine", key=ada)

    say("She may not move it by herself, with the MLflow client neither; but she may ask")
    try:
        mlflow.MlflowClient().set_registered_model_alias("wine", "champion", "1")
        raise SystemExit("the alias moved without a promotion")
    except mlflow.exceptions.MlflowException as refusal:
        print(f"  MLflow: {refusal}")
    moments = []
    for version in ("1", "2"):
        asked = suite.cli_json("promotions", "create", "wine", version, "--alias", "champion", key=ada)["name"]
        show(suite, "promotions", "approve", asked, key=ada, expect=5)
        say(f"Bob approves version {version}, and it is the champion at once")
        show(suite, "promotions", "approve", asked, "--comment", "read the curves", key=bob)
        moments.append(datetime.now(UTC).isoformat())
        model = mlflow.sklearn.load_model("models:/wine@champion")
        print(f"  models:/wine@champion predicts {model.predict([[0.0] * 13]).tolist()}")
    say("The former champion is archived, in the same step")
    show(suite, "models", "versions", "wine", key=ada)
    say("And what was the champion before the second approval?")
    show(suite, "--as-of", moments[0], "models", "show", "wine", "--alias", "champion", key=ada)
    os.environ["MLFLOW_TRACKING_TOKEN"] = suite.key
    return asked


def a_proof(suite: Suite, folder: Path, promotion: str) -> None:
    say("Proof that the viewer was refused, for an auditor who asks nobody")
    refused = suite.cli_json("audit", "list", "--principal", "serviceAccounts/demo-viewer", "--outcome", "denied")[0]
    keys, proof = folder / "keys", folder / "refusal.tlog-proof"
    keys.write_text(suite.cli("audit", "checkpoint", "--keys").stdout)
    show(suite, "audit", "prove", refused["position"], "--to", str(proof))
    show(suite, "audit", "verify", str(proof), "--key", str(keys))

    say("Everything that the promotion rests on, in one file; the auditor tells its story from the events alone")
    evidence = folder / "wine.evidence.json"
    show(suite, "evidence", "pack", "--promotion", promotion, "--output", str(evidence))
    show(suite, "evidence", "verify", str(evidence), "--key", str(keys))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cairn", type=Path, required=True, help="the cairn program")
    parser.add_argument("--cluster", action="store_true", help="as docker/compose.processes.yaml describes, on PostgreSQL, ClickHouse, S3 and Redis")
    parser.add_argument("--keep", type=Path, help="keep the data in this folder instead of a temporary one")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="cairn-demo-") as folder:
        data = arguments.keep or Path(folder) / "data"
        if arguments.cluster:
            say("Starting every role as processes of its own, on private instances of their engines")
            starting = Cluster(arguments.cairn, data, say=lambda text: print(f"  {text}", flush=True))
        else:
            say("Starting the suite in one process on embedded stores")
            starting = Suite(arguments.cairn, data)
        with starting as suite:
            print(f"HTTP {suite.url}   gRPC {suite.grpc}   data {data}")
            say("Training on breast cancer, diabetes, digits and wine with the unmodified MLflow client")
            quieten()
            os.environ["MLFLOW_TRACKING_URI"] = suite.url
            os.environ["MLFLOW_TRACKING_TOKEN"] = suite.key
            runs = train_everything(say=lambda text: print(f"  {text}", flush=True))
            what_is_known(suite, runs)
            a_refusal(suite)
            promotion = a_promotion(suite, runs["wine"][0])
            a_proof(suite, Path(folder), promotion)
            say("Stopping, as SIGTERM does: what was accepted is finished")
        assert suite.process.returncode == 0, f"the suite ended with {suite.process.returncode}: see {suite.log}"
        say("That was it. `make up` starts a suite to keep; the README has five minutes of first steps")


if __name__ == "__main__":
    main()
