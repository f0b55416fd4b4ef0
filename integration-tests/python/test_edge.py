"""The HTTP edge: how it refuses, what it tells of itself, and how it answers twice, in pages and in streams."""

import base64
import json
import uuid

import pytest
import requests

from api import Api, eventually

BODY_BYTES_MAX = 16 << 20


@pytest.fixture(scope="module")
def api(suite) -> Api:
    return Api(suite)


@pytest.fixture(scope="module")
def stranger(suite) -> Api:
    return Api(suite, stranger=True)


def refusal(answer: requests.Response, status: int, reason: str) -> dict:
    """Checks the form that every refusal has, and gives its context."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error["code"] == status and error["reason"] == reason, error
    assert error["message"] and error["message"] == error["message"].strip()
    assert len(error["trace_id"]) == 32 and int(error["trace_id"], 16)
    assert error["context"]["request_id"] == answer.headers["x-request-id"]
    assert error["details"][0]["reason"] == reason
    return error["context"]


def test_the_process_tells_of_its_health_to_everybody_s3_37_s3_38_s4_113(stranger):
    health = stranger.get("health").json()
    assert health["status"] in ("healthy", "degraded") and health["is_live"] and health["is_ready"]
    assert {"storage", "disk", "memory", "views"} <= {component["name"] for component in health["components"]}
    assert stranger.get("health/live").status_code == 200
    assert stranger.get("health/ready").status_code == 200
    assert stranger.get("/health").text == "OK", "as MLflow's own clients ask"


@pytest.mark.parametrize("accept, kind", [("text/plain", "text/plain; version=0.0.4"),
                                          ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0")])
def test_metrics_speak_prometheus_and_openmetrics(api, accept, kind):
    assert api.get("projects/default").status_code == 200
    answer = api.get("metrics", headers={"Accept": accept})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
    lines = answer.text.splitlines()
    assert any(line.startswith("cairn_http_requests_total{") and "GetProject" in line for line in lines)
    assert (lines[-1] == "# EOF") == (accept != "text/plain"), "only OpenMetrics ends with a mark"


def test_the_contract_is_served_as_openapi_and_as_a_page_that_loads_nothing_from_elsewhere(stranger):
    document = stranger.get("/openapi.json").json()
    assert document["openapi"].startswith("3.") and "/api/v1/projects/{project}/experiments" in document["paths"]
    page = stranger.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def test_a_key_is_taken_as_bearer_and_as_basic_password_and_nothing_else_is_s0_91(suite, stranger):
    assert stranger.get("auth/whoami", headers={"Authorization": basic(suite.key)}).json()["principal"] == "users/admin"
    assert stranger.get("auth/whoami", headers={"Authorization": f"Bearer {suite.key}"}).json()["principal"] == "users/admin"
    for header, reason in [(None, "CREDENTIAL_MISSING"), ("Bearer wrong", "CREDENTIAL_INVALID"),
                           (basic("wrong"), "CREDENTIAL_INVALID"), (f"Bearer {suite.key[:-1]}", "CREDENTIAL_INVALID")]:
        answer = stranger.get("projects", headers={"Authorization": header} if header else {})
        refusal(answer, 401, reason)
        assert "Bearer" in answer.headers["www-authenticate"]
        assert suite.key[:-1] not in answer.text, "a credential never comes back"


def account(api: Api, role: str, resource: str) -> tuple[str, Api]:
    """A fresh service account with a role, and a session with its key."""
    name = "serviceAccounts/" + "a" + uuid.uuid4().hex[:12]
    api.make("serviceAccounts", {"service_account_id": name.split("/")[1]})
    api.make("bindings", {"binding": {"principal": name, "role": role, "resource": resource}})
    return name, Api(api.suite, api.make(f"{name}/apiKeys", {})["secret"])


def test_what_is_forbidden_names_its_decision_and_stands_in_the_audit_log(api):
    name, viewer = account(api, "roles/viewer", "projects/default")
    assert viewer.get("projects/default/experiments/0").status_code == 200
    answer = viewer.post("projects/default/experiments", json={"display_name": "not allowed"})
    context = refusal(answer, 403, "ACCESS_DENIED")
    assert context["permission"] == "experiments.experiments.create"
    asked = {"principal": name, "request_id": context["request_id"]}
    [record] = eventually(lambda: api.get("audit", params=asked).json().get("audit_records"))
    assert record["decision_id"] == context["decision_id"]
    assert record["outcome"] == "OUTCOME_DENIED"
    assert record["action"] == "experiments.experiments.create"


def test_a_foreign_project_cannot_be_told_from_one_that_does_not_exist(api):
    api.make("projects", {"project_id": "foreign"})
    _, viewer = account(api, "roles/viewer", "projects/default")
    def seen(project):
        error = viewer.get(f"projects/{project}/experiments").json()
        return json.dumps(error.get("error", {}).get("message", error)).replace(project, "")
    assert seen("foreign") == seen("nowhere")
    assert [project["name"] for project in viewer.get("projects").json()["projects"]] == ["projects/default"]


def test_every_refusal_has_code_reason_message_context_and_trace_s3_41(api):
    refusal(api.get("/nowhere"), 404, "ROUTE_NOT_FOUND")
    refusal(api.get("users/nobody"), 404, "USER_NOT_FOUND")
    wrong_verb = api.patch("projects", json={})
    assert refusal(wrong_verb, 405, "METHOD_NOT_ALLOWED")["allow"] == wrong_verb.headers["allow"]
    assert "POST" in wrong_verb.headers["allow"] and "PATCH" not in wrong_verb.headers["allow"]
    refusal(api.post("projects", data="project_id=x", headers={"Content-Type": "text/plain"}), 415, "UNSUPPORTED_MEDIA_TYPE")
    refusal(api.post("projects", data="{", headers={"Content-Type": "application/json"}), 400, "VALIDATION_ERROR")
    assert refusal(api.post("projects", json={"nonsense": 1}), 400, "VALIDATION_ERROR")["field"] == "nonsense"
    assert refusal(api.get("projects", params={"nonsense": 1}), 400, "VALIDATION_ERROR")["field"] == "nonsense"
    assert refusal(api.get("projects", params={"page_token": "made-up"}), 400, "VALIDATION_ERROR")["field"] == "page_token"


def test_a_body_over_the_limit_is_refused_with_the_limit(api):
    answer = api.post("projects", data=b" " * (BODY_BYTES_MAX + 1), headers={"Content-Type": "application/json"})
    assert refusal(answer, 413, "REQUEST_TOO_LARGE")["bytes_max"] == str(BODY_BYTES_MAX)


def test_a_trace_begun_elsewhere_goes_on(api):
    trace = uuid.uuid4().hex
    answer = api.get("users/nobody", headers={"traceparent": f"00-{trace}-{'1' * 16}-01"})
    assert answer.json()["error"]["trace_id"] == trace


def test_a_repeated_request_is_answered_again_and_done_once(api):
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    title = f"once {headers['Idempotency-Key']}"
    first, again = (api.post("projects/default/experiments", json={"display_name": title}, headers=headers) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json() and first.headers["cairn-position"] == again.headers["cairn-position"]
    other = api.post("projects/default/experiments", json={"display_name": f"{title}, changed"}, headers=headers)
    refusal(other, 409, "REQUEST_ID_REUSED")
    without = api.post("projects/default/experiments", json={"display_name": title})
    refusal(without, 409, "EXPERIMENT_EXISTS")


def test_a_change_of_what_somebody_else_changed_meanwhile_is_refused(api):
    made = api.post("projects/default/experiments", json={"display_name": f"etag {uuid.uuid4()}"})
    name, etag = made.json()["name"], made.headers["etag"]
    assert etag == f'"{made.json()["etag"]}"'
    mine = api.patch(name, json={"description": "mine"}, headers={"If-Match": etag})
    assert mine.status_code == 200 and mine.headers["etag"] != etag, mine.text
    refusal(api.patch(name, json={"description": "theirs"}, headers={"If-Match": etag}), 412, "ETAG_MISMATCH")
    assert api.get(name).json()["description"] == "mine"


def test_a_list_is_read_in_pages_to_its_end_without_gap_or_repeat(api):
    api.make("projects", {"project_id": "paged"})
    made = {api.make("projects/paged/experiments", {"display_name": f"page {n}"})["name"] for n in range(7)}
    pages = api.pages("projects/paged/experiments", "experiments", page_size=3)
    assert all(len(page) <= 3 for page in pages) and len(pages) >= 3
    names = [experiment["name"] for page in pages for experiment in page]
    assert len(names) == len(set(names)) and made <= set(names)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_the_log_streams_as_events_and_as_lines(api, accept):
    with api.get("events:tail", params={"after_position": 0}, headers={"Accept": accept}, stream=True) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(accept)
        positions = []
        for line in answer.iter_lines():
            text = line.decode().removeprefix("data: ") if accept == "text/event-stream" else line.decode()
            if text.startswith("{") and "position" in (event := json.loads(text)):
                positions.append(int(event["position"]))
            if len(positions) == 5:
                break
    assert positions == [1, 2, 3, 4, 5]


def test_the_points_of_a_run_are_watched_as_they_come(api):
    run = api.run("watched")
    api.make(f"{run}:logBatch", {"batch_id": "a", "metrics": [{"key": "loss", "value": 2, "step": "1"}]})
    with api.get(f"{run}/metricPoints:watch", headers={"Accept": "application/x-ndjson"}, stream=True) as answer:
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        values = []
        for told in lines:
            values += [point["value"] for point in told.get("points", [])]
            if values == [2.0]:
                api.make(f"{run}:logBatch", {"batch_id": "b", "metrics": [{"key": "loss", "value": 1, "step": "2"}]})
                break
        for told in lines:
            values += [point["value"] for point in told.get("points", [])]
            if len(values) == 2:
                break
    assert values == [2.0, 1.0]


def test_a_read_after_the_position_of_a_write_shows_it(api):
    title = f"after {uuid.uuid4()}"
    written = api.post("projects/default/experiments", json={"display_name": title})
    position = written.headers["cairn-position"]
    answer = api.get("projects/default/experiments", params={"page_size": 1000}, headers={"cairn-after": position})
    assert title in [experiment["display_name"] for experiment in answer.json()["experiments"]]
    assert api.get("projects/default/experiments", headers={"cairn-after": "soon"}).status_code == 400


def test_a_batch_sent_twice_is_kept_once_and_another_under_its_name_is_refused_s1_42_s1_43_s1_44(api):
    run, other = api.run("batches"), api.run("batches beside")
    batch = {"batch_id": "b1", "metrics": [{"key": "loss", "value": 1.5, "step": "1"}], "params": {"lr": "0.1"},
             "tags": {"stage": "dev"}}
    first = api.make(f"{run}:logBatch", batch)
    again = api.make(f"{run}:logBatch", batch)
    assert again == {**first, "replayed": True}
    conflict = api.post(f"{run}:logBatch", json={**batch, "metrics": [{"key": "loss", "value": 9, "step": "1"}]})
    assert conflict.status_code == 409, conflict.text
    points = api.get(f"{run}/metricPoints", params={"metric": "loss"}).json()["points"]
    assert [point["value"] for point in points] == [1.5]
    assert api.make(f"{other}:logBatch", batch)["batch_id"] == "b1", "the name belongs to its run alone"
