"""Functions over REST with nothing but `requests`, and hubs from the command line: another Cairn, and a git server."""

import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

import git_host
from api import Api
from suite import Suite

DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND, DENIED = range(6)


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own: two projects with people of their own."""
    with Suite(cairn, tmp_path_factory.mktemp("hub") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def root(suite) -> Api:
    api = Api(suite)
    for project in ("ours", "theirs"):
        api.make("projects", {"project_id": project})
    return api


def member(root: Api, name: str, role: str, project: str) -> Api:
    """A program with a role in a project."""
    account = root.make("serviceAccounts", {"service_account_id": name})["name"]
    root.make("bindings", {"binding": {"principal": account, "role": role, "resource": f"projects/{project}"}})
    return Api(root.suite, root.make(f"{account}/apiKeys", {"api_key": {}})["secret"])


@pytest.fixture(scope="module")
def ours(root) -> Api:
    return member(root, "ours", "roles/editor", "ours")


@pytest.fixture(scope="module")
def theirs(root) -> Api:
    return member(root, "theirs", "roles/editor", "theirs")


def secret(api: Api) -> str:
    return api.headers["Authorization"].removeprefix("Bearer ")


def create(api: Api, name: str, spec: dict, project: str = "ours", **options):
    body = {"function_id": name, "function": {"spec": spec, "labels": {"team": "risk"}}}
    return api.post(f"projects/{project}/functions", json=body, **options)


def refused(answer, status: int, reason: str) -> dict:
    error = answer.json()["error"]
    assert (answer.status_code, error["reason"]) == (status, reason), answer.text
    return error


def test_a_project_lists_its_own_functions_and_no_other_tenant_sees_them_s0_61(ours, theirs):
    for name in ("list-a", "list-b"):
        assert create(ours, name, {"image": name}).status_code == 201
    assert create(theirs, "list-c", {}, project="theirs").status_code == 201
    listed = [function["name"] for page in ours.pages("projects/ours/functions", "functions", page_size=1) for function in page]
    assert "projects/ours/functions/list-a" in listed and "projects/ours/functions/list-b" in listed
    assert all(name.startswith("projects/ours/") for name in listed)
    refused(theirs.get("projects/ours/functions"), 403, "ACCESS_DENIED")
    refused(theirs.get("projects/ours/functions/list-a"), 403, "ACCESS_DENIED")
    refused(create(theirs, "intruder", {}), 403, "ACCESS_DENIED")


def test_what_is_created_has_a_place_and_the_same_key_replays_the_same_answer_s0_62(ours):
    made = create(ours, "made", {"image": "a", "replicas": 2}, headers={"Idempotency-Key": "made-1"})
    assert made.status_code == 201, made.text
    function = made.json()
    assert (function["revision"], function["name"]) == (1, "projects/ours/functions/made")
    assert made.headers["location"] == "/api/v1/projects/ours/functions/made"
    assert made.headers["etag"] == f'"{function["etag"]}"'
    assert ours.patch("projects/ours/functions/made", json={"spec": {"image": "b"}}).json()["revision"] == 2
    again = create(ours, "made", {"image": "a", "replicas": 2}, headers={"Idempotency-Key": "made-1"})
    assert (again.status_code, again.json()) == (201, function)
    refused(create(ours, "made", {"image": "a", "replicas": 2}), 409, "FUNCTION_EXISTS")
    refused(create(ours, "made-2", {}, headers={"Idempotency-Key": "made-1"}), 409, "REQUEST_ID_REUSED")
    refused(create(ours, "../made", {}), 400, "VALIDATION_ERROR")


def test_a_function_is_read_with_spec_status_and_revision_as_it_was_at_any_moment_s0_63(ours):
    made = create(ours, "history", {"image": "a"})
    first = made.headers["cairn-position"]
    patched = ours.patch("projects/ours/functions/history", json={"spec": {"image": "b"}})
    now = ours.get("projects/ours/functions/history").json()
    assert (now["spec"], now["revision"], now["status"]) == ({"image": "b"}, 2, {})
    path = "projects/ours/functions/history"
    for moment in (first, made.json()["update_time"]):
        then = ours.get(path, params={"as_of": moment})
        assert then.status_code == 200 and then.json() == made.json(), then.text
    assert ours.get(path, params={"as_of": patched.headers["cairn-position"]}).json() == now
    refused(ours.get(path, params={"as_of": "1"}), 404, "FUNCTION_NOT_FOUND")
    error = refused(ours.get(path, params={"as_of": "yesterday"}), 400, "VALIDATION_ERROR")
    assert "RFC 3339" in error["message"] and "position" in error["message"]
    listed = ours.get("projects/ours/functions", params={"as_of": first}).json()["functions"]
    assert next(f for f in listed if f["name"] == path)["spec"] == {"image": "a"}
    revisions = ours.get(f"{path}/revisions").json()["functions"]
    assert [(r["revision"], r["updater"]) for r in revisions] == [(2, "serviceAccounts/ours"), (1, "serviceAccounts/ours")]


def test_a_merge_patch_changes_what_it_names_and_a_stale_if_match_changes_nothing_s0_64(ours):
    made = create(ours, "patched", {"image": "a", "env": {"A": "1", "B": "2"}, "args": ["x"]})
    path = "projects/ours/functions/patched"
    patch = {"spec": {"env": {"A": None, "C": "3"}, "args": None}, "description": "*d*", "labels": {"team": None}}
    done = ours.patch(path, data=json.dumps(patch), headers={
        "Content-Type": "application/merge-patch+json", "If-Match": made.headers["etag"]})
    assert done.status_code == 200, done.text
    function = done.json()
    assert function["spec"] == {"image": "a", "env": {"B": "2", "C": "3"}}
    assert (function["description"], function.get("labels"), function["revision"]) == ("*d*", None, 2)
    stale = ours.patch(path, json={"spec": {"image": "z"}}, headers={"If-Match": made.headers["etag"]})
    refused(stale, 412, "ETAG_MISMATCH")
    assert ours.get(path).json() == function
    refused(ours.patch(path, json={"revision": 9}), 400, "FUNCTION_PATCH_INVALID")
    refused(ours.patch(path, json={"name": "projects/ours/functions/other", "spec": {}}), 400, "VALIDATION_ERROR")
    assert ours.patch(path, json={"name": path, "etag": function["etag"], "spec": {}}).json() == function


def test_a_deleted_function_is_gone_and_was_there_s0_65(ours):
    made = create(ours, "deleted", {"image": "a"})
    path = "projects/ours/functions/deleted"
    gone = ours.delete(path)
    assert (gone.status_code, gone.content) == (204, b""), gone.text
    refused(ours.get(path), 404, "FUNCTION_NOT_FOUND")
    refused(ours.delete(path), 404, "FUNCTION_NOT_FOUND")
    before = ours.get(path, params={"as_of": made.headers["cairn-position"]})
    assert (before.status_code, before.json()) == (200, made.json())
    newest = ours.get(f"{path}/revisions").json()["functions"][0]
    assert newest["status"]["delete_time"] and newest["revision"] == 2
    assert create(ours, "deleted", {}).json()["revision"] == 3


def test_a_package_is_published_once_and_downloaded_as_it_was_sent(ours):
    create(ours, "packed", {})
    path, content = "projects/ours/functions/packed", b"not really an archive"
    sha256 = hashlib.sha256(content).hexdigest()
    body = {"function_version_id": "1.0", "function_version": {"sha256": sha256, "spec": {"image": "a"}}}
    refused(ours.post(f"{path}/versions", json=body), 400, "FUNCTION_PACKAGE_MISSING")
    refused(ours.put(f"{path}/packages/{sha256}", data=b"other"), 400, "CONTENT_MISMATCH")
    assert ours.put(f"{path}/packages/{sha256}", data=content).json()["size_bytes"] == str(len(content))
    made = ours.post(f"{path}/versions", json=body)
    assert made.status_code == 201 and made.headers["location"] == f"/api/v1/{path}/versions/1.0", made.text
    assert ours.post(f"{path}/versions", json=body).json() == made.json()
    body["function_version"]["spec"] = {"image": "b"}
    refused(ours.post(f"{path}/versions", json=body), 409, "FUNCTION_VERSION_EXISTS")
    assert ours.get(f"{path}/versions/1.0:download").content == content
    assert ours.get(f"{path}/versions/latest").json() == made.json()
    assert ours.get(path).json()["status"]["latest_version"] == "1.0"


class Shell:
    """The command line on a machine of its own: hubs are set up for each test anew."""

    def __init__(self, suite: Suite, home: Path, api: Api, project: str = "ours"):
        self.suite, self.home, self.key, self.project = suite, home, secret(api), project

    def run(self, *args: str, env: dict | None = None, stdin: str = "") -> subprocess.CompletedProcess:
        env = {**self.suite.env, "HOME": str(self.home), "XDG_CONFIG_HOME": "", "CAIRN_URL": self.suite.url,
               "CAIRN_API_KEY": self.key, "CAIRN_PROJECT": self.project, **(env or {})}
        return subprocess.run([self.suite.cairn, *args], env=env, cwd=self.home, capture_output=True, text=True,
                              input=stdin, timeout=120)

    def json(self, *args: str, **options):
        done = self.run("--json", *args, **options)
        assert done.returncode == DONE, f"{args}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def refused(self, *args: str, code: int, reason: str, **options) -> str:
        done = self.run("--json", *args, **options)
        assert done.returncode == code, f"{args}: {done.stdout}{done.stderr}"
        error = json.loads(done.stderr)["error"]
        assert error["reason"] == reason, done.stderr
        return error["message"]

    def package(self, name: str, version: str, text: str = "print(1)\n") -> str:
        folder = self.home / f"{name}-source"
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "function.toml").write_text(
            f"name = '{name}'\nversion = '{version}'\ndescription = 'says {version}'\n"
            f"[labels]\nteam = 'risk'\n[spec]\nimage = 'python'\nenv = {{ VERSION = '{version}' }}\n")
        (folder / "src" / "main.py").write_text(text)
        return str(folder)

    def signer(self) -> tuple[str, str]:
        """A signing key's file, and the key to verify with."""
        made = self.json("hub", "keygen", "example.com/team", "--out", "signing.key")
        return "signing.key", made["key"]

    def token(self, name: str, text: str) -> str:
        file = self.home / name
        file.write_text(text + "\n")
        file.chmod(0o600)
        return str(file)


