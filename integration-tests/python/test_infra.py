"""What `docker/` and `infra/` describe can be deployed: offline, by the validators of the things themselves, and by the program that
is told what they say."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA, DOCKER = ROOT / "infra", ROOT / "docker"
PROFILES = ["small", "medium", "large"]
ROLES = ["auth", "config", "experiments", "registry", "ledger", "gateway"]
KUBERNETES = "1.31"


def kustomized(profile: str) -> list[dict]:
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl")
    done = subprocess.run(["kubectl", "kustomize", INFRA / "kubernetes/overlays" / profile], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def charted(profile: str, **values) -> list[dict]:
    """Rendered by Helm's own engine."""
    sdk = pytest.importorskip("helm_python", reason="no helm-python-sdk")
    rendered = sdk.Chart.load(str(INFRA / "helm/cairn")).render({"profile": profile, **values}, name="cairn")
    return [thing for text in rendered.values() for thing in yaml.safe_load_all(text) if thing]


def of_kind(things: list[dict], kind: str) -> dict[str, dict]:
    return {thing["metadata"]["name"]: thing for thing in things if thing["kind"] == kind}


def told(container: dict, things: list[dict]) -> dict[str, str]:
    """The environment of a container."""
    maps = of_kind(things, "ConfigMap")
    env = {}
    for source in container.get("envFrom", []):
        env |= maps[source["configMapRef"]["name"]]["data"]
    return env | {variable["name"]: variable["value"] for variable in container["env"]}


