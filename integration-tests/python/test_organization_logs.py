"""Who looks after one organization verifies its log with files alone, and sees nothing of the others'."""

import json
import subprocess

from api import Api
from suite import Suite


def verify(cairn, *args) -> subprocess.CompletedProcess:
    """With no address, no key and no variable of ours."""
    return subprocess.run([cairn, "audit", "verify", *map(str, args)], env={}, capture_output=True, text=True)


def entries(folder) -> list[dict]:
    """What stands in the entries of a copied log."""
    files = [path for path in (folder / "tile" / "entries").rglob("*") if path.is_file()]
    texts = b"".join(path.read_bytes() for path in files).decode(errors="replace")
    return [json.loads('{"v":1,' + part.split("}")[0] + "}") for part in texts.split('{"v":1,')[1:]]


def test_an_organization_copies_and_verifies_its_own_log_and_no_other(cairn, tmp_path):
    with Suite(cairn, tmp_path / "data") as suite:
        admin = Api(suite)
        for id in ("acme", "globex"):
            admin.make("organizations", {"organization_id": id})
            project = admin.make(f"organizations/{id}/projects", {"project_id": f"{id}-lab"})["name"]
            admin.make(f"{project}/experiments/0/runs", {"display_name": "r"})
        name = admin.make("serviceAccounts", {"service_account_id": "looks-after-acme"})["name"]
        binding = {"principal": name, "role": "roles/org-admin", "resource": "organizations/acme"}
        admin.make("bindings", {"binding": binding})
        key = admin.make(f"{name}/apiKeys", {})["secret"]

        def audit(*args, organization="acme"):
            return suite.cli("audit", *args, "--organization", organization, key=key)

        keys = tmp_path / "keys"
        keys.write_text(audit("checkpoint", "--keys").stdout)
        folder = tmp_path / "log"
        done = audit("pull", str(folder))
        assert done.returncode == 0, done.stderr
        done = verify(cairn, folder, "--key", keys)
        assert done.returncode == 0 and "/organizations/acme" in done.stdout, done.stderr
        found = entries(folder)
        streams = {entry["stream"] for entry in found}
        assert any("projects/acme-lab/" in stream for stream in streams)
        assert not any("globex" in stream for stream in streams), streams

        position = str(found[-1]["position"])
        proof = tmp_path / "one.tlog-proof"
        assert audit("prove", position, "--to", str(proof)).returncode == 0
        assert verify(cairn, proof, "--key", keys).returncode == 0

        for other in ("globex", "default"):
            refused = audit("pull", str(tmp_path / other), organization=other)
            assert refused.returncode != 0 and "not allowed" in refused.stderr, refused.stderr
        whole = suite.cli("audit", "pull", str(tmp_path / "whole"), key=key)
        assert whole.returncode != 0, "the whole log has what others do in it"

        # A byte that is another is found, wherever it is.
        tile = next(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
        bytes = bytearray(tile.read_bytes())
        bytes[len(bytes) // 2] ^= 1
        tile.write_bytes(bytes)
        assert verify(cairn, folder, "--key", keys).returncode == 1
