"""MLflow's surface and access: projects by header and by path, and what a viewer may not do."""

import pytest
import requests

MLFLOW = "api/2.0/mlflow"


def post(url: str, key: str, body: dict, **headers) -> requests.Response:
    return requests.post(url, json=body, headers={"Authorization": f"Bearer {key}", **headers}, timeout=30)


@pytest.fixture(scope="module")
def fraud(suite) -> str:
    """A project beside the default one."""
    made = post(f"{suite.url}/api/v1/projects", suite.key, {"project_id": "fraud", "project": {}})
    assert made.status_code == 200, made.text
    return "fraud"


def test_header_and_path_name_the_same_project_and_no_other(suite, fraud):
    made = post(f"{suite.url}/{MLFLOW}/experiments/create", suite.key, {"name": "secret"}, **{"X-MLFLOW-WORKSPACE": fraud})
    assert made.status_code == 200, made.text
    headers = {"Authorization": f"Bearer {suite.key}"}
    query = {"experiment_name": "secret"}
    below = requests.get(f"{suite.url}/projects/{fraud}/{MLFLOW}/experiments/get-by-name", params=query, headers=headers)
    assert below.json()["experiment"]["experiment_id"] == made.json()["experiment_id"]
    assert below.json()["experiment"]["workspace"] == fraud
    root = requests.get(f"{suite.url}/{MLFLOW}/experiments/get-by-name", params=query, headers=headers)
    assert (root.status_code, root.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    found = post(f"{suite.url}/{MLFLOW}/experiments/search", suite.key, {"max_results": 100})
    assert "secret" not in {experiment["name"] for experiment in found.json()["experiments"]}


def test_a_run_of_another_project_is_not_there(suite, fraud):
    below = f"{suite.url}/projects/{fraud}/{MLFLOW}"
    run = post(f"{below}/runs/create", suite.key, {"experiment_id": "0", "start_time": 1}).json()["run"]["info"]["run_id"]
    logged = post(f"{suite.url}/{MLFLOW}/runs/log-metric", suite.key, {"run_id": run, "key": "a", "value": 1, "timestamp": 1})
    assert (logged.status_code, logged.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert post(f"{below}/runs/log-metric", suite.key, {"run_id": run, "key": "a", "value": 1, "timestamp": 1}).ok


def test_a_stranger_and_an_unknown_project_are_refused(suite):
    stranger = requests.post(f"{suite.url}/{MLFLOW}/runs/search", json={"experiment_ids": ["0"]}, timeout=30)
    assert (stranger.status_code, stranger.json()["error_code"]) == (401, "UNAUTHENTICATED")
    nowhere = post(f"{suite.url}/projects/nowhere/{MLFLOW}/experiments/create", suite.key, {"name": "e"})
    assert (nowhere.status_code, nowhere.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), nowhere.text


def test_a_viewer_reads_and_changes_nothing(suite, fraud):
    api = f"{suite.url}/api/v1"
    account = post(f"{api}/serviceAccounts", suite.key, {"service_account_id": "mlflow-viewer", "service_account": {}})
    assert account.status_code == 200, account.text
    name = account.json()["name"]
    binding = {"principal": name, "role": "roles/viewer", "resource": f"projects/{fraud}"}
    bound = post(f"{api}/bindings", suite.key, {"binding": binding})
    assert bound.status_code == 200, bound.text
    made = post(f"{api}/{name}/apiKeys", suite.key, {"api_key": {}})
    assert made.status_code == 200, made.text
    key = made.json()["secret"]

    below = f"{suite.url}/projects/{fraud}/{MLFLOW}"
    run = post(f"{below}/runs/create", suite.key, {"experiment_id": "0", "start_time": 1}).json()["run"]["info"]["run_id"]
    assert post(f"{below}/runs/search", key, {"experiment_ids": ["0"]}).status_code == 200
    for path, body in [
        ("runs/create", {"experiment_id": "0", "start_time": 1}),
        ("runs/log-metric", {"run_id": run, "key": "a", "value": 1, "timestamp": 1}),
        ("runs/delete", {"run_id": run}),
        ("experiments/create", {"name": "v"}),
    ]:
        refused = post(f"{below}/{path}", key, body)
        assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED"), (path, refused.text)
    proxy = f"{suite.url}/projects/{fraud}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/a.txt"
    refused = requests.put(proxy, data=b"x", headers={"Authorization": f"Bearer {key}"}, timeout=30)
    assert refused.status_code == 403, refused.text
    # Whoever may see only one project is not told which others there are.
    for project in ("nowhere", "default"):
        refused = post(f"{suite.url}/projects/{project}/{MLFLOW}/runs/search", key, {"experiment_ids": ["0"]})
        assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED"), refused.text
    # And nothing at all outside of its project.
    elsewhere = post(f"{suite.url}/{MLFLOW}/runs/search", key, {"experiment_ids": ["0"]})
    assert elsewhere.status_code == 403, elsewhere.text
