"""What `/openapi.json` promises, held against the running program by generated calls.

Every operation is called with data that fits its description and with data that does not, and once more with the names
of resources that exist, so that bodies and parameters reach the logic behind them.
"""

import collections
import re

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (content_type_conformance, response_schema_conformance,
                                               status_code_conformance)

from api import TIMEOUT_SECONDS, Api
from suite import Suite

load_all_checks()

CALLS_MIN = 2000
CALLS_PER_OPERATION = {GenerationMode.POSITIVE: 4, GenerationMode.NEGATIVE: 5}
CALLS_ON_EXISTING = 10
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance, content_type_conformance]
# The same methods under their second name: what does not fit them is refused in the same place.
ALIAS = "/ajax-api/"
# Streams without end: what they begin with is checked, and then they are left.
ENDLESS = (":tail", ":watch")


def bounded(calls: int) -> settings:
    """derandomize: the same calls each time, made from the names of the tests."""
    return settings(max_examples=calls, derandomize=True, database=None, deadline=None,
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
    return [found.ok() for found in schema.get_all_operations()]


def begin(case, headers) -> int:
    """Calls an endless stream, checks what it begins with, and leaves."""
    asked = case.as_transport_kwargs(headers=headers)
    with requests.request(**asked, stream=True, timeout=TIMEOUT_SECONDS) as answer:
        documented = case.operation.definition.raw["responses"][str(answer.status_code)]
        if "$ref" in documented:
            name = documented["$ref"].removeprefix("#/components/responses/")
            documented = case.operation.schema.raw_schema["components"]["responses"][name]
        assert answer.headers["content-type"].split(";")[0] in documented["content"], answer.headers
        return answer.status_code


def takes_anything(parameter) -> bool:
    """Whether there is no path that would not do."""
    return parameter["in"] == "path" and parameter["schema"].get("pattern") == "^[^/]+(/[^/]+)*$"


class Calls:
    """Makes generated calls, and keeps what was answered and what was wrong with it."""

    def __init__(self, suite):
        self.headers = {"Authorization": f"Bearer {suite.key}"}
        self.answered = collections.Counter()
        self.faults: list[str] = []

    def make(self, operation, mode: GenerationMode, count: int, change=lambda case: None):
        @bounded(count)
        @given(operation.as_strategy(generation_mode=mode))
        def call(case):
            change(case)
            self.answered[operation.label, self.answer(case)] += 1

        try:
            call()
        except Unsatisfiable:
            # Nothing that is asked here can be asked wrongly.
            asked = operation.definition.raw["parameters"]
            assert mode == GenerationMode.NEGATIVE and all(map(takes_anything, asked)), operation.label
        except (Exception, BaseExceptionGroup) as fault:  # noqa: BLE001 - whatever it is, the other operations are still to be called
            parts = [str(part) for part in getattr(fault, "exceptions", [])]
            self.faults.append(f"{operation.label} ({mode.value}): {fault} {parts}")

    def answer(self, case) -> int:
        if case.operation.path.endswith(ENDLESS):
            return begin(case, self.headers)
        answer = case.call(headers=self.headers, timeout=TIMEOUT_SECONDS)
        # Where MLflow has something that Cairn has not, the description says so.
        is_refusal = answer.status_code == 501 and "501" in case.operation.definition.raw["responses"]
        case.validate_response(answer, checks=CHECKS[1:] if is_refusal else CHECKS)
        return answer.status_code


def resources(api: Api) -> dict[str, str]:
    """Something of each kind, by the parameter that names it."""
    api.make("projects", {"project_id": "generated"})
    experiment = api.make("projects/generated/experiments", {"display_name": "generated"})["name"]
    run = api.make(f"{experiment}/runs", {"display_name": "generated"})["name"]
    api.make("serviceAccounts", {"service_account_id": "generated"})
    user = api.make("users", {"user": {"display_name": "generated"}})["name"]
    names = {"experiment": experiment, "run": run, "user": user}
    return {"project": "generated", "service_account": "generated",
            **{parameter: name.split("/")[-1] for parameter, name in names.items()}}


def test_no_generated_call_breaks_the_server_or_its_promises_s0_7(suite, schema):
    calls, api = Calls(suite), Api(suite)
    every = operations(schema)
    for operation in every:
        for mode, count in CALLS_PER_OPERATION.items():
            if mode == GenerationMode.POSITIVE or ALIAS not in operation.path:
                calls.make(operation, mode, count)

    names = resources(api)

    def name_what_exists(case):
        for parameter in case.path_parameters or {}:
            if parameter in names:
                case.path_parameters[parameter] = names[parameter]

    for operation in every:
        if operation.method.upper() != "DELETE" and any(f"{{{name}}}" in operation.path for name in names):
            calls.make(operation, GenerationMode.POSITIVE, CALLS_ON_EXISTING, name_what_exists)

    assert not calls.faults, f"{len(calls.faults)} faults:\n\n" + "\n\n".join(calls.faults)
    assert calls.answered.total() >= CALLS_MIN
    assert {label for label, _ in calls.answered} == {operation.label for operation in every}
    done = {label for label, status in calls.answered if status == 200}
    assert len(done) > 60, f"the calls reached too little: {sorted(done)}"
    assert api.get("auth/whoami").json()["principal"] == "users/admin", "and who called may still come in"


def test_every_route_is_listed_and_answers_s0_5(suite, schema):
    """A route that is not there says so with a reason of its own, whatever the resource."""
    api = Api(suite)
    document = api.get("/openapi.json").json()
    listed = {operation["x-cairn"]["method"] for path in document["paths"].values() for operation in path.values()}
    assert listed == rpcs(suite), "the description lists every method of the contract, and no other"
    for path, kinds in document["paths"].items():
        for verb in kinds:
            asked = re.sub(r"\{[^}]*\}", "x1", path)
            with api.request(verb.upper(), asked, data=b"", stream=True) as answer:
                is_json = answer.headers.get("content-type", "") == "application/json"
                text = answer.text if is_json else ""
                assert answer.status_code != 405 and "ROUTE_NOT_FOUND" not in text, f"{verb} {asked}: {text}"
    assert "ROUTE_NOT_FOUND" in api.get("projects/x1/nowhere").text


def rpcs(suite) -> set[str]:
    """Every method of the contract, as the running program tells by reflection."""
    import grpc
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    from test_grpc import WithKey

    with grpc.insecure_channel(suite.grpc.removeprefix("http://")) as plain:
        reflection = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(plain, WithKey(suite.key)))
        pool = DescriptorPool(reflection)
        services = [name for name in reflection.get_services() if name.startswith("cairn.")]
        return {f"{name}/{method.name}" for name in services for method in pool.FindServiceByName(name).methods}
