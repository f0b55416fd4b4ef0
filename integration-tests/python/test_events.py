"""Changes as others read them: server-sent events that are taken up again, and CloudEvents read by the genuine library."""

import csv
import io
import json
import secrets
from contextlib import contextmanager

import pytest
from cloudevents.core.formats.json import JSONFormat

from api import Api

RUNS = 12


@pytest.fixture(scope="module")
def api(suite) -> Api:
    return Api(suite)


@pytest.fixture
def project(api) -> str:
    """One that nobody else works in."""
    return api.make("projects", {"project_id": f"sse-{secrets.token_hex(6)}"})["name"]


def run(api: Api, project: str, title: str) -> str:
    return api.make(f"{project}/experiments/0/runs", {"display_name": title})["name"]


@contextmanager
def events(api: Api, path: str, last: str | None = None, **params):
    """A plain reader of server-sent events: each as its id and its data, as the standard says to read them."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    with api.get(path, params=params, headers=headers, stream=True) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Accel-Buffering"] == "no"

        def read():
            event = {}
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                if not line:
                    yield event
                    event = {}
                elif not line.startswith(":"):
                    field, _, value = line.partition(": ")
                    event[field] = value

        yield read()


def test_a_reader_of_events_that_is_cut_off_loses_and_repeats_nothing(api, project):
    wanted = {"resource": project, "type": "RunCreated"}
    with events(api, "events:tail", **wanted) as stream:
        beginning = next(stream)
    assert int(beginning["retry"]) > 0 and "data" not in beginning
    # Nothing has come, and still the place is known: what happens meanwhile is not lost.
    last, seen, made = beginning["id"], [], []
    for number in range(RUNS):
        made.append(run(api, project, f"run {number}"))
        if number % 3 == 2:
            with events(api, "events:tail", last, **wanted) as stream:
                next(stream)
                for _ in range(2 if number < RUNS - 1 else RUNS - len(seen)):
                    event = next(stream)
                    told = json.loads(event["data"])
                    assert event["id"] == told["position"]
                    last = event["id"]
                    seen.append(told["resource"])
    assert seen == made


def test_an_error_ends_events_by_name(suite, api, project):
    account = f"serviceAccounts/reader-{project.rsplit('-', 1)[1]}"
    api.make("serviceAccounts", {"service_account_id": account.split("/")[1]})
    binding = {"principal": account, "role": "roles/manager", "resource": project}
    binding = api.make("bindings", {"binding": binding})["name"]
    reader = Api(suite, api.make(f"{account}/apiKeys", {"api_key": {}})["secret"])
    with events(reader, "events:tail", resource=project) as stream:
        next(stream)
        assert api.delete(binding).ok
        run(api, project, "unseen")
        last = [event for event in stream][-1]
    assert last["event"] == "error" and json.loads(last["data"])["error"]["reason"] == "ACCESS_DENIED"


def test_metrics_are_taken_up_again_where_they_were_cut_off(api, project):
    watched = run(api, project, "watched")
    path = f"{watched}/metricPoints:watch"

    def log(step: int):
        metric = {"key": "loss", "value": 1, "step": str(step)}
        api.make(f"{watched}:logBatch", {"batch_id": str(step), "metrics": [metric]})

    def first(last: str | None):
        with events(api, path, last) as stream:
            for event in stream:
                points = json.loads(event.get("data", "{}")).get("points", [])
                if points:
                    return event["id"], [int(point.get("step", 0)) for point in points]

    log(1)
    place, steps = first(None)
    assert steps == [1]
    log(2)
    assert first(place)[1] == [2]


def test_cloud_events_are_what_the_genuine_library_reads(suite, api, project):
    made = run(api, project, "told")
    done = suite.cli("events", "export", "--format", "cloudevents", "--resource", project)
    assert done.returncode == 0, done.stderr
    told = [JSONFormat().read(None, line) for line in done.stdout.splitlines()]
    event = next(event for event in told if event.get_type().endswith("RunCreated"))
    assert event.get_specversion() == "1.0" and event.get_subject() == made
    assert event.get_source().startswith("https://cairn.invalid/") and event.get_time().tzinfo
    assert event.get_datacontenttype() == "application/json" and event.get_data()["display_name"] == "told"
    extension = event.get_extension
    assert extension("project") == project and extension("principal").startswith("users/")
    assert extension("partitionkey").startswith("experiments.run-") and int(extension("position")) > 0
    assert extension("traceparent").startswith("00-")
    assert len({event.get_id() for event in told}) == len(told)

    rest = api.get("cloudEvents", params={"resource": project, "after_position": told[0].get_extension("position")})
    assert [json.loads(line)["id"] for line in rest.text.splitlines()] == [event.get_id() for event in told[1:]]

    records = suite.cli("audit", "export", "--format", "cloudevents", "--resource", project)
    assert records.returncode == 0, records.stderr
    records = [JSONFormat().read(None, line) for line in records.stdout.splitlines()]
    assert {record.get_source() for record in records} == {event.get_source() + "/audit"}
    assert made in {record.get_data()["resource"] for record in records}


def test_an_export_has_the_same_events_in_every_format(suite, api, project):
    run(api, project, "counted")

    def export(format: str) -> str:
        done = suite.cli("events", "export", "--format", format, "--resource", project)
        assert done.returncode == 0, done.stderr
        return done.stdout

    lines = [json.loads(line)["position"] for line in export("jsonl").splitlines()]
    rows = [row["position"] for row in csv.DictReader(io.StringIO(export("csv")))]
    told = [json.loads(line)["position"] for line in export("cloudevents").splitlines()]
    assert lines == rows == told and lines == sorted(lines, key=int) and len(lines) > 1


def test_records_are_found_by_words_of_names(suite, api, project):
    word = project.rsplit("-", 1)[1]
    made = run(api, project, "found")
    found = suite.cli_json("audit", "list", "--query", f"{word[:10].upper()} create run")
    assert made in {record["resource"] for record in found} and all(project in record["resource"] for record in found)
    for number in range(70):
        api.make("serviceAccounts", {"service_account_id": f"crowd{word}{number}"})
    answer = api.get("audit", params={"query": f"crowd{word}"})
    assert answer.status_code == 400 and answer.json()["error"]["reason"] == "QUERY_TOO_BROAD"
