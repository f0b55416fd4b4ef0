"""`cairn import mlflow`: what a genuine server or its database has is there afterwards, for the unmodified client."""

import contextlib
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from api import Api, eventually

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "mlflow"))

import corpus  # noqa: E402

STORY = HERE / "import_story.py"
SCHEMAS = HERE / "import_schemas.py"
SECONDS_MAX = 600


def story(*args: str) -> str:
    told = subprocess.run([sys.executable, STORY, *args], capture_output=True, text=True, timeout=SECONDS_MAX)
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """The folder of a genuine server: `mlflow.db`, and `artifacts`."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def genuine(kept):
    """A genuine MLflow server that the genuine client has filled."""
    with corpus.genuine_server(kept) as url:
        story("fill", "--uri", url)
        yield url


@pytest.fixture
def copy(genuine, kept, tmp_path) -> Path:
    """A copy of its folder that a test may change."""
    shutil.copytree(kept, tmp_path / "copy")
    return tmp_path / "copy"


def of_database(folder: Path) -> list[str]:
    """What says that the database of a server's folder is imported."""
    return [f"sqlite:///{folder}/mlflow.db", "--artifacts", f"{folder}/artifacts"]


@pytest.fixture(params=["server", "database"])
def source(request, genuine, kept) -> list[str]:
    """What is imported from: the server, and the database that it writes to."""
    return [genuine] if request.param == "server" else of_database(kept)


@pytest.fixture(scope="module")
def expected(genuine) -> dict:
    """What it has, as the client tells it."""
    return json.loads(story("tell", "--uri", genuine))


def project(suite, name: str) -> str:
    suite.cli_json("projects", "create", name)
    return name


def imported(suite, source: list[str], name: str, *args: str) -> dict:
    return suite.cli_json("--project", name, "import", "mlflow", "--from", *source, *args)


def refused(suite, source: list[str], name: str = "default", *, exit_code: int = 2) -> str:
    """What is said of a source that nothing is taken over from."""
    done = suite.cli("--project", name, "import", "mlflow", "--from", *source)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    return done.stderr


def told(suite, name: str) -> dict:
    return json.loads(story("tell", "--uri", f"{suite.url}/projects/{name}", "--token", suite.key))


def test_what_a_genuine_server_has_is_there_after_an_import(suite, source, expected, request):
    name = project(suite, f"from-{request.node.callspec.params['source']}")
    counted = imported(suite, source, name, "--dry-run")
    assert counted["counts"]["runs"] == {"found": 12}
    assert told(suite, name)["runs"] == {}
    report = imported(suite, source, name)
    assert report["left_out"] == []
    counts = {kind: count["imported"] for kind, count in report["counts"].items() if kind != "experiments"}
    assert counts == {"runs": 12, "metric_points": 12 * 55 + 1, "logged_models": 1, "artifacts": 25,
                      "registered_models": 5, "model_versions": 6, "aliases": 2}
    same(told(suite, name), expected)

    # Again: nothing changes, and it says so.
    before = events(suite, name)
    again = imported(suite, source, name)
    assert again["left_out"] == []
    assert {kind: count["imported"] for kind, count in again["counts"].items() if count["imported"]} == {}
    assert events(suite, name) == before


def same(found: dict, expected: dict) -> None:
    for kind, things in expected.items():
        assert found[kind].keys() == things.keys(), kind
        for key, thing in things.items():
            assert found[kind][key] == thing, (kind, key)


def events(suite, name: str) -> list:
    """What the log has for the project."""
    listed = suite.cli_json("events", "list", "--resource", f"projects/{name}", "--limit", "100000")
    return [event["position"] for event in listed]