@pytest.fixture
def shell(suite, ours, tmp_path) -> Shell:
    return Shell(suite, tmp_path, ours)


def test_a_package_is_published_listed_and_pulled_with_its_signature_checked_s2_55(shell, ours):
    signing, key = shell.signer()
    assert stat.S_IMODE(os.stat(shell.home / signing).st_mode) == 0o600
    folder = shell.package("trainer", "1.0")
    made = shell.json("hub", "publish", folder, "--signing-key", signing)
    assert (made["function"], made["version"]) == ("trainer", "1.0")
    assert shell.json("hub", "publish", folder, "--signing-key", signing)["sha256"] == made["sha256"], "twice is once"
    head = ours.get("projects/ours/functions/trainer").json()
    assert (head["spec"], head["labels"]) == ({"image": "python", "env": {"VERSION": "1.0"}}, {"team": "risk"})

    shell.package("trainer", "1.0", "print(2)\n")
    shell.refused("hub", "publish", folder, "--signing-key", signing, code=FAILED, reason="FUNCTION_VERSION_EXISTS")
    assert ours.get("projects/ours/functions/trainer").json() == head, "what is refused changes nothing"
    shell.package("trainer", "1.1", "print(2)\n")
    shell.json("hub", "publish", folder, "--signing-key", signing)
    assert ours.get("projects/ours/functions/trainer").json()["spec"]["env"] == {"VERSION": "1.1"}
    listed = {row["function"]: row for row in shell.json("hub", "list")}
    assert (listed["trainer"]["latest_version"], listed["trainer"]["version_count"]) == ("1.1", 2)
    assert [row["version"] for row in shell.json("hub", "list", "trainer")] == ["1.1", "1.0"]
    assert "trainer" in shell.run("hub", "list").stdout

    pulled = shell.json("hub", "pull", "trainer@1.0", "--key", key, "--to", "old")
    assert pulled["signed_by"] == ["example.com/team"]
    assert (shell.home / "old/src/main.py").read_text() == "print(1)\n"
    assert shell.json("hub", "pull", "trainer", "--key", key)["version"] == "1.1"
    assert (shell.home / "trainer/src/main.py").read_text() == "print(2)\n"
    assert shell.run("hub", "pull", "trainer", "--key", key).returncode == FAILED, "nothing is overwritten"
    archive = shell.json("hub", "pull", "trainer@1.0", "--key", key, "--archive")
    assert hashlib.sha256((shell.home / archive["path"]).read_bytes()).hexdigest() == made["sha256"]

    other = shell.json("hub", "keygen", "example.com/other", "--out", "other.key")["key"]
    shell.refused("hub", "pull", "trainer", "--key", other, "--to", "no", code=FAILED, reason="HUB_PACKAGE_REFUSED")
    shell.refused("hub", "pull", "trainer", "--to", "no", code=FAILED, reason="HUB_PACKAGE_REFUSED")
    unsigned = shell.package("unsigned", "1.0")
    shell.json("hub", "publish", unsigned)
    shell.refused("hub", "pull", "unsigned", "--key", key, "--to", "no", code=FAILED, reason="HUB_PACKAGE_REFUSED")
    assert shell.json("hub", "pull", "unsigned", "--allow-unsigned", "--to", "yes")["signed_by"] == []
    assert not (shell.home / "no").exists()
    left = [name for name in os.listdir(shell.home) if name.startswith(".no") or name.startswith(".old")]
    assert left == [], "drafts do not stay"


