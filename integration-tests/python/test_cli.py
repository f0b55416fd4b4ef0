"""The command line against a running suite: every command, as a table and as JSON, and what its exit codes say."""

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from threading import Timer

import pytest
import requests

from api import Api, eventually
from suite import Suite, one_process

DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND, DENIED = range(6)
FOLLOW_SECONDS_MAX = 20


@pytest.fixture(scope="module")
def suite(cairn, tmp_path_factory):
    """A suite of its own, so that lists hold what these tests made."""
    with Suite(cairn, tmp_path_factory.mktemp("cli") / "data") as running:
        yield running


@pytest.fixture
def run(suite) -> str:
    """The name of a fresh run with a param, a tag and a short curve."""
    api = Api(suite)
    name = api.run("from the command line")
    api.make(f"{name}:logBatch", {"batch_id": "1", "params": {"depth": "5", "seed": "1"}, "tags": {"team": "risk"}, "metrics": [
        {"key": "loss", "value": 1 / step, "step": str(step)} for step in range(1, 9)]})
    return name


def said(suite, *args: str, code: int = DONE, key: str | None = None) -> str:
    """What a command printed; it must end with the given code."""
    done = suite.cli(*args, key=key)
    assert done.returncode == code, f"{args} ended with {done.returncode}: {done.stdout}{done.stderr}"
    if code != DONE:
        assert done.stdout == "" and done.stderr, "errors go to standard error"
    return done.stdout or done.stderr


def headings(table: str) -> list[str]:
    return table.splitlines()[0].split()


def commands(cairn, *above: str) -> list[tuple[str, ...]]:
    """Every command there is, from the helps."""
    text = subprocess.run([cairn, *above, "--help"], capture_output=True, text=True, check=True).stdout
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.MULTILINE)
    below = re.findall(r"^  ([a-z-]+)", listed.group(1), re.MULTILINE) if listed else []
    found = [command for name in below if name != "help" for command in commands(cairn, *above, name)]
    return found or [above]


def test_every_command_explains_itself_and_refuses_what_it_does_not_know(cairn):
    found = commands(cairn)
    assert len(found) > 40 and ("runs", "compare") in found and ("rebuild",) in found
    for command in found:
        text = subprocess.run([cairn, *command, "--help"], capture_output=True, text=True, check=True).stdout
        assert text.splitlines()[0].strip() and f"Usage: cairn {' '.join(command)}" in text
        wrong = subprocess.run([cairn, *command, "--no-such-option"], capture_output=True, text=True)
        assert wrong.returncode == USAGE and "--no-such-option" in wrong.stderr, command


@pytest.mark.parametrize("shell, check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_the_completions_of_a_shell_know_the_commands(cairn, tmp_path, shell, check):
    script = subprocess.run([cairn, "completions", shell], capture_output=True, text=True, check=True).stdout
    assert all(command in script for command in ("service-accounts", "compare", "key-file"))
    if shutil.which(check[0]):
        file = tmp_path / "completions"
        file.write_text(script)
        subprocess.run([*check, file], check=True)


def test_exit_codes_tell_refusals_apart(suite):
    said(suite, "projects", "list")
    said(suite, "projects", "create", "default", code=FAILED)
    said(suite, "experiments", "tag", "0", "not-a-pair", code=USAGE)
    said(suite, "runs", "get", "no-such-run", code=NOT_FOUND)
    said(suite, "runs", "get", "not/a/run", code=USAGE)
    said(suite, "projects", "get", code=USAGE)
    said(suite, "--url", "http://127.0.0.1:9", "projects", "list", code=UNREACHABLE)
    assert "USER_NOT_FOUND" in said(suite, "users", "get", "nobody", code=NOT_FOUND)
    assert "CREDENTIAL_INVALID" in said(suite, "projects", "list", code=DENIED, key="wrong")


@pytest.mark.parametrize("args, code, reason", [
    (["runs", "get", "no-such-run"], NOT_FOUND, "NOT_FOUND"),
    (["users", "get", "nobody"], NOT_FOUND, "USER_NOT_FOUND"),
    (["runs", "list", "--filter", "colour = 'red'"], FAILED, "FILTER_INVALID"),
    (["projects", "get"], USAGE, "USAGE"),
    (["runs", "list", "--state", "asleep"], USAGE, "USAGE"),
    (["--url", "http://127.0.0.1:9", "whoami"], UNREACHABLE, "UNREACHABLE"),
    (["--url", "localhost:3001", "whoami"], USAGE, "USAGE"),
    (["config", "check", "--set", "server.colour=red"], FAILED, "CONFIGURATION_INVALID"),
])
def test_an_error_is_one_json_object_on_standard_error_for_programs(suite, args, code, reason):
    done = suite.cli("--json", *args)
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["exit_code"], error["reason"], done.stdout) == (code, code, reason, ""), done.stderr
    assert error["message"]


