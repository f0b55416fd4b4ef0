"""The HTTP edge: how it refuses, what it tells of itself, and how it answers twice, in pages and in streams."""

import base64
import json
import uuid

import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest
import requests

from api import Api, eventually
from suite import Suite

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
def test_metrics_speak_prometheus_and_openmetrics_as_prometheus_own_parsers_read_them_s4_112(api, accept, kind):
    assert api.get("projects/default").status_code == 200
    answer = api.get("metrics", headers={"Accept": accept})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
    parse = prometheus_client.parser if accept == "text/plain" else prometheus_client.openmetrics.parser
    families = {family.name: family for family in parse.text_string_to_metric_families(answer.text)}
    requests_ = families["cairn_http_requests"]
    assert requests_.type == "counter"
    methods = {sample.labels["method"]: sample.value for sample in requests_.samples if sample.name.endswith("_total")}
    assert methods["/cairn.auth.v1.ProjectService/GetProject"] >= 1
    durations = families["cairn_http_duration_seconds"]
    assert durations.type in ("histogram", "summary") and durations.samples
    assert (answer.text.splitlines()[-1] == "# EOF") == (accept != "text/plain"), "only OpenMetrics ends with a mark"


def test_the_contract_is_served_as_openapi_and_as_a_page_that_loads_nothing_from_elsewhere(stranger):
    document = stranger.get("/openapi.json").json()
    assert document["openapi"].startswith("3.") and "/api/v1/projects/{project}/experiments" in document["paths"]
    page = stranger.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def test_a_key_is_taken_as_bearer_and_as_basic_password_and_nothing_else_is(suite, stranger):
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


def test_a_refusal_is_explained_by_its_decision_id_s0_92(suite, api):
    name, viewer = account(api, "roles/viewer", "projects/default")
    answer = viewer.post("projects/default/experiments", json={"display_name": "not allowed"})
    context = refusal(answer, 403, "ACCESS_DENIED")
    # What is true by now is not what it rested on.
    api.make("bindings", {"binding": {"principal": name, "role": "roles/editor", "resource": "projects/default"}})
    explained = suite.cli_json("authz", "explain", context["decision_id"])
    assert explained["principal"] == name and explained["resource"] == "projects/default"
    assert explained["permission"] == "experiments.experiments.create"
    assert explained["denial"] == "DENIAL_NOT_GRANTED" and explained["request_id"] == context["request_id"]
    [grant] = explained["grants"]
    assert grant["role"] == "roles/viewer" and grant["resource"] == "projects/default"
    assert grant["covers_resource"] and not grant.get("holds_permission", False)
    assert 0 < int(explained["policy_position"]) < int(explained["position"])
    for_people = suite.cli("authz", "explain", context["decision_id"]).stdout
    assert all(word in for_people for word in (name, "experiments.experiments.create", "roles/viewer", "DENIAL_NOT_GRANTED"))
    refusal(viewer.get(f"decisions/{context['decision_id']}:explain"), 403, "ACCESS_DENIED")
    refusal(api.get("decisions/made-up:explain"), 404, "DECISION_NOT_FOUND")


def test_a_deleted_project_says_so_to_those_who_may_see_it(api):
    api.make("projects", {"project_id": "gone"})
    _, member = account(api, "roles/editor", "projects/gone")
    _, stranger = account(api, "roles/editor", "projects/default")
    api.delete("projects/gone")
    def create(caller, project):
        return caller.post(f"projects/{project}/experiments", json={"display_name": "late"})
    for caller in (api, member):
        assert refusal(create(caller, "gone"), 400, "PROJECT_DELETED")["project"] == "projects/gone"
    refusal(create(api, "never-was"), 404, "PROJECT_NOT_FOUND")
    for project in ("gone", "never-was"):
        refusal(create(stranger, project), 403, "ACCESS_DENIED")
    api.make("projects/gone:restore", {})
    assert create(member, "gone").status_code == 200


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


