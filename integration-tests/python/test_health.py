"""What the process says of its health when the machine under it is not well."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from api import eventually
from disk import image, needs_root
from suite import Suite, one_process

QUICK = {"CAIRN__HEALTH__INTERVAL_MS": "100", "CAIRN__HEALTH__RECOVER_AFTER": "1"}
MIB = 1 << 20


def component(suite: Suite, name: str) -> dict:
    report = requests.get(f"{suite.url}/api/v1/health", timeout=10).json()
    [found] = [component for component in report["components"] if component["name"] == name]
    return found


def becomes(suite: Suite, name: str, state: str, status: int) -> str:
    """Waits for a part's state, and that the whole answers so. Gives what it says."""
    def reached():
        health = requests.get(f"{suite.url}/api/v1/health", timeout=10)
        return component(suite, name)["state"] == state and health.status_code == status
    eventually(reached)
    return component(suite, name)["message"]


@needs_root
def test_a_disk_that_fills_is_first_a_warning_then_critical_and_well_again_with_space_s3_35_s3_77_s4_113(cairn, tmp_path):
    limits = {"CAIRN__HEALTH__DISK_PLENTY_BYTES": "1000000000", "CAIRN__HEALTH__DISK_WARNING_SHARE": "0.7",
              "CAIRN__HEALTH__DISK_CRITICAL_SHARE": "0.9"}
    with image(tmp_path, megabytes=128) as disk, \
            Suite(cairn, disk.path / "data", QUICK | limits, log=tmp_path / "cairn.log") as suite:
        becomes(suite, "disk", "healthy", 200)
        disk.used_up_to(0.8)
        assert "% used" in becomes(suite, "disk", "warning", 200)
        disk.used_up_to(0.93)
        becomes(suite, "disk", "unhealthy", 503)
        for filler in disk.path.glob("filler-*"):
            filler.unlink()
        becomes(suite, "disk", "healthy", 200)


@needs_root
def test_storage_that_can_no_longer_be_written_is_unhealthy_and_the_process_lives_s3_33(cairn, tmp_path):
    with image(tmp_path, megabytes=64) as disk, \
            Suite(cairn, disk.path / "data", QUICK, log=tmp_path / "cairn.log") as suite:
        becomes(suite, "storage", "healthy", 200)
        disk.becomes_read_only()
        assert "Read-only file system" in becomes(suite, "storage", "unhealthy", 503)
        assert requests.get(f"{suite.url}/api/v1/health/ready", timeout=10).status_code == 503
        assert requests.get(f"{suite.url}/api/v1/health/live", timeout=10).status_code == 200


@contextmanager
def control_group(limit: int):
    """A group of processes that may use so much memory together."""
    folder = next((root for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
                   if (root / "memory.limit_in_bytes").exists() or "memory" in read(root / "cgroup.subtree_control")), None)
    if folder is None:
        pytest.skip("this machine lets nobody limit memory by a control group")
    group = folder / f"cairn-test-{os.getpid()}"
    group.mkdir()
    try:
        old = group / "memory.limit_in_bytes"
        (old if old.exists() else group / "memory.max").write_text(str(limit))
        yield group
    finally:
        eventually(lambda: not read(group / "cgroup.procs"))
        group.rmdir()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@one_process("it is put into a control group")
@pytest.mark.skipif(os.geteuid() != 0, reason="making a control group takes root")
def test_memory_is_a_warning_from_its_share_of_the_groups_limit_on_s3_34(cairn, tmp_path):
    limits = {"CAIRN__HEALTH__MEMORY_WARNING_SHARE": "0.75"}
    with control_group(256 * MIB) as group, Suite(cairn, tmp_path / "data", QUICK | limits) as suite:
        (group / "cgroup.procs").write_text(str(suite.process.pid))
        eventually(lambda: "of 256 MiB" in component(suite, "memory")["message"])
        becomes(suite, "memory", "healthy", 200)
        code = f"import sys; held = bytearray(b'x') * (200 << 20); print(len(held), flush=True); sys.stdin.read()"
        holder = subprocess.Popen(["sh", "-c", f"echo $$ > {group}/cgroup.procs; exec {sys.executable} -c \"{code}\""],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert int(holder.stdout.readline()) == 200 * MIB
            becomes(suite, "memory", "warning", 200)
        finally:
            holder.communicate()
        becomes(suite, "memory", "healthy", 200)