def test_an_address_that_is_not_the_gateways_is_told_from_an_empty_answer(suite):
    grpc_port = suite.cli("--url", suite.grpc, "whoami")
    assert grpc_port.returncode != DONE and "--url" in grpc_port.stderr, grpc_port.stdout + grpc_port.stderr


def test_a_list_of_many_pages_is_valid_json_with_every_item_and_ends_at_its_limit(suite):
    api = Api(suite)
    where = api.make("projects/default/experiments", {"display_name": "many"})["name"]
    made = {api.make(f"{where}/runs", {"display_name": f"r{n}", "request_id": f"many-{n}"})["name"] for n in range(1005)}
    listed = suite.cli_json("runs", "list", "--experiment", where, "--limit", "5000")
    assert {run["name"] for run in listed} == made and len(listed) == 1005
    assert len(suite.cli_json("runs", "list", "--experiment", where, "--limit", "1002")) == 1002
    assert suite.cli_json("runs", "list", "--experiment", where, "--state", "failed") == []
    assert len(suite.cli_json("runs", "list", "--experiment", where, "--state", "running", "--limit", "3")) == 3


def test_output_for_pipes_has_neither_colours_nor_progress_bars(suite, run, tmp_path):
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(1 << 20))
    for args in (["artifacts", "upload", run, str(file)], ["runs", "list"], ["no-such-command"], ["--help"]):
        done = suite.cli(*args)
        assert "\x1b" not in done.stdout + done.stderr, args
    assert suite.cli("artifacts", "upload", run, str(file)).stderr == ""


def test_the_key_can_come_from_a_file(suite, tmp_path):
    file = tmp_path / "key"
    file.write_text(suite.key + "\n")
    file.chmod(0o600)
    assert "users/admin" in said(suite, "--key-file", str(file), "whoami", key="wrong")
    said(suite, "--key-file", str(tmp_path / "missing"), "whoami", code=FAILED)
    file.chmod(0o644)
    assert "everybody on this machine can read" in suite.cli("--key-file", str(file), "whoami").stderr
    file.chmod(0o600)
    assert suite.cli("--key-file", str(file), "whoami").stderr == ""
    file.write_text("")
    said(suite, "--key-file", str(file), "whoami", code=FAILED)


def test_a_variable_that_is_set_to_nothing_says_nothing(suite):
    env = {"CAIRN_KEY_FILE": "", "CAIRN_PROJECT": "", "CAIRN_CONFIG": "", "CAIRN_API_KEY": suite.key, "CAIRN_URL": suite.url}
    done = subprocess.run([suite.cairn, "experiments", "list"], env=env, capture_output=True, text=True)
    assert done.returncode == DONE and "Default" in done.stdout, done.stderr


