"""The examples of docs/python.md, run as they stand, and what they left behind."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

import documentation
from api import Api
from sink import Sink
from suite import Suite

PAGE = Path(__file__).resolve().parents[2] / "docs/python.md"
SDK = Path(__file__).resolve().parents[2] / "libs/python/src"


@dataclass
class Told:
    """What the examples printed, and where they did what they do."""

    lines: list[str]
    api: Api
    slack: list


@pytest.fixture(scope="module")
def told(cairn, tmp_path_factory) -> Told:
    folder = tmp_path_factory.mktemp("docs")
    files = folder / "files"
    files.mkdir()
    (files / "model.pkl").write_bytes(pickle.dumps({"a": "model"}))
    with Suite(cairn, folder / "data") as suite, Sink() as slack:
        root = Api(suite)
        user = root.make("users", {"user": {"display_name": "eve", "email": "eve@example.org"}})["name"]
        root.make("bindings", {"binding": {"principal": user, "role": "roles/manager", "resource": "projects/default"}})
        key = root.make(f"{user}/apiKeys", {"api_key": {}})["secret"]
        env = {"CAIRN_URL": suite.url, "CAIRN_API_KEY": suite.key, "APPROVER_API_KEY": key, "SLACK_WEBHOOK_URL": slack.url,
               "PYTHONPATH": str(SDK), "CAIRN_PROJECT": "", "CAIRN_KEY_FILE": ""}
        done = documentation.run(PAGE, "/path/to", files, folder, env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert suite.key not in done.stdout + done.stderr and key not in done.stdout + done.stderr
        yield Told(done.stdout.splitlines(), root, slack.heard)


def version(told: Told, model: str, number: int = 1) -> dict:
    answer = told.api.get(f"projects/default/models/{model}/versions/{number}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_model_is_registered_with_its_file_and_all_that_was_said_of_it_s3_48(told):
    made = version(told, "credit_risk_model")
    assert (made["framework"], made["metrics"]) == ("scikit-learn", {"accuracy": 0.92, "auc": 0.95})
    assert made["hyperparameters"] == {"n_estimators": "100", "max_depth": "10"}
    assert made["tags"] == {"team": "ds", "project": "credit", "cairn.artifact_type": "sklearn"}
    [file] = told.api.get(f"{made['name']}/artifacts").json()["artifacts"]
    owner = f"projects/default/experiments/0/loggedModels/{made['source_model']}"
    assert file["path"] == "model.pkl"
    assert pickle.loads(told.api.get(f"{owner}/files/model.pkl").content) == {"a": "model"}


def test_it_is_promoted_and_found_by_its_stage_s3_50(told):
    assert version(told, "credit_risk_model")["stage"] == "STAGE_PRODUCTION"
    found = told.api.get("projects/default/models/credit_risk_model:resolve", params={"stage": "STAGE_PRODUCTION"}).json()
    assert found["version"] == 1


def test_what_is_protected_is_promoted_by_two_and_whoever_tries_alone_learns_which_promotion_waits_s3_49(told):
    assert version(told, "credit_risk_model")["stage"] == "STAGE_PRODUCTION"
    assert version(told, "wine")["stage"] == "STAGE_PRODUCTION"
    promotions = told.api.get("projects/default/models/wine/promotions").json()["promotions"]
    waiting, done = promotions
    assert done["state"] == "PROMOTION_STATE_COMPLETED" and waiting["state"] == "PROMOTION_STATE_PENDING"
    assert f"TARGET_PROTECTED {waiting['name']}" in told.lines


def test_a_hook_that_raises_has_stopped_it_and_nothing_is_left_s3_24_s3_63(told):
    at = next(index for index, line in enumerate(told.lines) if line.startswith("Model accuracy too low (refused by "))
    hook, digest = told.lines[at + 1].split(" ")
    assert hook == "__main__.validate_model" and f"{hook} sha256:{digest}" in told.lines[at]
    assert told.api.get("projects/default/models/coin_toss").status_code == 404
    models = told.api.get("projects/default/loggedModels").json()["logged_models"]
    assert "coin_toss" not in [model["display_name"] for model in models]
    events = [event for page in told.api.pages("events", "events") for event in page]
    assert "better_than_a_coin" in str(events) and "coin_toss" not in str(events)


def test_a_hook_afterwards_is_told_once_of_what_was_registered_s3_25_s3_64(told):
    assert version(told, "better_than_a_coin")["version"] == 1
    assert [body for _, body in told.slack] == [b'{"text": "New model: better_than_a_coin"}']


def test_a_model_that_is_not_there_is_an_error_with_code_and_context_s3_82(told):
    assert "Error code: MODEL_NOT_FOUND" in told.lines
    [context] = [line for line in told.lines if line.startswith("Context: ")]
    assert "'model': 'nonexistent'" in context


def test_the_page_shows_all_that_it_says():
    assert len(documentation.blocks(PAGE)) == PAGE.read_text().count("```python")