def test_an_import_that_was_killed_goes_on_where_it_was(suite, source, expected, request):
    name = project(suite, f"broken-off-{request.node.callspec.params['source']}")
    env = {**suite.env, "CAIRN_URL": suite.url}
    process = subprocess.Popen([suite.cairn, "--project", name, "import", "mlflow", "--from", *source, "--jobs", "1"],
                               env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    api = Api(suite)
    eventually(lambda: len(api.get(f"projects/{name}/runs").json().get("runs", [])) >= 2)
    process.kill()
    process.wait()
    report = imported(suite, source, name)
    assert report["left_out"] == []
    assert report["counts"]["runs"]["imported"] < 12, "what was there was not taken over again"
    same(told(suite, name), expected)


def test_only_what_was_asked_for_comes_and_what_stands_in_the_way_is_told(suite, source, request):
    name = project(suite, f"some-of-it-{request.node.callspec.params['source']}")
    Api(suite).make(f"projects/{name}/experiments", {"display_name": "study 1"})
    done = suite.cli("--json", "--project", name, "import", "mlflow", "--from", *source, "--experiment",
                     "study 0", "--experiment", "study 1", "--experiment", "nowhere")
    assert done.returncode == 1, "a script notices that something was left out"
    report = json.loads(done.stdout)
    left_out = {entry["what"]: entry["reason"] for entry in report["left_out"]}
    assert len(left_out) == 2
    assert left_out['experiment "nowhere"'] == "there is none of this name"
    assert any("study 1" in what and "EXPERIMENT_EXISTS" in reason for what, reason in left_out.items())
    assert report["counts"]["runs"]["imported"] == 4
    assert "registered_models" not in report["counts"]


def test_another_engine_and_a_folder_of_runs_are_not_read_and_the_way_to_do_it_is_told(suite, tmp_path):
    told = refused(suite, ["postgresql://ada:secret@host/db"])
    assert "mlflow server --backend-store-uri" in told and "secret" not in told
    assert "MLFLOW_ALLOW_FILE_STORE=true" in refused(suite, [str(tmp_path)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A database that the client itself has filled, with artifacts in a folder that its rows name."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, STORY, "fill", "--uri", f"sqlite:///{folder}/mlflow.db"], check=True, cwd=folder,
                   capture_output=True, timeout=SECONDS_MAX)
    return folder / "mlflow.db"


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_that_a_client_writes_to_is_read_as_it_was_last_committed(suite, alone, mode):
    expected = json.loads(story("tell", "--uri", f"sqlite:///{alone}"))
    name = project(suite, f"written-to-{mode}")
    with contextlib.closing(sqlite3.connect(alone, isolation_level=None)) as writer:
        assert writer.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode,)
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        # In WAL mode this is beside the database, and not in it.
        writer.execute("UPDATE experiment_tags SET value = ? WHERE key = 'team'", [mode])
        for experiment in expected["experiments"].values():
            experiment["tags"] |= {"team": mode} if "team" in experiment["tags"] else {}
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET name = 'not committed'")
        report = imported(suite, [str(alone)], name)
        writer.execute("ROLLBACK")
    assert report["left_out"] == []
    same(told(suite, name), expected)


def test_nothing_is_written_to_a_database(suite, copy):
    def state() -> dict:
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in copy.rglob("*") if path.is_file()}

    before = state()
    imported(suite, of_database(copy), project(suite, "only-read"))
    assert state() == before


def test_what_cannot_be_read_of_a_database_is_told_before_anything_is_written(suite, copy):
    name = project(suite, "unread")
    database = f"{copy}/mlflow.db"
    assert "--artifacts DIR" in refused(suite, [database], name)
    assert "no such folder" in refused(suite, [database, "--artifacts", f"{copy}/nowhere"], name, exit_code=4)

    def place(uri: str) -> None:
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", [uri])
            connection.execute("UPDATE experiments SET artifact_location = ?", [uri])

    place("s3://bucket/1")
    assert "s3://" in refused(suite, of_database(copy), name)
    place(f"file://{copy}/nowhere/1")
    assert f"{copy}/nowhere" in refused(suite, of_database(copy), name)
    assert told(suite, name)["runs"] == {}


