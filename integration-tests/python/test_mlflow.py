"""The unmodified MLflow client, and every answer beside that of a genuine MLflow server."""

import subprocess
import sys
from pathlib import Path

import pytest

MLFLOW = Path(__file__).parent.parent / "mlflow"
sys.path.insert(0, str(MLFLOW))

import corpus  # noqa: E402

STORY_SECONDS_MAX = 900


@pytest.fixture(scope="module")
def genuine():
    """A genuine MLflow server, started once."""
    with corpus.genuine_server() as url:
        yield url


@pytest.mark.parametrize("file", corpus.corpus_files(), ids=lambda file: file.stem)
def test_every_answer_is_that_of_a_genuine_server_s4_38(suite, genuine, file):
    calls, differences = corpus.compare(file, corpus.Server(genuine), corpus.Server(suite.url, suite.key))
    assert calls > 10
    assert not differences, "\n".join(differences)


def test_searching_by_metrics_and_params_equals_mlflows_answer_s3_15(suite, genuine):
    file = MLFLOW / "search.yaml"
    assert "metrics.auc >= 0.9 and params.depth = '5'" in file.read_text()
    _, differences = corpus.compare(file, corpus.Server(genuine), corpus.Server(suite.url, suite.key))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("prefix", ["", "/projects/default"], ids=["root", "project"])
def test_an_unmodified_client_trains_against_it_s4_38(suite, prefix):
    # In a process of its own: the client keeps its tracking address in the process.
    told = subprocess.run([sys.executable, MLFLOW / "client_story.py", "--uri", suite.url + prefix, f"--token={suite.key}"],
                          capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("as it should be") == 6