def test_bytes_that_are_not_what_was_published_are_never_written(shell, suite, ours):
    shell.json("hub", "publish", shell.package("damaged", "1.0"))
    found = ours.get("projects/ours/functions/damaged/versions/1.0").json()
    stored = suite.data / "objects/objects/ours/functions/damaged" / found["sha256"]
    assert stored.exists()
    stored.write_bytes(stored.read_bytes()[:-4] + b"evil")
    pulled = shell.run("hub", "pull", "damaged", "--allow-unsigned")
    assert pulled.returncode != DONE and not (shell.home / "damaged").exists()


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A package with one entry that nobody should unpack."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content, type_ in (("function.toml", b"name = 'hostile'\nversion = '1'\n", tarfile.REGTYPE),
                                     (name, b"" if link else b"evil", kind)):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname, entry.size = type_, link, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("name, kind, link", [
    ("../evil", tarfile.REGTYPE, ""), ("/tmp/evil-package", tarfile.REGTYPE, ""),
    ("link", tarfile.SYMTYPE, "/etc/passwd"), ("link", tarfile.LNKTYPE, "../../evil")])
def test_a_package_that_reaches_out_of_its_folder_is_neither_unpacked_nor_published(shell, ours, name, kind, link):
    content = hostile(name, kind, link)
    (shell.home / "hostile.tar.gz").write_bytes(content)
    shell.refused("hub", "publish", "hostile.tar.gz", code=FAILED, reason="HUB_PACKAGE_REFUSED")
    function, sha256 = f"hostile-{hashlib.sha256(content).hexdigest()[:12]}", hashlib.sha256(content).hexdigest()
    create(ours, function, {})
    assert ours.put(f"projects/ours/functions/{function}/packages/{sha256}", data=content).status_code == 200
    body = {"function_version_id": "1", "function_version": {"sha256": sha256}}
    assert ours.post(f"projects/ours/functions/{function}/versions", json=body).status_code == 201
    shell.refused("hub", "pull", function, "--allow-unsigned", code=FAILED, reason="HUB_PACKAGE_REFUSED")
    assert not (shell.home / function).exists() and not (shell.home.parent / "evil").exists()
    assert not Path("/tmp/evil-package").exists()


