"""The log for programs: KurrentDB's own Node.js client, unchanged, against the real program."""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from eventstore import EventStore

STORY = Path(__file__).resolve().parents[1] / "node/kurrentdb_story.js"
#: Where `make test-python` puts the clients.
MODULES = Path(os.environ.get("CAIRN_NODE_MODULES") or Path.home() / ".cache/cairn/node/node_modules")

pytestmark = pytest.mark.skipif(not shutil.which("node") or not (MODULES / "@kurrent/kurrentdb-client").exists(),
                                reason="no client of KurrentDB for Node.js: `make test-python` installs it where there is npm")


@pytest.fixture(scope="module")
def name() -> str:
    return f"app.node-{secrets.token_hex(6)}"


@pytest.fixture(scope="module")
def told(cairn, tmp_path_factory, name) -> dict:
    with EventStore(cairn, tmp_path_factory.mktemp("eventstore-node")) as store:
        authority = f"&tlsCaFile={store.authority.file}"
        addresses = [store.address(options=authority), store.address("nobody", authority)]
        env = {**os.environ, "NODE_PATH": str(MODULES)}
        done = subprocess.run(["node", STORY, *addresses, name], env=env, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0 and done.stdout, done.stderr
        return json.loads(done.stdout)


def test_appends_are_batches_and_repeats_append_nothing(told):
    assert told["append"] == {"revisions": ["1", "0", "2"], "success": True, "grows": True}


def test_a_client_that_is_wrong_is_told_how_it_is(told, name):
    wrong = told["wrong"]
    assert {one["type"] for one in wrong} == {"wrong-expected-version"}
    assert [one["actual"] for one in wrong] == ["2", "2", "no_stream", "no_stream"]
    assert wrong[0]["streamName"] == name


def test_what_is_appended_is_read_as_it_was(told):
    read = told["read"]
    assert read["first"] == {"type": "OrderPlaced", "data": {"n": 0}, "metadata": {"from": "node"}, "isJson": True}
    assert read["third"] == {"data": [0, 255], "isJson": False}
    assert (read["last"], read["later"], read["missing"]) == ("OrderPacked", [1], "stream-not-found")
    assert told["all"] == {"backwards": ["2", "1", "0"], "forwards": ["0", "1", "2"]}


def test_what_is_too_large_is_refused_and_many_parts_are_one_append(told):
    assert told["large"] == {"revision": "19", "refused": True, "together": "maximum-append-size-exceeded"}


def test_streams_and_the_log_are_followed(told):
    assert told["follow"] == ["1", "2", "3", "4"]
    assert told["filtered"] == {"numbers": [0, 1, 2], "checkpoints": True}


def test_metadata_deletions_and_tombstones_are_kept_to(told, name):
    assert told["metadata"] == {"metadata": {"maxCount": 2, "maxAge": 3600, "color": "blue"}, "shown": ["3", "4"]}
    deletion = told["deletion"]
    assert deletion["wrong"]["type"] == "wrong-expected-version"
    assert (deletion["wrong"]["expected"], deletion["wrong"]["actual"]) == ("1", "4")
    assert (deletion["position"], deletion["gone"], deletion["back"], deletion["shown"]) == (True, "stream-not-found", "5", ["5"])
    assert told["tombstone"] == ["stream-deleted"] * 3


def test_nobody_does_what_they_may_not(told):
    assert told["forbidden"] == ["access-denied"] * 5