def test_files_that_are_missing_are_told_at_the_end(suite, copy):
    artifacts = copy / "artifacts"
    weights = next(artifacts.rglob("weights 100%.bin"))
    weights.unlink()
    weights.symlink_to(copy / "mlflow.db")
    models = next(artifacts.rglob("MLmodel")).parent
    shutil.rmtree(models)
    name = project(suite, "with-gaps")
    done = suite.cli("--json", "--project", name, "import", "mlflow", "--from", *of_database(copy))
    assert done.returncode == 1, "a script notices that something was left out"
    report = json.loads(done.stdout)
    left_out = sorted((entry["what"], entry["reason"]) for entry in report["left_out"])
    assert len(left_out) == 2, left_out
    assert "logged model" in left_out[0][0] and str(models) in left_out[0][1]
    assert "weights 100%.bin" in left_out[1][0] and "links are not followed" in left_out[1][1]
    assert report["counts"]["artifacts"]["imported"] == 23
    assert report["counts"]["runs"]["imported"] == 12


def test_what_other_workspaces_have_is_left_out_and_told(suite, copy):
    with contextlib.closing(sqlite3.connect(copy / "mlflow.db")) as connection, connection:
        connection.execute("INSERT INTO experiments (experiment_id, name, workspace) VALUES (99, 'theirs', 'team-b')")
        connection.execute("INSERT INTO registered_models (name, workspace) VALUES ('fraud', 'team-b')")
        connection.execute("INSERT INTO model_versions (name, version, workspace) VALUES ('fraud', 9, 'team-b')")
    name = project(suite, "one-workspace")
    done = suite.cli("--json", "--project", name, "import", "mlflow", "--from", *of_database(copy))
    report = json.loads(done.stdout)
    assert [entry["what"] for entry in report["left_out"]] == ['workspace "team-b"']
    assert told(suite, name)["models"]["fraud"]["versions"].keys() == {"1", "3", "4"}


def test_a_database_is_read_if_its_schema_is_known(suite, tmp_path):
    made = subprocess.run([sys.executable, SCHEMAS, tmp_path], capture_output=True, text=True, timeout=SECONDS_MAX)
    assert made.returncode == 0, made.stderr
    before, *known = json.loads(made.stdout)
    assert len(known) >= 19
    for schema in known:
        report = imported(suite, [f"{tmp_path}/{schema}.db"], "default", "--dry-run")
        counts = {kind: count["found"] for kind, count in report["counts"].items() if count["found"]}
        assert counts == {"experiments": 1, "runs": 1, "registered_models": 1, "model_versions": 1}, schema
        name = project(suite, f"schema-{schema}")
        report = imported(suite, [f"{tmp_path}/{schema}.db"], name)
        assert report["left_out"] == [] and report["counts"]["metric_points"]["imported"] == 1, schema
    told = refused(suite, [f"{tmp_path}/{before}.db"])
    assert before in told and "mlflow db upgrade" in told


def test_what_is_no_database_of_mlflow_is_refused(suite, tmp_path):
    text = tmp_path / "text.db"
    text.write_text("hello, " * 1000)
    assert "no SQLite database" in refused(suite, [str(text)])
    empty = tmp_path / "empty.db"
    empty.touch()
    assert "not one of MLflow" in refused(suite, [str(empty)])
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE runs (id TEXT)")
    assert "not one of MLflow" in refused(suite, [f"sqlite:///{other}"])
    assert "no such file" in refused(suite, [str(tmp_path / "nowhere.db")], exit_code=4)
    assert "--artifacts is for a database" in refused(suite, ["http://127.0.0.1:9", "--artifacts", str(tmp_path)])


def test_a_database_that_cannot_be_read_now_says_why(suite, copy):
    file = copy / "mlflow.db"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert "keeps it locked" in refused(suite, of_database(copy), exit_code=1)
    # A writer that is killed leaves the journal that says what was there before.
    written = """if True:
        import os, sqlite3, sys
        writer = sqlite3.connect(sys.argv[1], isolation_level=None)
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE params SET value = value || 'x'")
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", written, file], check=True)
    assert Path(f"{file}-journal").exists()
    assert "left in the middle of a write" in refused(suite, of_database(copy), exit_code=1)


def test_an_import_needs_the_right_to_import(suite, genuine):
    name = project(suite, "not-mine")
    account = Api(suite).make("serviceAccounts", {"service_account_id": "reader-only"})
    key = Api(suite).make(f"{account['name']}/apiKeys", {"api_key": {}})
    done = suite.cli("--project", name, "import", "mlflow", "--from", genuine, key=key["secret"])
    assert done.returncode == 5, done.stderr
