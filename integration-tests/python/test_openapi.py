"""What `/openapi.json` promises, held against the running program by generated calls.

Two rounds over every operation: with made-up names, which must be refused in the promised form, and with the names of
resources that exist, so that bodies and parameters reach the logic behind them.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from api import TIMEOUT_SECONDS, Api
from suite import Suite

load_all_checks()

CALLS_PER_OPERATION = 3
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]
# Streams without end, and bodies of raw bytes: tests of their own send these.
RAW = (":tail", ":watch", "/files/", "/objects/", "/mlflow-artifacts/", "upload-artifact", "/get-artifact")
# The same methods under their second name.
ALIAS = "/ajax-api/"
# Answers 501 on purpose: an upload that went past the server would leave no record.
WITHOUT_SUPPORT = "/mlflow/artifacts/presigned-upload-url"

# derandomize: the same calls each time, made from the names of the tests.
bounded = settings(max_examples=CALLS_PER_OPERATION, derandomize=True, database=None, deadline=None,
                   suppress_health_check=list(HealthCheck), phases=[Phase.generate])


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: generated calls change whatever they can."""
    with Suite(cairn, tmp_path_factory.mktemp("generated") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def schema(suite):
    return schemathesis.openapi.from_url(f"{suite.url}/openapi.json")


def operations(schema):
    for found in schema.get_all_operations():
        operation = found.ok()
        skipped = any(part in operation.path for part in (*RAW, ALIAS, WITHOUT_SUPPORT))
        if not skipped:
            yield operation


def hold(suite, operation, change=lambda case: None) -> list[tuple[str, int]]:
    """Makes the calls of one operation and checks each answer. Gives what was answered."""
    seen = []

    @bounded
    @given(operation.as_strategy())
    def call(case):
        change(case)
        answer = case.call(headers={"Authorization": f"Bearer {suite.key}"}, timeout=TIMEOUT_SECONDS)
        seen.append((operation.label, answer.status_code))
        case.validate_response(answer, checks=CHECKS)

    call()
    return seen


def faults_and_calls(suite, chosen, change=lambda case: None):
    faults, calls = [], []
    for operation in chosen:
        try:
            calls += hold(suite, operation, change)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the other operations are still to be called
            faults.append(f"{operation.label}: {fault} {[str(part) for part in getattr(fault, 'exceptions', [])]}")
    return faults, calls


def test_no_generated_call_breaks_the_server_or_its_promises(suite, schema):
    faults, calls = faults_and_calls(suite, operations(schema))
    assert not faults, "\n\n".join(faults)
    assert len(calls) > 200


def test_no_generated_call_on_resources_that_exist_breaks_the_server_or_its_promises(suite, schema):
    api = Api(suite)
    api.make("projects", {"project_id": "generated"})
    experiment = api.make("projects/generated/experiments", {"display_name": "generated"})["name"]
    run = api.make(f"{experiment}/runs", {"display_name": "generated"})["name"]
    api.make("serviceAccounts", {"service_account_id": "generated"})
    names = {"project": "generated", "experiment": experiment.split("/")[-1], "run": run.split("/")[-1],
             "service_account": "generated"}

    def name_what_exists(case):
        for parameter in case.path_parameters or {}:
            if parameter in names:
                case.path_parameters[parameter] = names[parameter]

    chosen = [operation for operation in operations(schema)
              if operation.method.upper() != "DELETE" and any(f"{{{name}}}" in operation.path for name in names)]
    faults, calls = faults_and_calls(suite, chosen, name_what_exists)
    assert not faults, "\n\n".join(faults)
    done = {label for label, status in calls if status == 200}
    assert len(done) > 20, f"the calls reached too little: {sorted(done)}"
    assert api.get(run).json()["name"] == run, "what was there before is there still"