def test_bash_completes_commands_with_the_script_it_is_given(cairn, tmp_path):
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    asked = """source <("$0" completions bash); COMP_WORDS=(cairn experiments re); COMP_CWORD=2
               _cairn cairn re experiments; printf '%s\\n' "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-c", asked, cairn], capture_output=True, text=True)
    assert set(done.stdout.split()) == {"rename", "restore"}, done.stdout + done.stderr


def test_projects_are_made_shown_closed_and_opened_again(suite):
    said(suite, "projects", "create", "cli", "--title", "Command line", "--description", "for tests")
    shown = suite.cli_json("projects", "get", "cli")
    assert shown["title"] == "Command line" and shown["description"] == "for tests" and shown["state"] == "STATE_ACTIVE"
    table = said(suite, "projects", "list")
    assert headings(table)[:4] == ["NAME", "ORGANIZATION", "TITLE", "STATE"] and "projects/cli" in table
    said(suite, "projects", "delete", "cli")
    assert suite.cli_json("projects", "get", "cli")["state"] == "STATE_DELETED"
    then = suite.cli_json("--as-of", shown["create_time"], "projects", "get", "cli")
    assert then == shown
    assert "not about a moment" in said(suite, "--as-of", "1", "projects", "restore", "cli", code=FAILED)
    assert "PROJECT_DELETED" in said(suite, "--project", "cli", "experiments", "create", "too late", code=FAILED)
    said(suite, "projects", "restore", "cli")
    assert suite.cli_json("--project", "cli", "experiments", "create", "in time")["name"].startswith("projects/cli/")


def test_people_can_be_listed_disabled_let_in_and_removed(suite):
    name = Api(suite).make("users", {"user": {"display_name": "Grace"}})["name"]
    account = name.split("/")[1]
    assert name in said(suite, "users", "list") and name in [user["name"] for user in suite.cli_json("users", "list")]
    key = suite.cli_json("keys", "create", "--owner", name)["secret"]
    for command, state, code in [("disable", "STATE_DISABLED", DENIED), ("enable", "STATE_ACTIVE", DONE)]:
        said(suite, "users", command, account)
        assert suite.cli_json("users", "get", account)["state"] == state
        eventually(lambda code=code: suite.cli("whoami", key=key).returncode == code)
    said(suite, "users", "delete", account)
    assert "Grace" not in suite.cli("users", "get", account).stdout


def test_a_program_gets_an_account_a_role_and_keys_and_loses_them_again(suite):
    said(suite, "service-accounts", "create", "ci", "--title", "Builds")
    assert "serviceAccounts/ci" in said(suite, "service-accounts", "list")
    assert suite.cli_json("service-accounts", "get", "ci")["title"] == "Builds"
    done = suite.cli("keys", "create", "--owner", "serviceAccounts/ci", "--title", "pipeline", "--expires-in", "1d")
    key = done.stdout.strip()
    assert done.returncode == DONE and key.startswith("cairn_sa_") and key not in done.stderr
    listed = suite.cli_json("keys", "list", "--owner", "serviceAccounts/ci")
    assert [entry["title"] for entry in listed] == ["pipeline"] and "secret" not in listed[0]
    assert listed[0]["name"] in said(suite, "keys", "list", "--owner", "serviceAccounts/ci")

    said(suite, "experiments", "list", code=DENIED, key=key)
    binding = suite.cli_json("bindings", "create", "--principal", "serviceAccounts/ci", "--role", "roles/editor",
                             "--resource", "projects/default", "--reason", "builds")["name"]
    eventually(lambda: suite.cli("experiments", "list", key=key).returncode == DONE)
    [told] = suite.cli_json("whoami", key=key)["grants"]
    assert told["role"] == "roles/editor" and "serviceAccounts/ci" in said(suite, "whoami", key=key)
    assert binding in said(suite, "bindings", "list", "--principal", "serviceAccounts/ci")
    said(suite, "bindings", "create", "--principal", "serviceAccounts/ci", "--role", "roles/admin", "--resource", "*",
         code=DENIED, key=key)

    rotated = suite.cli_json("keys", "rotate", listed[0]["name"])["secret"]
    eventually(lambda: suite.cli("experiments", "list", key=key).returncode == DENIED)
    said(suite, "experiments", "list", key=rotated)
    said(suite, "keys", "revoke", listed[0]["name"], "--reason", "leaked")
    eventually(lambda: suite.cli("experiments", "list", key=rotated).returncode == DENIED)
    assert suite.cli_json("keys", "list", "--owner", "serviceAccounts/ci") == []
    assert len(suite.cli_json("keys", "list", "--owner", "serviceAccounts/ci", "--revoked")) == 1

    said(suite, "bindings", "delete", binding)
    assert suite.cli_json("bindings", "list", "--principal", "serviceAccounts/ci") == []
    said(suite, "service-accounts", "disable", "ci")
    assert suite.cli_json("service-accounts", "get", "ci")["state"] == "STATE_DISABLED"
    said(suite, "service-accounts", "enable", "ci")
    said(suite, "service-accounts", "delete", "ci")


def test_the_roles_say_what_they_permit(suite):
    roles = {role["name"]: role["permissions"] for role in suite.cli_json("roles", "list")}
    assert set(roles["roles/viewer"]) < set(roles["roles/editor"]) < set(roles["roles/manager"]) < set(roles["roles/admin"])
    assert headings(said(suite, "roles", "list")) == ["NAME", "DESCRIPTION", "PERMISSIONS"]


def test_an_experiment_is_made_renamed_tagged_deleted_and_restored(suite):
    made = suite.cli_json("experiments", "create", "fraud", "--description", "who cheats", "--tag", "team=risk")
    name = made["name"].split("/")[-1]
    assert made["description"] == "who cheats" and made["tags"]["team"] == "risk"
    assert "EXPERIMENT_EXISTS" in said(suite, "experiments", "create", "fraud", code=FAILED)
    said(suite, "experiments", "rename", name, "fraud 2")
    said(suite, "experiments", "tag", name, "stage=dev", "team=core")
    shown = suite.cli_json("experiments", "get", made["name"])
    assert shown["display_name"] == "fraud 2" and shown["tags"].items() >= {"team": "core", "stage": "dev"}.items()
    found = suite.cli_json("experiments", "list", "--filter", "tags.team = 'core'")
    assert [experiment["name"] for experiment in found] == [made["name"]]
    said(suite, "experiments", "delete", name)
    listed = [experiment["name"] for experiment in suite.cli_json("experiments", "list")]
    with_deleted = [experiment["name"] for experiment in suite.cli_json("experiments", "list", "--deleted")]
    assert made["name"] not in listed and made["name"] in with_deleted
    said(suite, "experiments", "restore", name)
    assert "fraud 2" in said(suite, "experiments", "list")


def test_runs_are_found_shown_compared_and_their_points_printed_s3_15(suite, run):
    api = Api(suite)
    other = api.run("the other")
    api.make(f"{other}:logBatch", {"batch_id": "1", "params": {"depth": "7", "seed": "1"},
                                     "metrics": [{"key": "loss", "value": 0.5, "step": "1"}]})
    found = suite.cli_json("runs", "list", "--filter", "metrics.loss < 0.3 AND params.depth = '5'", "--order-by", "metrics.loss ASC")
    assert run in [entry["name"] for entry in found] and other not in [entry["name"] for entry in found]
    assert run.split("/")[-1] in said(suite, "runs", "list", "--experiment", "0")
    shown = suite.cli_json("runs", "get", run.split("/")[-1])
    assert shown["name"] == run and shown["params"] == {"depth": "5", "seed": "1"} and "depth=5" in said(suite, "runs", "get", run)

    compared = suite.cli_json("runs", "compare", run, other)
    [depth] = compared["params"]
    assert depth["differs"] and [cell["value"] for cell in depth["cells"]] == ["5", "7"]
    table = said(suite, "runs", "compare", run, other)
    assert "params.depth" in table and "params.seed" not in table
    assert "params.seed" in said(suite, "runs", "compare", run, other, "--all")

    points = suite.cli_json("runs", "metrics", run, "loss")
    assert [(int(point["step"]), point["value"]) for point in points] == [(step, 1 / step) for step in range(1, 9)]
    assert len(suite.cli_json("runs", "metrics", run, "loss", "--points", "4")) <= 4
    assert headings(said(suite, "runs", "metrics", run, "loss")) == ["STEP", "VALUE", "TIME"]

    said(suite, "runs", "delete", run)
    assert run not in [entry["name"] for entry in suite.cli_json("runs", "list")]
    said(suite, "runs", "restore", run)
    assert run in [entry["name"] for entry in suite.cli_json("runs", "list")]


@contextmanager
def follow(suite, *args: str):
    """A command that prints as things happen; it is ended with the block, and when it tells nothing for long."""
    process = subprocess.Popen([suite.cairn, *args], env={**suite.env, "CAIRN_URL": suite.url}, stdout=subprocess.PIPE, text=True)
    watchdog = Timer(FOLLOW_SECONDS_MAX, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_the_log_of_a_run_streams_while_it_is_at_work_and_is_complete_afterwards_s1_38(suite, run):
    printed = ["epoch 1", "", "größer: 0,5", "x" * 40_000]
    with follow(suite, "run", "logs", "-f", run.split("/")[-1]) as following:
        adding = subprocess.Popen(
            [suite.cairn, "runs", "logs", run, "--append", "-"], env={**suite.env, "CAIRN_URL": suite.url},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for text in printed[:3]:
            adding.stdin.write(text + "\n")
            adding.stdin.flush()
            assert following.stdout.readline() == text + "\n", "it is told while the program goes on"
        adding.stdin.write(printed[3])
        assert "which has 6" in adding.communicate(timeout=FOLLOW_SECONDS_MAX)[0], "the long line was broken into three"
        Api(suite).make(f"{run}:finish", {})
        rest = following.stdout.read()
        assert rest.replace("\n", "") == printed[3] and following.wait() == DONE, "it ends with the run"
    whole = said(suite, "runs", "logs", run)
    assert whole.splitlines()[:3] == printed[:3] and whole.count("\n") == 6
    log = eventually(lambda: (log := Api(suite).get(f"{run}/log").json()).get("sha256") and log)
    assert log["sha256"] == hashlib.sha256(whole.encode()).hexdigest() and log["line_count"] == "6"
    closed = eventually(lambda: suite.cli_json("events", "list", "--type", "RunLogClosed", "--resource", run))
    assert len(closed) == 1
    lines = suite.cli_json("runs", "logs", run, "--tail", "4")
    assert [line["number"] for line in lines] == ["3", "4", "5", "6"] and lines[0]["text"] == printed[2]
    assert said(suite, "runs", "logs", run, "--tail", "4", "--since", "2100-01-01T00:00:00Z") == ""
    assert said(suite, "runs", "logs", run, "--since", "1h") == whole
    late = subprocess.run([suite.cairn, "runs", "logs", run, "--append", "-"], input="late\n", text=True,
                          env={**suite.env, "CAIRN_URL": suite.url, "CAIRN_API_KEY": suite.key}, capture_output=True)
    assert late.returncode == FAILED and "run has ended" in late.stderr


def test_the_history_of_a_run_tells_of_metrics_in_words(suite, run):
    history = eventually(lambda: "RunCreated" in (told := said(suite, "events", "history", run)) and told)
    assert "loss ×8 steps 1–8" in history and "time_deltas_ms" not in history
    batch = [event for event in suite.cli_json("events", "history", run) if event["type"].endswith("MetricsLogged")]
    assert len(batch[0]["data"]["values"]) == 8, "programs get all of it"


def test_a_watched_run_prints_its_points_until_it_ends(suite, run):
    with follow(suite, "runs", "watch", run, "--metric", "loss") as watching:
        assert watching.stdout.readline().split()[1:] == ["loss", "step", "1", "1.0"]
        Api(suite).make(f"{run}:logBatch", {"batch_id": "2", "metrics": [{"key": "loss", "value": 0.0625, "step": "9"}]})
        Api(suite).make(f"{run}:finish", {"state": "RUN_STATE_FINISHED"})
        rest = watching.stdout.read()
        assert watching.wait() == DONE
    assert "loss  step 9  0.0625" in rest


def test_files_and_folders_go_up_and_come_down_the_same_s1_34_s3_13(suite, run, tmp_path):
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 500)
    (folder / "data" / "ein Ü, bitte.txt").write_text("grüße")
    said(suite, "artifacts", "upload", run, str(folder), "--to", "best")
    said(suite, "artifacts", "upload", run, str(folder / "weights.bin"))
    paths = [entry["path"] for entry in suite.cli_json("artifacts", "list", run)]
    assert paths == ["best/data/ein Ü, bitte.txt", "best/weights.bin", "weights.bin"]
    assert "best/weights.bin" in said(suite, "artifacts", "list", run, "--folder", "best")
    down = tmp_path / "down"
    said(suite, "artifacts", "download", run, "best/weights.bin", "--to", str(down))
    assert down.read_bytes() == (folder / "weights.bin").read_bytes()
    said(suite, "artifacts", "download", run, "best/data/ein Ü, bitte.txt", "--to", str(down))
    assert down.read_text() == "grüße"

    address = said(suite, "artifacts", "url", run, "best/weights.bin", "--lifetime", "5m").strip()
    assert requests.get(address).content == (folder / "weights.bin").read_bytes(), "no credential is needed"
    for place in (address.index("?") - 1, len(address) - 10):
        changed = "0" if address[place] != "0" else "1"
        assert requests.get(address[:place] + changed + address[place + 1:]).status_code == 403

    said(suite, "artifacts", "delete", run, "weights.bin")
    said(suite, "artifacts", "download", run, "weights.bin", "--to", str(down), code=NOT_FOUND)
    assert down.read_text() == "grüße", "a download that failed leaves what was there"


def test_the_log_is_listed_followed_and_read_by_resource(suite):
    with follow(suite, "--json", "events", "tail", "--type", "ProjectCreated", "--after", "0") as tailing:
        assert json.loads(tailing.stdout.readline())["resource"] == "projects/default"
        suite.cli_json("projects", "create", "told")
        for line in tailing.stdout:
            if json.loads(line)["resource"] == "projects/told":
                break
        else:
            pytest.fail("the new project was not told")
    listed = eventually(lambda: suite.cli_json("events", "list", "--resource", "projects/told"))
    assert listed[0]["type"] == "cairn.auth.events.v1.ProjectCreated" and listed[0]["principal"] == "users/admin"
    assert headings(said(suite, "events", "list", "--limit", "3"))[:3] == ["POSITION", "TIME", "TYPE"]
    made = suite.cli_json("experiments", "create", "historic")["name"]
    said(suite, "experiments", "rename", made, "historic 2")
    history = eventually(lambda: (found := suite.cli_json("events", "history", made)) and len(found) == 2 and found)
    assert [event["type"].split(".")[-1] for event in history] == ["ExperimentCreated", "ExperimentRenamed"]
    assert "ExperimentRenamed" in said(suite, "events", "history", made)


def test_the_history_of_a_run_is_told_under_its_own_name_whoever_wrote_it(suite, run):
    run_id, headers = run.rsplit("/", 1)[-1], {"Authorization": f"Bearer {suite.key}"}
    logged = requests.post(f"{suite.url}/api/2.0/mlflow/runs/log-metric", headers=headers, timeout=10, json={
        "run_id": run_id, "key": "loss", "value": 0.1, "timestamp": 1, "step": 9})
    assert logged.ok, logged.text
    kinds = eventually(lambda: (found := kinds_of(suite, run)) and found[-1] == "MetricsLogged" and found)
    assert kinds[0] == "RunCreated" and kinds.count("MetricsLogged") == 2


def kinds_of(suite, name: str) -> list[str]:
    return [event["type"].split(".")[-1] for event in suite.cli_json("events", "history", name)]


def test_a_person_is_named_by_the_server(suite):
    made = suite.cli_json("users", "create", "Ada")
    assert made["name"].startswith("users/") and made["display_name"] == "Ada"


def test_the_audit_log_answers_who_did_what_and_what_was_refused(suite):
    made = suite.cli_json("experiments", "create", "audited")["name"]
    [record] = eventually(lambda: suite.cli_json("audit", "list", "--resource", made))
    assert record["principal"] == "users/admin" and record["outcome"] == "OUTCOME_COMMITTED"
    said(suite, "service-accounts", "create", "curious")
    key = suite.cli_json("keys", "create", "--owner", "serviceAccounts/curious")["secret"]
    said(suite, "experiments", "create", "not allowed", code=DENIED, key=key)
    def denied():
        return suite.cli_json("audit", "list", "--principal", "serviceAccounts/curious", "--action", "experiments.experiments.create")
    [refused] = eventually(denied)
    assert refused["outcome"] == "OUTCOME_DENIED"
    assert suite.cli_json("audit", "list", "--request-id", refused["request_id"]) == [refused]
    assert refused not in suite.cli_json("audit", "list", "--to", refused["event_time"])
    assert refused in suite.cli_json("audit", "list", "--from", refused["event_time"])
    assert headings(said(suite, "audit", "list")) == ["TIME", "PRINCIPAL", "ACTION", "RESOURCE", "OUTCOME", "REASON"]


def config(cairn, *args: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run([cairn, "config", *args], env={"PATH": "", **env}, capture_output=True, text=True)


def test_settings_are_printed_with_their_origin_and_without_secrets_s1_50(cairn, tmp_path):
    file = tmp_path / "cairn.toml"
    file.write_text("[server]\ngrpc_port = 7777\n")
    printed = config(cairn, "print", "--config", str(file), API_HTTP_PORT="8080", CAIRN_API_KEY="a-secret-of-the-operator").stdout
    assert re.search(r"^http_port = 8080 .*API_HTTP_PORT", printed, re.MULTILINE)
    assert re.search(rf"^grpc_port = 7777 .*{re.escape(file.name)}", printed, re.MULTILINE)
    assert "a-secret" not in printed
    told = config(cairn, "explain", "server.http_port", API_HTTP_PORT="8080").stdout
    assert "8080" in told and "API_HTTP_PORT" in told
    assert config(cairn, "explain", "server.colour").returncode == FAILED
    assert "`API_HTTP_PORT`" in config(cairn, "doc").stdout


def test_a_wrong_configuration_is_told_before_it_is_used_s1_50(cairn, tmp_path):
    assert config(cairn, "check").returncode == DONE
    wrong = config(cairn, "check", API_HTTP_PORT="many")
    assert wrong.returncode == FAILED and "API_HTTP_PORT" in wrong.stderr
    file = tmp_path / "cairn.toml"
    file.write_text("[server]\nhttp_prot = 1\n")
    typo = config(cairn, "check", "--config", str(file))
    assert typo.returncode == FAILED and "http_prot" in typo.stderr


@one_process("the log is in the data folder")
def test_a_copy_of_a_stopped_suite_is_rebuilt_to_the_same_views(cairn, tmp_path):
    suite = Suite(cairn, tmp_path / "data")
    with suite:
        api = Api(suite)
        name = api.run("to be rebuilt")
        api.make(f"{name}:logBatch", {"batch_id": "1", "metrics": [{"key": "loss", "value": n, "step": str(n)} for n in range(50)]})
        busy = suite.cli("rebuild", "--verify", "--data", str(suite.data))
        assert busy.returncode == FAILED and str(suite.data) in busy.stderr
    copy = tmp_path / "copy"
    shutil.copytree(suite.data, copy)
    verified = suite.cli("rebuild", "--verify", "--data", str(copy))
    assert verified.returncode == DONE, verified.stdout + verified.stderr
    rebuilt = suite.cli("rebuild", "--data", str(copy))
    assert rebuilt.returncode == DONE, rebuilt.stdout + rebuilt.stderr
    again = Suite(cairn, copy, {"CAIRN_API_KEY": suite.key})
    again.key = suite.key
    with again:
        points = Api(again).get(f"{name}/metricPoints", params={"metric": "loss", "page_size": 100}).json()["points"]
        assert [point.get("value", 0) for point in points] == list(range(50))


def test_the_audit_log_goes_out_as_lines_for_other_programs(suite, run):
    listed = eventually(lambda: (found := suite.cli_json("audit", "list", "--resource", run)) and len(found) > 2 and found)
    lines = [json.loads(line) for line in said(suite, "audit", "export", "--format", "jsonl", "--resource", run).splitlines()]
    assert lines == listed[::-1], "the same records, oldest first"
    table = list(csv.DictReader(io.StringIO(said(suite, "audit", "export", "--format", "csv", "--resource", run))))
    assert [{key: value for key, value in row.items() if value} for row in table] == lines
    rest = said(suite, "audit", "export", "--format", "jsonl", "--resource", run, "--after", lines[0]["position"])
    assert [json.loads(line) for line in rest.splitlines()] == lines[1:], "an export goes on where one broke off"
    [created] = suite.cli_json("audit", "list", "--resource", run, "--action", "experiments.runs.create", "--limit", "1")
    assert created["principal"] == "users/admin" and created["outcome"] == "OUTCOME_COMMITTED"
    asked = eventually(lambda: suite.cli_json("audit", "list", "--outcome", "read", "--action", "ledger.audit.read"))
    assert any(record["method"].endswith("/ExportAuditRecords") for record in asked), "who exported is on record"
    said(suite, "audit", "export", "--format", "csv", code=DENIED, key="wrong")
