"""The registry with its files in S3, from registering to deleting, over two servers that speak S3."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
from mlflow.sklearn import save_model
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

import cairn as sdk
import s3
from api import Api
from loading import predicted
from suite import Suite

STORY = Path(__file__).parent.parent / "mlflow" / "registry_story.py"
STORY_SECONDS_MAX = 900
# Past the size from which the command line sends files in parts, to addresses of the store's own.
LARGE_BYTES = 70 * 1024 * 1024

#: Rules of S3 that the servers do not know.
BROKEN = {
    "stand-in": {
        # It has no listing of uploads.
        "an_upload_left_alone_is_told",
        # An upload that it does not know is none that the caller may touch; and it takes parts of one for any key.
        "an_upload_that_is_not_there_says_so",
        "an_upload_belongs_to_its_key",
        # What is a folder on its disk is an object to it.
        "a_folder_is_not_an_object_nor_is_there_one_below_an_object",
    },
    "moto": {
        # It answers parts of an upload that it does not know with an error of its own; and takes parts for any key.
        "an_upload_that_is_not_there_says_so",
        "an_upload_belongs_to_its_key",
    },
}


@pytest.fixture(scope="module", params=list(s3.PEERS))
def store(request, cairn, tmp_path_factory):
    with s3.PEERS[request.param](cairn, tmp_path_factory.mktemp("s3")) as running:
        running.name = request.param
        yield running


@pytest.fixture(scope="module")
def suite(cairn, store, tmp_path_factory):
    with Suite(cairn, tmp_path_factory.mktemp("registry") / "data", store.settings) as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


def person(root: Api, name: str, role: str) -> Api:
    """Somebody with a role in the default project, and a key."""
    user = root.make("users", {"user": {"display_name": name, "email": f"{name}@example.org"}})["name"]
    root.make("bindings", {"binding": {"principal": user, "role": role, "resource": "projects/default"}})
    return Api(root.suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"])


def trained(strength: float, folder: Path):
    features, target = load_wine(return_X_y=True)
    model = LogisticRegression(C=strength, max_iter=5000).fit(features, target)
    save_model(model, folder, pip_requirements=[])
    return model, features


def digests(contents) -> set[str]:
    return {hashlib.sha256(content).hexdigest() for content in contents}


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unmodified_client_keeps_models_whose_files_are_in_s3_s4_55(suite, store):
    told = subprocess.run([sys.executable, STORY, "--uri", suite.url, f"--token={suite.key}"],
                          capture_output=True, text=True, timeout=STORY_SECONDS_MAX)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("as it should be") == 4
    names = store.objects()
    assert any(b"sklearn" in content for content in names.values())
    assert all(name.startswith(f"{s3.PREFIX}/") for name in names), names.keys()
    assert not any((suite.data / "objects").rglob("*")), "something is kept beside S3"


def test_a_version_is_registered_promoted_loaded_and_deleted_over_restarts_with_its_files_in_s3_s4_55(suite, store, root, tmp_path):
    # Two versions whose predictions can be told apart, from the command line.
    guess, features = trained(1e-6, tmp_path / "guess")
    better, _ = trained(1.0, tmp_path / "better")
    assert not np.array_equal(guess.predict(features), better.predict(features))
    for number, folder in enumerate(("guess", "better"), 1):
        made = suite.cli_json("models", "register", "wine", str(tmp_path / folder), "--framework", "sklearn")
        assert (made["version"], made["artifact_manifest"]["state"]) == (number, "MANIFEST_STATE_KNOWN")
        assert digests(below(tmp_path / folder).values()) <= digests(store.objects().values()), "not in the bucket"

    # Promotion by two people moves the alias, and whoever loads by it has the other model.
    ada, bob = person(root, "ada", "roles/editor"), person(root, "bob", "roles/manager")
    terms = {"terms": {"protected_aliases": ["champion"]}}
    assert bob.patch("projects/default/models/wine/promotionPolicies/default", json=terms).status_code == 200
    for number, model in ((1, guess), (2, better)):
        move = {"moves": [{"version": number, "alias": "champion"}]}
        asked = ada.make("projects/default/models/wine/promotions", move)
        assert bob.make(f"{asked['name']}:approve", {})["state"] == "PROMOTION_STATE_COMPLETED"
        assert np.array_equal(predicted(suite, "models:/wine@champion", features, tmp_path), model.predict(features))

    # The suite starts again, and finds everything where it was.
    assert suite.stop() == 0
    suite.start()
    assert np.array_equal(predicted(suite, "models:/wine@champion", features, tmp_path), better.predict(features))
    with sdk.Client(suite.url, suite.key) as client:
        for number, folder in enumerate(("guess", "better"), 1):
            back = client.registry.download("wine", number, tmp_path / f"{folder}-back")
            assert below(back) == below(tmp_path / folder)

        # What is deleted is gone, and what is left is not touched.
        root = Api(suite)
        client.registry.delete_version("wine", 1)
        assert root.get("projects/default/models/wine/versions/1").status_code == 404
        assert np.array_equal(predicted(suite, "models:/wine/2", features, tmp_path), better.predict(features))


def test_a_large_file_of_a_version_goes_to_s3_and_comes_from_it_past_the_server_s4_55(suite, store, tmp_path):
    large = tmp_path / "large.bin"
    with open(large, "wb") as out:
        out.write(os.urandom(1 << 20))
        out.truncate(LARGE_BYTES)
    made = suite.cli_json("models", "register", "large", str(large))
    content = large.read_bytes()
    assert digests([content]) <= digests(store.objects().values())
    experiment = made["artifact_uri"].split("/")[1]
    owner = f"projects/default/experiments/{experiment}/loggedModels/{made['source_model']}"
    root = Api(suite)
    [artifact] = root.get(f"{owner}/artifacts").json()["artifacts"]
    address = root.make(f"{artifact['name']}:sign", {"lifetime": "60s"})["address"]
    assert address.startswith(store.endpoint), "the server stands between"
    assert requests.get(address).content == content
    with sdk.Client(suite.url, suite.key) as client:
        assert (client.registry.download("large", 1, tmp_path / "back") / "large.bin").read_bytes() == content


def test_what_is_refused_leaves_nothing_that_could_be_found_with_its_files_in_s3_s4_55(suite, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"refused")
    rule = {"timing": "HOOK_TIMING_BEFORE", "triggers": ["HOOK_TRIGGER_VERSION_CREATE"],
            "expression": {"expression": "version.metrics.accuracy >= 0.5", "message": "too low"}}
    root = Api(suite)
    root.make("projects/default/hooks", {"hook_id": "quality", "hook": rule})
    try:
        done = suite.cli("--json", "models", "register", "refused", str(tmp_path / "model.bin"), "--metric", "accuracy=0.4")
        assert done.returncode == 1 and "too low" in json.loads(done.stderr)["error"]["message"]
    finally:
        assert root.delete("projects/default/hooks/quality").status_code == 200
    assert root.get("projects/default/models/refused").status_code == 404
    left = [model for page in root.pages("projects/default/loggedModels", "logged_models") for model in page]
    assert "refused" not in [model["display_name"] for model in left]


def test_functions_are_published_and_pulled_with_their_packages_in_s3_s4_55(suite, store, tmp_path):
    def hub(*args: str):
        env = {**suite.env, "HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "CAIRN_URL": suite.url, "CAIRN_API_KEY": suite.key}
        done = subprocess.run([suite.cairn, "--json", "hub", *args], env=env, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").write_text("print(1)\n")
    key = hub("keygen", "example.com/team", "--out", "signing.key")["key"]
    for version in ("1.0", "1.1"):
        (source / "function.toml").write_text(f"name = 'trainer'\nversion = '{version}'\ndescription = 'trains'\n")
        made = hub("publish", str(source), "--signing-key", "signing.key")
        assert made["sha256"] in digests(store.objects().values()), "not in the bucket"
    assert suite.stop() == 0
    suite.start()
    hub("pull", "trainer@1.0", "--key", key, "--to", "pulled")
    assert below(tmp_path / "pulled")["main.py"] == b"print(1)\n"
    assert b"1.0" in below(tmp_path / "pulled")["function.toml"]


def test_a_store_that_is_gone_is_said_so_and_nothing_is_registered_with_files_in_s3_s4_55(cairn, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    with s3.stand_in(cairn, tmp_path / "s3") as gone:
        settings = gone.settings
    with Suite(cairn, tmp_path / "data", settings) as suite:
        done = suite.cli("--json", "models", "register", "lost", str(tmp_path / "model.bin"))
        assert done.returncode == 1, done.stdout
        assert json.loads(done.stderr.splitlines()[-1])["error"]["reason"] == "OBJECT_STORE_UNAVAILABLE", done.stderr
        assert Api(suite).get("projects/default/models/lost").status_code == 404


def test_servers_of_s3_keep_the_rules_of_every_store(cairn, store):
    rules = cairn.parent / "examples" / "s3_conformance"
    if not rules.exists():
        pytest.fail(f"{rules} is missing: run `make test-python`")
    env = {**os.environ, "AWS_ACCESS_KEY_ID": s3.KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET, "RUST_BACKTRACE": "0"}
    tried = subprocess.run([rules, store.endpoint, s3.BUCKET], env=env, capture_output=True, text=True, timeout=300)
    told = dict(reversed(line.split("\t")) for line in tried.stdout.splitlines())
    broken = {rule for rule, state in told.items() if state == "broken"}
    assert (broken, len(told)) == (BROKEN[store.name], 19), tried.stderr