def test_a_patch_changes_what_its_body_names_and_clears_what_is_null(api):
    name = api.make("projects/default/experiments", {"display_name": f"patched {uuid.uuid4()}", "description": "old"})["name"]
    merge = {"Content-Type": "application/merge-patch+json"}
    assert api.patch(name, data='{"description": "new"}', headers=merge).json()["description"] == "new"
    assert "description" not in api.patch(name, data='{"description": null}', headers=merge).json()
    kept = api.patch(name, json={"description": "x", "display_name": "y"}, params={"update_mask": "description"}).json()
    assert kept["description"] == "x" and kept["display_name"] != "y", "the mask has the last word"
    problem = api.patch(name, json={"create_time": "2026-01-01T00:00:00Z"})
    assert refusal(problem, 400, "VALIDATION_ERROR")["field"] == "update_mask"
    for title in ("new", ""):
        project = api.patch("projects/default", json={"title": title})
        assert project.json().get("title", "") == title


def test_a_header_and_a_field_that_say_different_things_are_refused(api):
    title = f"torn {uuid.uuid4()}"
    both = api.post("projects/default/experiments", json={"display_name": title, "request_id": "r-1"},
                    headers={"Idempotency-Key": "r-2"})
    assert refusal(both, 400, "VALIDATION_ERROR")["field"] == "idempotency-key"
    made = api.make("projects/default/experiments", {"display_name": title})
    torn = api.patch(made["name"], json={"description": "x", "etag": made["etag"]}, headers={"If-Match": '"999"'})
    assert refusal(torn, 400, "VALIDATION_ERROR")["field"] == "if-match"
    stale = api.patch(made["name"], json={"description": "x", "etag": "999"})
    refusal(stale, 409, "ETAG_MISMATCH")


def lists(api: Api) -> list[tuple[str, dict]]:
    """Every list of the contract that asks for pages in its query, at a place that exists, and what it needs besides."""
    paths = api.get("/openapi.json").json()["paths"]
    run = api.run("listed")
    experiment = run.rsplit("/runs/", 1)[0]
    known = {"{project}": "default", "{experiment}": experiment.split("/")[-1], "{run}": run.split("/")[-1],
             "{user}": "admin", "{service_account}": "lists"}
    api.make("serviceAccounts", {"service_account_id": "lists"})
    found = []
    for path, kinds in paths.items():
        parameters = {parameter["name"] for parameter in kinds.get("get", {}).get("parameters", [])}
        if path.startswith("/api/v1/") and {"page_size", "page_token"} <= parameters:
            for parameter, value in known.items():
                path = path.replace(parameter, value)
            if "{" not in path:
                found.append((path, {"metric": "loss"} if "metric" in parameters else {}))
    return found


def test_every_list_keeps_the_same_manners_about_pages(api):
    found = lists(api)
    assert len(found) > 8, found
    foreign = api.get("projects", params={"page_size": 1}).json().get("next_page_token")
    if not foreign:
        api.make("projects", {"project_id": "for-another-page"})
        foreign = api.get("projects", params={"page_size": 1}).json()["next_page_token"]
    for path, needed in found:
        context = refusal(api.get(path, params={"page_size": -1, **needed}), 400, "VALIDATION_ERROR")
        assert context["field"] == "page_size", path
        assert api.get(path, params={"page_size": 2_000_000_000, **needed}).status_code == 200, path
        assert api.get(path, params={"page_size": 0, **needed}).status_code == 200, path
        for token in ["made-up", "%%", *([foreign] if path != "/api/v1/projects" else [])]:
            answer = api.get(path, params={"page_token": token, **needed})
            assert answer.status_code == 400, f"{path} takes {token!r}: {answer.text[:200]}"
            assert answer.json()["error"]["reason"] in ("VALIDATION_ERROR", "PAGE_TOKEN_INVALID"), path


