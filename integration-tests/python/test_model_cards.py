"""Models for people: cards, versions side by side, and notes with their history, over REST and from the command line."""

import json
from html.parser import HTMLParser

import pytest

from api import Api
from suite import Suite

HOSTILE = "</pre><script>alert(1)</script> | **bold** \"quoted\""


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: its project has a policy."""
    with Suite(cairn, tmp_path_factory.mktemp("cards") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    return Api(suite)


def person(root: Api, name: str, role: str) -> Api:
    user = root.make("users", {"user": {"display_name": name, "email": f"{name}@example.org"}})["name"]
    root.make("bindings", {"binding": {"principal": user, "role": role, "resource": "projects/default"}})
    api = Api(root.suite, root.make(f"{user}/apiKeys", {"api_key": {}})["secret"])
    api.name = user
    return api


@pytest.fixture(scope="module")
def ada(root) -> Api:
    return person(root, "ada", "roles/editor")


@pytest.fixture(scope="module")
def bob(root) -> Api:
    return person(root, "bob", "roles/manager")


def model(api: Api, name: str) -> str:
    made = api.make("projects/default/models", {"registered_model_id": name, "description": "finds *fraud*"})["name"]
    for auc, depth in ((0.91, "5"), (0.93, "5")):
        api.make(f"{made}/versions", {"model_version": {
            "source_uri": "s3://models/fraud", "framework": "sklearn", "hyperparameters": {"depth": depth},
            "metrics": {"auc": auc}, "tags": {"team": HOSTILE}, "description": f"trained by hand\n{HOSTILE}",
            "signature": {"inputs": [{"label": "age", "dtype": "int64"}, {"dtype": "float32", "shape": [-1, 3]}],
                          "outputs": [{"dtype": "float64"}]},
            "reference_statistics": {"sha256": "ab" * 32, "uri": "s3://models/fraud.stats"}}})
    return made


class Tags(HTMLParser):
    """Which tags a page has, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert all(not name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text.append(data)


def test_a_card_tells_all_that_is_known_of_a_version_and_runs_nothing(ada, bob):
    name = model(ada, "fraud")
    asked = ada.make(f"{name}/promotions", {"moves": [{"version": 1, "alias": "champion"}], "comment": "the best so far"})
    bob.make(f"{asked['name']}:approve", {"comment": "looked at it"})
    card = ada.get(f"{name}/versions/1:card")
    assert card.status_code == 200, card.text
    markdown, page = card.json()["markdown"], card.json()["html"]
    told = ["fraud version 1", "champion", "sklearn", "s3://models/fraud", "finds *fraud*", "0.91", "depth", "ab" * 32,
            "age", "int64", "the best so far", "looked at it", ada.name, bob.name, "completed"]
    plain = markdown.replace("\\", "")
    assert [fact for fact in told if fact not in plain] == []
    parsed = Tags(page)
    assert set(parsed.tags) <= {"html", "head", "meta", "title", "body", "h1", "h2", "pre", "table", "tr", "th", "td"}
    assert HOSTILE in "".join(parsed.text)
    assert [fact for fact in told if fact not in "".join(parsed.text)] == []
    assert "\n> " in markdown and "\n</pre>" not in markdown

    shown = ada.get(f"{name}/versions/1:renderCard")
    assert shown.headers["content-type"].startswith("text/html") and shown.text == page
    assert "sandbox" in shown.headers["content-security-policy"]
    written = ada.get(f"{name}/versions/1:renderCard", params={"format": "CARD_FORMAT_MARKDOWN"})
    assert written.headers["content-type"].startswith("text/markdown") and written.text == markdown
    assert ada.get(f"{name}/versions/9:card").status_code == 404


def test_versions_stand_side_by_side(ada):
    name = model(ada, "compared")
    compared = ada.get(f"{name}/versions:compare", params={"versions": [1, 2]}).json()
    assert compared["versions"] == [f"{name}/versions/1", f"{name}/versions/2"]
    [metric] = compared["metrics"]
    assert (metric["key"], [cell["value"] for cell in metric["cells"]], metric["differs"]) == ("auc", [0.91, 0.93], True)
    signature = {row["key"]: row["cells"][0]["value"] for row in compared["signature"]}
    assert signature == {"inputs.age": "int64", "inputs.1": "float32 [-1, 3]", "outputs.0": "float64"}
    differing = ada.get(f"{name}/versions:compare", params={"versions": [1, 2], "differing_only": "true"}).json()
    assert "hyperparameters" not in differing and "signature" not in differing and len(differing["metrics"]) == 1
    assert ada.get(f"{name}/versions:compare").status_code == 400
    assert ada.get(f"{name}/versions:compare", params={"versions": [1, 9]}).status_code == 404


def test_tags_are_set_and_deleted_and_a_note_keeps_its_history_s3_9(ada, bob):
    name = model(ada, "noted")
    version = f"{name}/versions/2"
    tagged = ada.make(f"{version}:setTags", {"tags": {"stage": "draft", "team": "risk"}})
    assert tagged["tags"] == {"stage": "draft", "team": "risk"}
    assert ada.make(f"{version}:setTags", {"deleted_keys": ["stage", "none"]})["tags"] == {"team": "risk"}

    assert ada.patch(version, json={"description": "## Second thoughts\n\n- too slow"}).status_code == 200
    assert bob.patch(version, json={"description": "## Third thoughts"}).status_code == 200
    notes = ada.get(f"{version}/notes").json()["notes"]
    assert [(note["revision"], note["author"], note["text"].splitlines()[0]) for note in notes] == [
        (3, bob.name, "## Third thoughts"), (2, ada.name, "## Second thoughts"), (1, ada.name, "trained by hand")]
    assert all(note["create_time"] for note in notes)
    pages = ada.pages(f"{version}/notes", "notes", page_size=2)
    assert [[note["revision"] for note in page] for page in pages] == [[3, 2], [1]]
    of_model = ada.get(f"{name}/notes").json()["notes"]
    assert [note["text"] for note in of_model] == ["finds *fraud*"]
    assert ada.delete(version).status_code == 200
    assert ada.get(f"{version}/notes").status_code == 404


def test_the_command_line_shows_cards_comparisons_and_notes(suite, ada, tmp_path):
    model(ada, "told")
    assert "# told version 1" in suite.cli("models", "card", "told", "1").stdout
    file = tmp_path / "card.html"
    assert suite.cli("models", "card", "told", "1", "--html", "--to", str(file)).returncode == 0
    assert file.read_text().startswith("<!doctype html>")
    assert "<!doctype" in suite.cli_json("models", "card", "told", "1")["html"]
    table = suite.cli("models", "compare", "told", "1", "2").stdout
    assert "metrics.auc" in table and "0.93" in table
    assert len(suite.cli_json("models", "compare", "told", "1", "2", "--differing")["metrics"]) == 1
    assert suite.cli("models", "note", "told", "--text", "*new*").returncode == 0
    note = tmp_path / "note.md"
    note.write_text("# from a file\n")
    suite.cli_json("models", "note", "told", "1", "--file", str(note))
    assert [row["text"] for row in suite.cli_json("models", "notes", "told")] == ["*new*", "finds *fraud*"]
    assert json.loads(suite.cli("--json", "models", "notes", "told", "1").stdout)[0]["text"] == "# from a file\n"
