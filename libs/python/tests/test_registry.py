"""What the registry sends and makes of answers, where a real server would not do: refusals, lost answers, odd names."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

import cairn
from cairn.registry import ModelVersion, Stage
from cairn.registry.files import fetch

MODEL = {"name": "projects/fraud/models/m", "display_name": "m", "etag": "3"}


def asked(server) -> list[tuple[str, str]]:
    return [(verb, path.partition("?")[0].removeprefix("/api/v1/projects/fraud/")) for verb, path, _, _ in server.asked]


def test_what_was_sent_for_a_version_that_is_refused_is_deleted_again(server, client, tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"x")
    kept = "projects/fraud/experiments/0/loggedModels/m-1"
    server.answer(200, {"registered_models": []})
    server.answer(200, {"name": kept})
    server.answer(200, {}, times=2)
    server.answer(200, MODEL)
    server.refuse(400, "FAILED_PRECONDITION", "REGISTRATION_REJECTED", hook="projects/fraud/hooks/h", digest="d")
    server.answer(200, {"artifacts": [{"name": f"{kept}/artifacts/a"}]})
    with pytest.raises(cairn.RegistrationRejected) as raised:
        client.registry.register("m", tmp_path / "model.pkl", tags={"a": "b"})
    assert (raised.value.context["hook"], raised.value.context["digest"]) == ("projects/fraud/hooks/h", "d")
    assert asked(server)[2:] == [
        ("PUT", "experiments/0/loggedModels/m-1/files/model.pkl"), ("POST", "experiments/0/loggedModels/m-1:finalize"),
        ("POST", "models"), ("POST", "models/m/versions"), ("GET", "experiments/0/loggedModels/m-1/artifacts"),
        ("DELETE", "experiments/0/loggedModels/m-1/artifacts/a"), ("DELETE", "experiments/0/loggedModels/m-1"),
        ("DELETE", "models/m")]
    assert server.asked[-1][1].endswith("?etag=3")


def test_what_may_have_become_a_version_keeps_its_files(server, time, tmp_path):
    client = cairn.Client(server.url, "a-key-of-nobody", "fraud", retry=cairn.NEVER)
    (tmp_path / "model.pkl").write_bytes(b"x")
    server.answer(200, {"registered_models": [MODEL]})
    server.answer(200, {"name": "projects/fraud/experiments/0/loggedModels/m-1"})
    server.answer(200, {}, times=2)
    server.reset()
    with pytest.raises(cairn.Unavailable):
        client.registry.register("m", tmp_path / "model.pkl")
    assert "DELETE" not in [verb for verb, *_ in server.asked]


@pytest.mark.parametrize("name, filter", [("a b", "name = 'a b'"), ("it's", 'name = "it\'s"'), ("'\"", "")])
def test_a_model_is_found_by_what_people_call_it_whatever_its_quotes(server, client, name, filter):
    other = {**MODEL, "display_name": "another"}
    server.answer(200, {"registered_models": [other, {**MODEL, "display_name": name}]})
    assert client.registry.get_model(name).name == name
    assert parse_qs(urlsplit(server.asked[0][1]).query).get("filter", [""]) == [filter]


def test_arguments_that_mean_nothing_are_refused_before_anything_is_sent(server, client, tmp_path):
    registry = client.registry
    for wrong in (
        lambda: registry.get("projects/fraud/models/m", 0),
        lambda: registry.get("projects/fraud/models/m", True),
        lambda: registry.get_model("a/b"),
        lambda: registry.transition("m", 1, "retired"),
        lambda: registry.request_promotion("m", 1),
        lambda: registry.request_promotion("m", 1, stage="Staging", alias="a"),
        lambda: registry.register("m", tmp_path / "missing"),
        lambda: registry.register("m", tmp_path, source_uri="s3://x"),
        lambda: registry.register("m", metrics={"auc": "high"}),
        lambda: registry.register("m", tags={"n": 1}),
    ):
        server.answers.clear()
        server.answer(200, MODEL)
        with pytest.raises(cairn.InvalidArgument):
            wrong()
    assert {verb for verb, *_ in server.asked} <= {"GET"}


def test_a_run_that_a_source_names_is_told_as_well(server, client):
    run = {"source_uri": "runs:/r1/model", "source_run": "r1"}
    for uri, expected in (("runs:/r1/model", run), ("s3://b", {"source_uri": "s3://b"})):
        server.asked.clear()
        server.answer(200, {"registered_models": [MODEL]})
        server.answer(200, {"name": "projects/fraud/models/m/versions/1", "version": 1})
        client.registry.register("m", source_uri=uri)
        sent = json.loads(server.asked[-1][3])["model_version"]
        assert expected.items() <= sent.items()


def test_a_server_cannot_make_files_land_elsewhere(server, client, tmp_path):
    version = {"name": "projects/fraud/models/m/versions/1", "artifact_uri": "mlflow-artifacts:/1/models/m-1/artifacts",
               "artifact_manifest": {"state": "MANIFEST_STATE_KNOWN"}}
    server.answer(200, {"artifacts": [{"path": "../outside", "sha256": "0" * 64}]})
    with pytest.raises(cairn.InvalidArgument):
        fetch(client, version, tmp_path / "in")
    assert list(tmp_path.iterdir()) == []


def test_files_that_lie_elsewhere_are_not_fetched(client, tmp_path):
    for uri in ("s3://bucket/model", "", "runs:/other/model"):
        version = {"name": "projects/fraud/models/m/versions/1", "artifact_uri": uri, "source_run": "x/runs/r"}
        with pytest.raises(cairn.NotFound) as raised:
            fetch(client, version, tmp_path)
        assert raised.value.code is cairn.ErrorCode.ARTIFACT_NOT_FOUND


def test_a_version_is_read_with_what_it_lacks():
    answer = {"name": "projects/p/models/m/versions/3", "version": 3, "create_time": "2026-01-02T03:04:05.123456789Z",
              "metrics": {"a": "NaN", "b": 1}, "tags": {"cairn.artifact_type": "onnx", "k": "v"}}
    read = ModelVersion.read(answer, "m")
    assert (read.stage, read.artifact_type, read.tags, read.model) == (Stage.NONE, "onnx", {"k": "v"}, "projects/p/models/m")
    assert read.metrics["a"] != read.metrics["a"] and read.create_time.microsecond == 123456
    assert read.update_time is None and Stage.of("PRODUCTION") is Stage.PRODUCTION