def understood(cairn: Path, env: dict[str, str], secrets: Path) -> dict:
    """What the program makes of an environment; a misspelt setting is refused. Secrets lie elsewhere here."""
    secrets.mkdir(exist_ok=True)
    here = {}
    for name, value in env.items():
        if name.endswith("_FILE") and value.startswith("/run/secrets"):
            file = secrets / Path(value).name
            known = {"database-url": "postgres://cairn@db.example/cairn", "nats-url": "nats://cairn:secret@queue.example:4222"}
            file.write_text(known.get(file.name, "secret"))
            value = str(file)
        here[name] = str(value)
    done = subprocess.run([cairn, "--json", "config", "explain"], env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    explained = json.loads(done.stdout)
    items = explained if isinstance(explained, list) else explained["settings"]
    named = json.dumps(items)
    for name in here:
        assert name in named, f"{name} sets nothing"
    return items


def check(cairn: Path, things: list[dict], tmp_path: Path) -> None:
    """What holds for every way to deploy."""
    validate = pytest.importorskip("kubernetes_validate", reason="no kubernetes-validate")
    for thing in things:
        if "cert-manager.io" not in thing["apiVersion"]:
            validate.validate(thing, KUBERNETES, strict=True)
    sets, services = of_kind(things, "StatefulSet"), of_kind(things, "Service")
    for kind, path in [("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector"), ("Service", "selector")]:
        for name, thing in of_kind(things, kind).items():
            assert thing["spec"][path], f"{kind} {name} is about every pod there is"
    for name, thing in sets.items():
        spec = thing["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]} and not spec["automountServiceAccountToken"]
        assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= container.keys()
        assert thing["spec"]["serviceName"] in services
        ports = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in services[thing["spec"]["serviceName"]]["spec"]["ports"]} <= ports
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        there = {volume["name"] for volume in spec["volumes"]} | {claim["metadata"]["name"] for claim in thing["spec"]["volumeClaimTemplates"]}
        assert mounted == there, name
        env = told(container, things)
        understood(cairn, env, tmp_path / "secrets")
        args = container["args"]
        assert args == ["up"] or (args[0] == "serve" and args[1] in ROLES), args
        if args[-1] == "gateway":
            for role in ROLES[:-1]:
                for url in env[f"CAIRN__PEERS__{role.upper()}"].split(","):
                    host = re.fullmatch(r"http://([a-z0-9.-]+):50100", url.strip())[1]
                    pod, _, service = host.rpartition(".")
                    assert service in services, host
                    if pod:
                        owner, _, number = pod.rpartition("-")
                        assert int(number) < sets[owner]["spec"]["replicas"], f"there is no {pod}"
            several = env["CAIRN__PEERS__EXPERIMENTS"].split(",")
            (experiments,) = [thing for name, thing in sets.items() if name.endswith("experiments")]
            assert len(several) == experiments["spec"]["replicas"], "a process that nobody asks"


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_is_what_kubernetes_and_the_program_understand(cairn, tmp_path, profile):
    things = kustomized(profile)
    check(cairn, things, tmp_path)
    assert len(of_kind(things, "StatefulSet")) == (1 if profile == "small" else len(ROLES))
    if profile == "large":
        assert not any("PLAIN" in key for key in of_kind(things, "ConfigMap")["cairn-settings"]["data"])
        assert len(of_kind(things, "Certificate")) == len(ROLES)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_chart_describes_the_same(cairn, tmp_path, profile):
    things = charted(profile, mutualTls={"enabled": profile == "large", "issuer": "cairn-links"})
    check(cairn, things, tmp_path)
    assert len(of_kind(things, "StatefulSet")) == (1 if profile == "small" else len(ROLES))
    assert len(of_kind(things, "Certificate")) == (len(ROLES) if profile == "large" else 0)


def test_a_profile_that_there_is_not_is_refused():
    with pytest.raises(Exception, match="profile"):
        charted("huge")


@pytest.mark.parametrize("file", ["compose.yaml", "compose.processes.yaml"])
def test_compose_files_name_what_is_there_and_what_the_program_understands(cairn, tmp_path, file):
    compose = yaml.safe_load((DOCKER / file).read_text())
    services = compose["services"]
    for name, service in services.items():
        needed = service.get("depends_on", {})
        assert needed.keys() <= services.keys(), name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], f"{name}: {volume}"
        assert set(service.get("secrets", [])) <= set(compose.get("secrets", {})), name
        for other, how in needed.items():
            if how["condition"] == "service_healthy":
                ours = services[other].get("image") == "cairn"
                assert ours or "healthcheck" in services[other], f"{name} waits for {other}, which never says that it is well"
        if service.get("image") != "cairn":
            continue
        env = service["environment"]
        understood(cairn, env, tmp_path / "secrets")
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        for role in ROLES[:-1]:
            for url in filter(None, env.get(f"CAIRN__PEERS__{role.upper()}", "").split(",")):
                host = re.fullmatch(r"http://([a-z0-9-]+):50100", url)[1]
                assert services[host]["command"] == ["serve", role], url
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        done = subprocess.run(["docker", "compose", "-f", DOCKER / file, "config", "-q"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_image_is_small_and_has_nobody_with_rights(cairn):
    text = (DOCKER / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.M)
    assert len(stages) == 2 and "distroless" in stages[-1]
    last = text[text.rindex("FROM "):]
    assert re.search(r"^USER 65532", last, re.M) and "HEALTHCHECK" in last
    wanted = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())[1]
    assert f"rust:{wanted}-" in stages[0]
    # What it is started with, and asked by.
    for command in (["up", "--help"], ["health", "--help"]):
        assert subprocess.run([cairn, *command], capture_output=True).returncode == 0


def promtool() -> str:
    return shutil.which("promtool") or pytest.skip("no promtool: `make test-python` installs Debian's prometheus")


def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    shutil.copytree(INFRA / "prometheus", tmp_path / "prometheus")
    # Debian's Prometheus is built without what finds processes in a cluster.
    config = yaml.safe_load((INFRA / "prometheus/prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    (tmp_path / "prometheus/prometheus.yaml").write_text(yaml.safe_dump(config))
    for command in (["check", "rules", "rules.yaml"], ["check", "config", "--syntax-only", "prometheus.yaml"], ["test", "rules", "rules_test.yaml"]):
        done = subprocess.run([promtool(), *command], cwd=tmp_path / "prometheus", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def names(text: str) -> set[str]:
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bcairn_[a-z0-9_]+", text)}


def test_every_metric_that_is_watched_is_one_that_the_program_has(cairn):
    watched = names((INFRA / "prometheus/rules.yaml").read_text())
    dashboard = json.loads((INFRA / "grafana/dashboards/cairn.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    watched |= names(" ".join(asked))
    assert len(watched) > 15
    program = Path(cairn).read_bytes()
    assert [name for name in sorted(watched) if name.encode() not in program] == []
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_queries_of_the_dashboard_are_understood_by_prometheus(tmp_path):
    dashboard = json.loads((INFRA / "grafana/dashboards/cairn.json").read_text())
    rules = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$job", "cairn")
            rules.append({"record": f"panel_{panel['id']}_{target['refId']}", "expr": expression})
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_health_is_told_by_an_exit_code(cairn, suite):
    def health(*args: str, url: str = "") -> subprocess.CompletedProcess:
        return subprocess.run([cairn, *args], env={**os.environ, "CAIRN_URL": url or suite.url, "CAIRN_API_KEY": ""}, capture_output=True, text=True)

    done = health("health")
    assert done.returncode == 0 and "storage" in done.stdout, done.stderr
    assert json.loads(health("--json", "health", "--live").stdout)["is_live"] is True
    away = health("health", url="http://127.0.0.1:9")
    assert away.returncode == 1 and "does not answer" in away.stderr, away.stderr