def private_hub(shell: Shell, url: str, good: str, wrong: str) -> None:
    """What holds of every hub with a token."""
    signing, key = shell.signer()
    shell.json("hub", "add", "private", url, "--token-file", shell.token("good", good), "--key", key)
    published = shell.json("hub", "publish", shell.package("shared", "2.0"), "--hub", "private", "--signing-key", signing)
    resolved = shell.json("hub", "resolve", "hub://private/shared")
    assert (resolved["version"], resolved["sha256"], resolved["hub"]) == ("2.0", published["sha256"], url.rstrip("/"))
    assert shell.json("hub", "pull", "hub://private/shared@2.0")["signed_by"] == ["example.com/team"]
    assert "says 2.0" in shell.run("hub", "list", "--hub", "private").stdout
    shell.package("shared", "2.0", "other\n")
    shell.refused("hub", "publish", str(shell.home / "shared-source"), "--hub", "private", code=FAILED,
                  reason="FUNCTION_VERSION_EXISTS")

    shell.json("hub", "add", "wrong", url, "--token-file", shell.token("wrong", wrong), "--key", key)
    for command in (["resolve", "hub://wrong/shared"], ["list", "--hub", "wrong"], ["pull", "hub://wrong/shared", "--to", "x"],
                    ["publish", str(shell.home / "shared-source"), "--hub", "wrong"]):
        said = shell.refused("hub", *command, code=DENIED, reason="HUB_UNAUTHORIZED")
        assert wrong not in said
    # The token may also come from the environment, or be handed over once.
    shell.json("hub", "add", "env", url)
    assert shell.json("hub", "resolve", "hub://env/shared", env={"CAIRN_HUB_TOKEN_ENV": good})["version"] == "2.0"
    shell.json("hub", "add", "kept", url, "--token-stdin", stdin=good + "\n")
    assert shell.json("hub", "resolve", "hub://kept/shared")["version"] == "2.0"
    kept = shell.home / ".config/cairn/kept.hub-token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    remotes = shell.run("--json", "hub", "remotes").stdout
    assert good not in remotes and good not in (shell.home / ".config/cairn/hubs.toml").read_text()
    shell.json("hub", "remove", "kept")
    assert not kept.exists()
    shell.refused("hub", "resolve", "hub://kept/shared", code=NOT_FOUND, reason="HUB_UNKNOWN")