def test_a_noisy_project_is_held_back_and_a_quiet_one_is_not_s4_90(cairn, tmp_path):
    """Per key, per method and per project, each over a door of its own; nobody waits for anybody else's noise."""
    limits = {"CAIRN__LIMITS__PROJECT_RATE_MAX": "20", "CAIRN__LIMITS__PROJECT_BURST_SECONDS": "1",
              "CAIRN__GATEWAY__CALLER_RATE_MAX": "1000000", "CAIRN__GATEWAY__METHOD_RATE_MAX": "1000000"}
    with Suite(cairn, tmp_path / "projects", limits) as suite:
        admin = Api(suite)
        for project in ("noisy", "quiet"):
            admin.make("projects", {"project_id": project})
        _, noisy = account(admin, "roles/viewer", "projects/noisy")
        _, quiet = account(admin, "roles/viewer", "projects/quiet")
        held_back = 0
        for at in range(400):
            answer = noisy.get("projects/noisy/experiments")
            if answer.status_code != 200:
                refusal(answer, 429, "RATE_LIMITED")
                assert int(answer.headers["retry-after"]) >= 1
                held_back += 1
            if at % 40 == 0:
                assert quiet.get("projects/quiet/experiments").status_code == 200
        assert held_back > 0
    for limit in ("CALLER", "METHOD"):
        env = {f"CAIRN__GATEWAY__{limit}_RATE_MAX": "10", "CAIRN__GATEWAY__BURST_SECONDS": "1"}
        with Suite(cairn, tmp_path / limit, env) as suite:
            admin = Api(suite)
            answers = [admin.get("projects") for _ in range(200)]
            assert {answer.status_code for answer in answers} == {200, 429}
            limited = next(answer for answer in answers if answer.status_code == 429)
            refusal(limited, 429, "RATE_LIMITED")
            assert int(limited.headers["retry-after"]) >= 1
            others = Api(suite, stranger=True).get("auth/whoami") if limit == "CALLER" else admin.get("roles")
            assert others.status_code == 200, "another caller, or another method, is not held back"


def test_each_request_has_one_line_that_leads_to_the_audit_log_and_hides_what_is_secret_s4_91(cairn, tmp_path):
    env = {"RUST_LOG": "info,cairn_service=debug", "CAIRN__TELEMETRY__LOG_FORMAT": "json"}
    with Suite(cairn, tmp_path / "data", env) as suite:
        admin = Api(suite)
        secret = admin.make("users/admin/apiKeys", {"api_key": {"title": "shown"}})["secret"]
        _, viewer = account(admin, "roles/viewer", "projects/default")
        asked = {}
        asked["allowed"] = admin.post("projects/default/experiments", json={"display_name": "logged"},
                                      headers={"x-request-id": "one-line"})
        asked["exchanged"] = admin.post("auth/token", json={"api_key": secret}, headers={"x-request-id": "hidden-line"})
        asked["denied"] = viewer.post("projects/default/experiments", json={"display_name": "no"},
                                      headers={"x-request-id": "denied-line"})
        asked["stranger"] = Api(suite, stranger=True).get("projects", headers={"x-request-id": "stranger-line"})
        asked["lost"] = admin.get("/nowhere", headers={"x-request-id": "lost-line"})
        assert [answer.status_code for answer in asked.values()] == [200, 200, 403, 401, 404]
        token = asked["exchanged"].json()["access_token"]
        records = eventually(lambda: admin.get("audit", params={"request_id": "one-line"}).json().get("audit_records"))
        suite.stop()
        text = suite.log.read_text()
    lines = {}
    for line in text.splitlines():
        fields = json.loads(line)
        lines.setdefault(fields.get("request_id"), []).append(fields)
    ids = ("one-line", "hidden-line", "denied-line", "stranger-line", "lost-line")
    assert {id: len(lines.get(id, [])) for id in ids} == dict.fromkeys(ids, 1)
    [allowed], [hidden], [denied] = lines["one-line"], lines["hidden-line"], lines["denied-line"]
    assert {record["decision_id"] for record in records} == {allowed["decision_id"]} and "logged" in allowed["request"]
    assert "[hidden]" in hidden["request"]
    assert denied["decision_id"] == asked["denied"].json()["error"]["context"]["decision_id"]
    for kept_quiet in (secret, token, suite.key, viewer.headers["Authorization"].split()[1]):
        assert kept_quiet not in text


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
