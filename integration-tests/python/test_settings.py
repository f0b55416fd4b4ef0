"""What the environment says, a starting suite does: addresses, credentials, limits; and how it stops."""

import socket
import subprocess

import pytest
import requests

from api import Api
from suite import START_SECONDS_MAX, Suite


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_it_listens_where_the_environment_says_s1_51_s1_52_s1_53(cairn, tmp_path):
    http, grpc = free_port(), free_port()
    env = {"API_HOST": "127.0.0.2", "API_HTTP_PORT": str(http), "API_GRPC_PORT": str(grpc)}
    with Suite(cairn, tmp_path / "data", env) as suite:
        assert suite.url == f"http://127.0.0.2:{http}" and suite.grpc == f"http://127.0.0.2:{grpc}"
        assert Api(suite).get("auth/whoami").status_code == 200
        socket.create_connection(("127.0.0.2", grpc), timeout=5).close()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", http), timeout=5)


def test_asked_to_stop_it_ends_well_and_what_was_written_is_there_afterwards(cairn, tmp_path):
    suite = Suite(cairn, tmp_path / "data")
    suite.start()
    made = Api(suite).make("projects/default/experiments", {"display_name": "kept"})
    assert suite.stop() == 0
    with suite:
        assert Api(suite).get(made["name"]).json() == made
    assert suite.process.returncode == 0


@pytest.mark.parametrize("variable", ["CAIRN_AUTH_DISABLED", "MLRUN_AUTH_DISABLED"])
def test_on_loopback_nobody_need_say_who_they_are_if_the_operator_says_so_s1_41_s1_56(cairn, tmp_path, variable):
    with Suite(cairn, tmp_path / "data", {variable: "true"}) as suite:
        answer = requests.post(f"{suite.url}/api/v1/projects", json={"project_id": "open"})
        assert answer.status_code == 200, answer.text
        assert "AUTHENTICATION IS SWITCHED OFF" in suite.log.read_text()


def test_open_to_the_network_it_does_not_start_without_authentication_s1_41(cairn, tmp_path):
    suite = Suite(cairn, tmp_path / "data", {"CAIRN_AUTH_DISABLED": "true", "API_HOST": "0.0.0.0"})
    done = subprocess.run([cairn, "up", "--data", suite.data], env=suite.env, capture_output=True, text=True,
                          timeout=START_SECONDS_MAX)
    assert done.returncode == 1
    assert "CAIRN_AUTH_DISABLED works on loopback only" in done.stderr


@pytest.mark.parametrize("variable", ["CAIRN_API_KEY", "MLRUN_API_KEY"])
def test_the_key_in_the_environment_is_the_first_administrators_s1_40_s1_55(cairn, tmp_path, variable):
    key = "chosen-by-the-operator-0123"
    suite = Suite(cairn, tmp_path / "data")
    del suite.env["CAIRN_API_KEY"]
    suite.env[variable] = key
    with suite:
        assert Api(suite, key).get("auth/whoami").json()["principal"] == "users/admin"
        assert Api(suite, key[:-1]).get("auth/whoami").status_code == 401


def test_a_data_folder_is_used_by_one_process_alone(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        second = subprocess.run([cairn, "up", "--data", suite.data], env=suite.env, capture_output=True, text=True,
                                timeout=START_SECONDS_MAX)
        assert second.returncode == 1 and str(suite.data) in second.stderr, second.stderr
        assert Api(suite).get("health").status_code == 200


def test_a_setting_that_cannot_be_is_named_before_anything_starts_s1_50(cairn, tmp_path):
    suite = Suite(cairn, tmp_path / "data", {"API_HTTP_PORT": "many"})
    done = subprocess.run([cairn, "up", "--data", suite.data], env=suite.env, capture_output=True, text=True,
                          timeout=START_SECONDS_MAX)
    assert done.returncode == 1 and "http_port" in done.stderr, done.stderr
    assert not suite.data.exists()


LIMITS = {"MLRUN_MAX_TAG_KEYS_PER_RUN": "3", "MLRUN_MAX_METRIC_NAMES_PER_RUN": "4", "MLRUN_MAX_TAGS_PER_PROJECT": "5"}


@pytest.fixture(scope="module")
def limited(cairn, tmp_path_factory):
    with Suite(cairn, tmp_path_factory.mktemp("limited") / "data", LIMITS) as suite:
        yield Api(suite)


def project(api: Api, name: str) -> None:
    api.make("projects", {"project_id": name})


def experiment(api: Api, name: str) -> str:
    return api.make(f"projects/{name}/experiments", {"display_name": "limits"})["name"]


def own_tags(api: Api, run: str) -> list[str]:
    """The keys that somebody set: those that clients keep for themselves do not count."""
    return [key for key in api.get(run).json().get("tags", {}) if not key.startswith("mlflow.")]


def test_tag_keys_over_the_limit_of_a_run_are_dropped_and_named_s1_46_s1_48_s1_57(limited):
    project(limited, "tags")
    run = limited.make(f"{experiment(limited, 'tags')}/runs", {"display_name": "r"})["name"]
    answer = limited.make(f"{run}:logBatch", {"batch_id": "1", "tags": {f"t{n}": "x" for n in range(5)}})
    kept = own_tags(limited, run)
    assert len(kept) == 3
    assert {entry["key"] for entry in answer["dropped_entries"]} == {f"t{n}" for n in range(5)} - set(kept), answer
    changed = limited.make(f"{run}:logBatch", {"batch_id": "2", "tags": {kept[0]: "changed"}})
    assert "dropped_entries" not in changed, "a tag that is there is not a new one"


def test_metric_names_over_the_limit_of_a_run_are_dropped_and_the_run_goes_on_s1_46_s1_48_s1_58(limited):
    project(limited, "metrics")
    run = limited.make(f"{experiment(limited, 'metrics')}/runs", {"display_name": "r"})["name"]
    points = [{"key": f"m{n}", "value": n, "step": "1"} for n in range(6)]
    answer = limited.make(f"{run}:logBatch", {"batch_id": "1", "metrics": points})
    assert answer["metric_count"] == 4 and answer["dropped_entries"], answer
    again = limited.make(f"{run}:logBatch", {"batch_id": "2", "metrics": [{"key": "m0", "value": 7, "step": "2"}]})
    assert again["metric_count"] == 1 and "dropped_entries" not in again, again


def test_tag_keys_over_the_limit_of_a_project_are_dropped_and_other_projects_have_their_own_s1_47_s1_48_s1_59(limited):
    project(limited, "full")
    where = experiment(limited, "full")
    runs = [limited.make(f"{where}/runs", {"display_name": f"r{n}"})["name"] for n in range(3)]
    answers = [limited.make(f"{run}:logBatch", {"batch_id": "1", "tags": {f"r{n}a": "x", f"r{n}b": "x"}})
               for n, run in enumerate(runs)]
    assert [bool(answer.get("dropped_entries")) for answer in answers] == [False, False, True]
    kept = {key for run in runs for key in own_tags(limited, run)}
    assert len(kept) == 5
    project(limited, "roomy")
    elsewhere = limited.make(f"{experiment(limited, 'roomy')}/runs", {"display_name": "r"})["name"]
    assert "dropped_entries" not in limited.make(f"{elsewhere}:logBatch", {"batch_id": "1", "tags": {"a": "x", "b": "x"}})