def test_another_cairn_is_a_private_hub_and_a_wrong_token_is_told_as_such(shell, cairn, tmp_path_factory):
    with Suite(cairn, tmp_path_factory.mktemp("other") / "data") as other:
        keeper = Api(other)
        keeper.make("projects", {"project_id": "shared"})
        publisher = member(keeper, "publisher", "roles/editor", "shared")
        private_hub(shell, f"{other.url}/projects/shared", secret(publisher), "cairn-wrong-token")
        # A token of somebody who has no role there is no better.
        stranger = member(keeper, "stranger", "roles/viewer", "default")
        shell.json("hub", "add", "stranger", f"{other.url}/projects/shared", "--token-file",
                   shell.token("stranger", secret(stranger)))
        shell.refused("hub", "resolve", "hub://stranger/shared", code=DENIED, reason="HUB_UNAUTHORIZED")
        url = other.url
    shell.json("hub", "add", "gone", f"{url}/projects/shared")
    shell.refused("hub", "resolve", "hub://gone/shared", code=UNREACHABLE, reason="HUB_UNAVAILABLE")


def test_a_git_server_is_a_private_hub_and_a_wrong_token_is_told_as_such_s2_54(shell, tmp_path_factory):
    root = tmp_path_factory.mktemp("git")
    git_host.make_repository(root / "functions.git")
    with git_host.serve(root, token="git-token-1") as address:
        private_hub(shell, f"git+{address}/functions.git", "git-token-1", "git-token-2")
    with git_host.serve(root, token=None) as address:
        shell.json("hub", "add", "public", f"git+{address}/functions.git")
        assert shell.json("hub", "resolve", "hub://public/shared")["version"] == "2.0"


def test_what_is_no_address_of_a_hub_is_refused_before_anything_is_asked(shell):
    for url in ("example.com", "https://example.com", "git+ext::sh -c 'touch x'", "https://user:pw@example.com/projects/p"):
        shell.refused("hub", "add", "bad", url, code=USAGE, reason="UNUSABLE")
    shell.refused("hub", "resolve", "hub://nowhere/f", code=NOT_FOUND, reason="HUB_UNKNOWN")
    shell.refused("hub", "pull", "../f", code=USAGE, reason="UNUSABLE")
