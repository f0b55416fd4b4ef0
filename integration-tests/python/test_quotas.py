"""Quotas of projects, through the public door: REST, the MLflow client, the command line, and an import."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api import Api

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "mlflow"))

import corpus  # noqa: E402

STORY_SECONDS_MAX = 300


@pytest.fixture(scope="module")
def admin(suite) -> Api:
    return Api(suite)


def account(admin: Api, id: str, role: str, resource: str) -> Api:
    """A service account with a role, as whoever has a key of it."""
    name = admin.make("serviceAccounts", {"service_account_id": id})["name"]
    admin.make("bindings", {"binding": {"principal": name, "role": role, "resource": resource}})
    return Api(admin.suite, admin.make(f"{name}/apiKeys", {})["secret"])


def project(admin: Api, id: str, **quota) -> str:
    name = admin.make("projects", {"project_id": id})["name"]
    if quota:
        limit(admin, name, **quota)
    return name


def limit(admin: Api, project: str, **quota) -> dict:
    answer = admin.put(f"{project}/quota", json={"quota": quota})
    assert answer.status_code == 200, answer.text
    return answer.json()


def begin(api: Api, project: str, **fields):
    return api.post(f"{project}/experiments/0/runs", json=fields)


def error(answer) -> dict:
    return answer.json()["error"]


def assert_over(answer, quota: str) -> dict:
    """That a call was refused for want of room, and did not ask to be repeated. Gives what it says."""
    assert answer.status_code == 429 and "retry-after" not in answer.headers, answer.text
    told = error(answer)
    assert (told["status"], told["reason"], told["context"]["quota"]) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", quota)
    assert quota in told["message"] and told["context"]["limit"] in told["message"]
    return told["context"]


def test_runs_are_limited_deletion_frees_raising_helps_and_others_are_unharmed(admin):
    one, other = project(admin, "limited-runs", runs_max=2), project(admin, "free-runs")
    editor = account(admin, "limited-editor", "roles/editor", one)
    first = begin(editor, one).json()["name"]
    assert begin(editor, one, request_id="11111111-1111-4111-8111-111111111111").status_code == 200
    context = assert_over(begin(editor, one), "runs_max")
    assert (context["used"], context["limit"], context["project"]) == ("2", "2", one)
    again = begin(editor, one, request_id="11111111-1111-4111-8111-111111111111")
    assert again.status_code == 200, "a repeat makes nothing more"
    assert all(begin(admin, other).status_code == 200 for _ in range(4))

    assert editor.delete(first).status_code == 200
    assert begin(editor, one).status_code == 200
    assert_over(editor.post(f"{first}:restore", json={}), "runs_max")
    usage = editor.get(f"{one}/usage").json()
    assert (usage["runs"], usage["concurrent_runs"]) == (2, 2)

    etag = limit(admin, one, runs_max=3)["etag"]
    assert editor.post(f"{first}:restore", json={}).status_code == 200
    stale = admin.put(f"{one}/quota", json={"quota": {"runs_max": 9, "etag": str(int(etag) - 1)}})
    assert error(stale)["reason"] == "ETAG_MISMATCH"
    assert "runs_max" not in limit(admin, one), "no limit at all"
    assert all(begin(editor, one).status_code == 200 for _ in range(4))
    assert admin.get(f"{one}/usage", params={"as_of": "1"}).json().get("runs", 0) == 0, "as it was at the beginning"


def test_who_may_say_how_much_is_who_administers_the_organization(admin):
    name = project(admin, "whose-quota")
    quota = {"quota": {"runs_max": 1}}
    for role in ("viewer", "editor", "manager", "operator"):
        caller = account(admin, f"quota-{role}", f"roles/{role}", name)
        refused = caller.put(f"{name}/quota", json=quota)
        assert (refused.status_code, error(refused)["reason"]) == (403, "ACCESS_DENIED"), role
        assert caller.get(f"{name}/quota").status_code == 200, "but sees it"
    organizer = account(admin, "quota-org-admin", "roles/org-admin", "organizations/default")
    assert organizer.put(f"{name}/quota", json=quota).json()["runs_max"] == 1
    elsewhere = account(admin, "quota-elsewhere", "roles/manager", "projects/default")
    assert elsewhere.get(f"{name}/quota").status_code == 403 and elsewhere.get(f"{name}/usage").status_code == 403


def test_runs_at_work_are_limited_and_ending_one_frees(admin):
    name = project(admin, "limited-work", concurrent_runs_max=1)
    first = begin(admin, name).json()["name"]
    assert_over(begin(admin, name), "concurrent_runs_max")
    assert begin(admin, name, state="RUN_STATE_SCHEDULED").status_code == 200, "it waits, and is not at work"
    assert admin.post(f"{first}:finish", json={}).status_code == 200
    assert begin(admin, name).status_code == 200
    usage = admin.get(f"{name}/usage").json()
    assert (usage["runs"], usage["concurrent_runs"]) == (3, 1)


def test_bytes_are_limited_and_deleting_an_artifact_frees(admin):
    name = project(admin, "limited-bytes", storage_bytes_max=1000)
    run = begin(admin, name).json()["name"]

    def put(path: str, size: int):
        return admin.put(f"{run}/files/{path}", data=b"x" * size)

    assert put("a.bin", 600).status_code == 200
    assert assert_over(put("b.bin", 500), "storage_bytes_max")["used"] == "600"
    assert put("b.bin", 400).status_code == 200
    assert put("a.bin", 600).status_code == 200, "as much in its place takes no more"
    assert int(admin.get(f"{name}/usage").json()["storage_bytes"]) == 1000
    found = {artifact["path"]: artifact["name"] for artifact in admin.get(f"{run}/artifacts").json()["artifacts"]}
    assert admin.delete(found["a.bin"]).status_code == 200
    assert put("c.bin", 600).status_code == 200
    assert admin.delete(run).status_code == 200
    kept = admin.get(f"{name}/usage").json()
    assert (kept.get("runs", 0), int(kept["storage_bytes"])) == (0, 1000), "it can come back, with what it has"
    found = {artifact["path"]: artifact["name"] for artifact in admin.get(f"{run}/artifacts").json()["artifacts"]}
    assert admin.delete(found["b.bin"]).status_code == 200
    assert int(admin.get(f"{name}/usage").json()["storage_bytes"]) == 600
    run = begin(admin, name).json()["name"]
    assert put("e.bin", 400).status_code == 200
    sha256 = "0" * 64
    begun = admin.post(f"{run}/artifacts:beginUpload", json={"path": "d", "size_bytes": "1", "sha256": sha256})
    assert_over(begun, "storage_bytes_max")


def test_requests_are_limited_by_the_quota_of_the_project(admin):
    name, other = project(admin, "limited-requests"), project(admin, "free-requests")
    before = admin.get(f"{name}/runs").headers["ratelimit-policy"]
    assert limit(admin, name, requests_per_second=2)["requests_per_second"] == 2
    answers = [admin.get(f"{name}/runs") for _ in range(12)]
    assert answers[0].status_code == 200 and '"project";q=4;w=2' in answers[0].headers["ratelimit-policy"]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (error(refused)["reason"], error(refused)["context"]["limit"]) == ("RATE_LIMITED", "project")
    assert int(refused.headers["retry-after"]) >= 1, "here waiting helps"
    assert all(admin.get(f"{other}/runs").status_code == 200 for _ in range(12))
    time.sleep(1)
    limit(admin, name)
    assert admin.get(f"{name}/runs").headers["ratelimit-policy"] == before


def test_an_unmodified_mlflow_client_is_refused_at_once_with_the_reason(suite, admin):
    project(admin, "limited-mlflow", runs_max=1, storage_bytes_max=1000)
    told = subprocess.run(
        [sys.executable, HERE / "quota_story.py", "--uri", f"{suite.url}/projects/limited-mlflow", f"--token={suite.key}"],
        capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.strip() == "as it should be"


def test_the_command_line_sets_shows_and_compares(suite, admin):
    name = project(admin, "limited-cli")
    shown = suite.cli("projects", "quota", "limited-cli")
    assert shown.returncode == 0 and shown.stdout.count("no limit") == 4, shown.stdout
    set_ = suite.cli_json("projects", "quota", "limited-cli", "--runs-max", "3", "--storage-max", "10GiB", "--running-max", "2")
    assert (set_["runs_max"], set_["concurrent_runs_max"], set_["storage_bytes_max"]) == (3, 2, str(10 << 30))
    changed = suite.cli_json("projects", "quota", name, "--running-max", "none", "--requests-per-second", "500")
    assert changed["requests_per_second"] == 500 and changed["runs_max"] == 3 and "concurrent_runs_max" not in changed
    for _ in range(3):
        assert begin(admin, name).status_code == 200
    usage = suite.cli_json("projects", "usage", "limited-cli")
    assert usage["runs"] == 3 and usage["quota"]["runs_max"] == 3
    table = suite.cli("projects", "usage", "limited-cli").stdout
    assert "10.0 GiB" in table and "no limit" in table and "runs at work" in table, table
    wrong = suite.cli("projects", "quota", "limited-cli", "--storage-max", "10 gigs")
    assert wrong.returncode == 2 and "10GiB" in wrong.stderr
    manager = account(admin, "cli-manager", "roles/manager", name)
    key = manager.headers["Authorization"].removeprefix("Bearer ")
    assert suite.cli("projects", "quota", "limited-cli", "--runs-max", "9", key=key).returncode == 5
    assert suite.cli("projects", "quota", "limited-cli", key=key).returncode == 0


def test_an_import_stops_where_the_quota_ends_and_goes_on_where_it_is_raised(suite, admin, tmp_path):
    project(admin, "limited-import", runs_max=2)
    with corpus.genuine_server(tmp_path) as url:
        headers = {"Content-Type": "application/json"}
        for _ in range(4):
            made = admin.post(f"{url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0", "start_time": 1}, headers=headers)
            run = made.json()["run"]["info"]["run_id"]
            ended = {"run_id": run, "status": "FINISHED", "end_time": 2}
            assert admin.post(f"{url}/api/2.0/mlflow/runs/update", json=ended, headers=headers).ok
        take = ["--project", "limited-import", "import", "mlflow", "--from", url, "--jobs", "1"]
        began = time.monotonic()
        stopped = suite.cli("--json", *take)
        assert stopped.returncode != 0 and time.monotonic() - began < 60, stopped.stderr
        told = json.loads(stopped.stderr.strip().splitlines()[-1])["error"]
        assert told["reason"] == "QUOTA_EXCEEDED" and "runs_max" in told["message"], told
        assert admin.get("projects/limited-import/usage").json()["runs"] == 2
        limit(admin, "projects/limited-import", runs_max=4)
        done = suite.cli("--json", *take)
        assert done.returncode == 0, done.stderr
    assert admin.get("projects/limited-import/usage").json()["runs"] == 4
