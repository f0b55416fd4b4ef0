"""The gRPC door, entered by grpcio as it is published: reflection tells it everything, no generated code."""

import time

import grpc
import pytest
import requests
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from api import Api

CALL_SECONDS_MAX = 10
REVOKED_WITHIN_SECONDS = 1.0
LIST_EXPERIMENTS = "/cairn.experiments.v1.ExperimentService/ListExperiments"


class WithKey(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Adds a key to every call, as grpcio's own documentation shows it."""

    def __init__(self, key: str):
        self.metadata = [("authorization", f"Bearer {key}")]

    def keyed(self, details):
        return details._replace(metadata=[*(details.metadata or []), *self.metadata])

    def intercept_unary_unary(self, call, details, request):
        return call(self.keyed(details), request)

    def intercept_stream_stream(self, call, details, requests_):
        return call(self.keyed(details), requests_)


class Door:
    """A channel with a key, and the methods that reflection tells of."""

    def __init__(self, suite, key: str):
        self.plain = grpc.insecure_channel(suite.grpc.removeprefix("http://"))
        self.channel = grpc.intercept_channel(self.plain, WithKey(key))
        self.reflection = ProtoReflectionDescriptorDatabase(self.channel)

    def list_experiments(self, parent: str = "projects/default", channel=None):
        service, method = LIST_EXPERIMENTS[1:].split("/")
        described = DescriptorPool(self.reflection).FindServiceByName(service).FindMethodByName(method)
        return self.caller(described, channel)(GetMessageClass(described.input_type)(parent=parent), timeout=CALL_SECONDS_MAX)

    def caller(self, described, channel=None):
        return (channel or self.channel).unary_unary(
            LIST_EXPERIMENTS,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString)


@pytest.fixture
def door(suite):
    door = Door(suite, suite.key)
    yield door
    door.plain.close()


def test_reflection_lists_every_service_of_the_contract_s1_3(door):
    services = set(door.reflection.get_services())
    assert {"cairn.auth.v1.AccessService", "cairn.experiments.v1.ExperimentService", "cairn.experiments.v1.RunService",
            "cairn.experiments.v1.ArtifactService", "cairn.ledger.v1.LedgerService"} <= services, services


def test_a_genuine_client_calls_what_reflection_described_and_sees_what_rest_shows_s1_3(suite, door):
    made = Api(suite).make("projects/default/experiments", {"display_name": "seen over grpc", "tags": {"door": "both"}})
    answer = door.list_experiments()
    [seen] = [experiment for experiment in answer.experiments if experiment.name == made["name"]]
    assert seen.display_name == "seen over grpc"
    assert dict(seen.tags) == {"door": "both"}


def test_without_a_key_nobody_comes_in_over_grpc_s1_5(door):
    with pytest.raises(grpc.RpcError) as refused:
        door.list_experiments(channel=door.plain)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as refused:
        ProtoReflectionDescriptorDatabase(door.plain).get_services()
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_what_does_not_exist_is_answered_in_grpcs_own_terms_s1_3(door):
    unknown = door.channel.unary_unary("/cairn.experiments.v1.ExperimentService/Dance")
    with pytest.raises(grpc.RpcError) as refused:
        unknown(b"", timeout=CALL_SECONDS_MAX)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_one_key_opens_both_doors_and_revoked_it_opens_neither_within_a_second_s1_3_s1_5(suite):
    admin = Api(suite)
    admin.make("serviceAccounts", {"service_account_id": "both-doors"})
    admin.make("bindings", {"binding": {"principal": "serviceAccounts/both-doors", "role": "roles/viewer",
                                        "resource": "projects/default"}})
    made = admin.make("serviceAccounts/both-doors/apiKeys", {})
    name, key = made["name"], made["secret"]
    door = Door(suite, key)
    parent = f"{suite.url}/api/v1/projects/default/experiments"
    headers = {"Authorization": f"Bearer {key}"}
    assert requests.get(parent, headers=headers).status_code == 200
    assert len(door.list_experiments().experiments) > 0

    described = DescriptorPool(door.reflection).FindServiceByName("cairn.experiments.v1.ExperimentService")
    method = described.FindMethodByName("ListExperiments")
    call, request = door.caller(method), GetMessageClass(method.input_type)(parent="projects/default")
    admin.make(f"{name}:revoke", {})
    revoked = time.monotonic()
    rest = over_grpc = None
    while (rest, over_grpc) != (401, grpc.StatusCode.UNAUTHENTICATED):
        assert time.monotonic() - revoked < REVOKED_WITHIN_SECONDS, f"still let in: {rest}, {over_grpc}"
        rest = requests.get(parent, headers=headers).status_code
        try:
            call(request, timeout=CALL_SECONDS_MAX)
            over_grpc = grpc.StatusCode.OK
        except grpc.RpcError as error:
            over_grpc = error.code()
    door.plain.close()
