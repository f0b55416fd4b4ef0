"""A person nobody else could be is made known, works, and is erased: nothing of them is left in any file, and every proof
still holds, that of the erasure too."""

import subprocess

import pytest

import canary
from api import Api, eventually
from suite import Suite

NAME = "Wilhelmina Xanthippe Kanarienvogel"
MAIL = "w.kanarienvogel@canary-birds.example"
OTHER = "Bartholomew Neverforgotten"
# Of the networks that documentation may use (RFC 5737, RFC 3849).
HOME, AWAY = "203.0.113.77", "2001:db8:77:66::55"


def verify(cairn, *args) -> subprocess.CompletedProcess:
    """With no address, no key and no variable of ours."""
    return subprocess.run([cairn, "audit", "verify", *map(str, args)], env={}, capture_output=True, text=True)


def traces(folder, *texts: str) -> list[str]:
    """Files in which a text is found, or any of its words."""
    words = {word for text in texts for word in (text, *text.replace("@", " ").split()) if len(word) >= 6}
    return canary.traces(folder, *words)


@pytest.fixture
def suite(cairn, tmp_path):
    # A proxy in front says where requests come from.
    env = {"RUST_LOG": "debug", "CAIRN__GATEWAY__FORWARDED_HOPS": "1"}
    with Suite(cairn, tmp_path / "data", env=env) as running:
        yield running


def test_of_a_canary_who_was_erased_no_trace_is_left_and_every_proof_holds(suite, cairn, tmp_path):
    admin = Api(suite)
    key = suite.cli("audit", "checkpoint", "--keys").stdout.strip()
    kept = admin.make("users", {"user": {"display_name": OTHER}})
    user = admin.make("users", {"user": {"display_name": NAME, "email": MAIL}, "request_id": "9d1c5a3e-made"})["name"]
    admin.make("bindings", {"binding": {"principal": user, "role": "roles/editor", "resource": "projects/default"}})
    person = Api(suite, admin.make(f"{user}/apiKeys", {"api_key": {"title": "laptop"}})["secret"])

    # They work, change their address, are looked at, and are refused something.
    run = person.run("work of somebody")
    answer = person.patch(user, json={"email": f"new.{MAIL}"})
    assert answer.ok, answer.text
    assert person.get(user).json()["display_name"] == NAME
    assert person.post("users", json={"user": {"display_name": NAME, "email": f"other.{MAIL}"}}).status_code == 403
    assert admin.post("users", json={"user": {"display_name": NAME, "email": f"new.{MAIL}"}}).status_code == 409
    assert NAME in {shown.get("display_name") for shown in admin.get("users").json()["users"]}
    before = suite.cli_json("events", "history", run)[0]["position"]
    first = tmp_path / "before.tlog-proof"
    assert suite.cli("audit", "prove", before, "--to", str(first)).returncode == 0
    assert any(NAME.encode() in path.read_bytes() for path in suite.data.rglob("*") if path.is_file()), "they were known"

    # Erased by whoever may, and not by themselves.
    refused = suite.cli("privacy", "erase", user, key=person.headers["Authorization"].split()[1])
    assert refused.returncode != 0 and "ACCESS_DENIED" in refused.stderr
    certificate = tmp_path / "erased.tlog-proof"
    done = suite.cli_json("privacy", "erase", user, "--reason", "request 7", "--certificate", str(certificate))
    assert done["name"] == user and done["certificate"] == str(certificate)
    assert person.get("auth/whoami").status_code == 401, "their key opens nothing"

    # The certificate says who was erased, when and on whose word; nothing of who they were.
    shown = verify(cairn, certificate, "--key", key)
    assert shown.returncode == 0 and "UserErased" in shown.stdout and user in shown.stdout, shown.stderr
    again = suite.cli_json("privacy", "erase", user, "--certificate", str(tmp_path / "again.tlog-proof"))
    assert again["position"] == done["position"], "there is one erasure"

    # What was proven before holds, what happens later is proven, and the log as a whole is what it was.
    later = suite.cli_json("events", "history", admin.run("later"))[0]["position"]
    second, whole = tmp_path / "after.tlog-proof", tmp_path / "whole"
    assert suite.cli("audit", "prove", later, "--to", str(second)).returncode == 0
    again_before = tmp_path / "before-again.tlog-proof"
    assert suite.cli("audit", "prove", before, "--to", str(again_before)).returncode == 0
    for proof in (first, second, again_before, certificate):
        assert verify(cairn, proof, "--key", key).returncode == 0
    assert suite.cli("audit", "pull", str(whole)).returncode == 0
    assert verify(cairn, whole, "--key", key).returncode == 0

    assert traces(suite.data, NAME, MAIL) == [], "while it runs"
    assert suite.stop() == 0
    assert traces(suite.data, NAME, MAIL) == []
    assert traces(tmp_path, NAME, MAIL) == [], "nor in the log of the process, the proofs or the copy"
    assert any("auth-people.sqlite" in trace for trace in traces(suite.data, OTHER)), "the search finds people"

    suite.start()
    assert Api(suite).get(kept["name"]).json()["display_name"] == OTHER
    assert eventually(lambda: Api(suite).get(user).json()).get("display_name", "") == ""
    assert traces(suite.data, NAME, MAIL) == [], "nor does a new start bring them back"


def test_where_a_person_came_from_is_sealed_opened_for_who_may_know_and_forgotten_with_them(suite, tmp_path):
    admin = Api(suite)
    user = admin.make("users", {"user": {"display_name": NAME}})["name"]
    admin.make("bindings", {"binding": {"principal": user, "role": "roles/editor", "resource": "projects/default"}})
    person = Api(suite, admin.make(f"{user}/apiKeys", {"api_key": {}})["secret"])
    for address in (HOME, AWAY):
        person.headers["X-Forwarded-For"] = address
        assert person.run(f"from {len(address)}")
        assert person.post("users", json={"user": {"display_name": "x"}}).status_code == 403
    stranger = Api(suite, "no-key")
    stranger.headers["X-Forwarded-For"] = HOME
    assert stranger.get("users").status_code == 401

    filters = ("--principal", user, "--limit", "100")
    sealed = eventually(lambda: (found := suite.cli_json("audit", "list", *filters)) and len(found) >= 4 and found)
    assert all(record["source_address"].startswith("sealed:") for record in sealed)
    opened = suite.cli_json("audit", "list", *filters, "--addresses")
    assert {record["source_address"] for record in opened} == {HOME, AWAY}
    assert AWAY in suite.cli("audit", "list", *filters, "--addresses").stdout
    key = person.headers["Authorization"].split()[1]
    assert "ACCESS_DENIED" in suite.cli("audit", "list", *filters, "--addresses", key=key).stderr
    said = suite.cli_json("audit", "list", "--action", "auth.addresses.open")
    assert said and said[0]["principal"] == "users/admin", "who looked is on record"
    found = canary.traces(suite.data, HOME, AWAY)
    assert found == [], "no file has an address, of a person who is there either"

    assert suite.cli("privacy", "erase", user, "--certificate", str(tmp_path / "erased.tlog-proof")).returncode == 0
    opened = suite.cli_json("audit", "list", *filters, "--addresses")
    assert {record["source_address"] for record in opened} == {"forgotten"}
    assert suite.stop() == 0
    assert canary.traces(suite.data, HOME, AWAY) == []
    assert canary.sightings(suite.log.read_bytes(), HOME, AWAY) == [], "nor does the log of the process"
