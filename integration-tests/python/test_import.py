"""`cairn import mlflow`: what a genuine server has is there afterwards, for the unmodified client."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api import Api, eventually

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "mlflow"))

import corpus  # noqa: E402

STORY = HERE / "import_story.py"
SECONDS_MAX = 600


def story(*args: str) -> str:
    told = subprocess.run([sys.executable, STORY, *args], capture_output=True, text=True, timeout=SECONDS_MAX)
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.fixture(scope="module")
def genuine():
    """A genuine MLflow server that the genuine client has filled."""
    with corpus.genuine_server() as url:
        story("fill", "--uri", url)
        yield url


@pytest.fixture(scope="module")
def expected(genuine) -> dict:
    """What it has, as the client tells it."""
    return json.loads(story("tell", "--uri", genuine))


def project(suite, name: str) -> str:
    suite.cli_json("projects", "create", name)
    return name


def imported(suite, genuine, name: str, *args: str) -> dict:
    return suite.cli_json("--project", name, "import", "mlflow", "--from", genuine, *args)


def told(suite, name: str) -> dict:
    return json.loads(story("tell", "--uri", f"{suite.url}/projects/{name}", "--token", suite.key))




def test_what_a_genuine_server_has_is_there_after_an_import(suite, genuine, expected):
    name = project(suite, "taken-over")
    counted = imported(suite, genuine, name, "--dry-run")
    assert counted["counts"]["runs"] == {"found": 12}
    assert told(suite, name)["runs"] == {}
    report = imported(suite, genuine, name)
    assert report["left_out"] == []
    counts = {kind: count["imported"] for kind, count in report["counts"].items() if kind != "experiments"}
    assert counts == {"runs": 12, "metric_points": 12 * 55 + 1, "logged_models": 1, "artifacts": 25,
                      "registered_models": 2, "model_versions": 3, "aliases": 2}
    found = told(suite, name)
    for kind, things in expected.items():
        assert found[kind].keys() == things.keys(), kind
        for key, thing in things.items():
            assert found[kind][key] == thing, (kind, key)

    # Again: nothing changes, and it says so.
    before = events(suite, name)
    again = imported(suite, genuine, name)
    assert again["left_out"] == []
    assert {kind: count["imported"] for kind, count in again["counts"].items() if count["imported"]} == {}
    assert events(suite, name) == before


def events(suite, name: str) -> list:
    """What the log has for the project."""
    listed = suite.cli_json("events", "list", "--resource", f"projects/{name}", "--limit", "100000")
    return [event["position"] for event in listed]


def test_an_import_that_was_killed_goes_on_where_it_was(suite, genuine, expected):
    name = project(suite, "broken-off")
    env = {**suite.env, "CAIRN_URL": suite.url}
    process = subprocess.Popen([suite.cairn, "--project", name, "import", "mlflow", "--from", genuine, "--jobs", "1"],
                               env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    api = Api(suite)
    eventually(lambda: len(api.get(f"projects/{name}/runs").json().get("runs", [])) >= 2)
    process.kill()
    process.wait()
    report = imported(suite, genuine, name)
    assert report["left_out"] == []
    assert report["counts"]["runs"]["imported"] < 12, "what was there was not taken over again"
    found = told(suite, name)
    assert found == expected


def test_only_what_was_asked_for_comes_and_what_stands_in_the_way_is_told(suite, genuine):
    name = project(suite, "some-of-it")
    Api(suite).make(f"projects/{name}/experiments", {"display_name": "study 1"})
    done = suite.cli("--json", "--project", name, "import", "mlflow", "--from", genuine, "--experiment", "study 0",
                     "--experiment", "study 1", "--experiment", "nowhere")
    assert done.returncode == 1, "a script notices that something was left out"
    report = json.loads(done.stdout)
    left_out = {entry["what"]: entry["reason"] for entry in report["left_out"]}
    assert len(left_out) == 2
    assert left_out['experiment "nowhere"'] == "the server has none of this name"
    assert any("study 1" in what and "EXPERIMENT_EXISTS" in reason for what, reason in left_out.items())
    assert report["counts"]["runs"]["imported"] == 4
    assert "registered_models" not in report["counts"]


def test_a_database_is_not_read_and_the_way_to_do_it_is_told(suite):
    done = suite.cli("import", "mlflow", "--from", "postgresql://ada:secret@host/db")
    assert done.returncode == 2
    assert "mlflow server --backend-store-uri" in done.stderr
    assert "secret" not in done.stderr


def test_an_import_needs_the_right_to_import(suite, genuine):
    name = project(suite, "not-mine")
    account = Api(suite).make("serviceAccounts", {"service_account_id": "reader-only"})
    key = Api(suite).make(f"{account['name']}/apiKeys", {"api_key": {}})
    done = suite.cli("--project", name, "import", "mlflow", "--from", genuine, key=key["secret"])
    assert done.returncode == 5, done.stderr
