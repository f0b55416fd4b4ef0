"""Crash anywhere: what was acknowledged is there, what was not is not half there."""

import os
import random
import signal
import subprocess
import time

from disk import fill, image, needs_root
from load import Load
from suite import Suite, one_process

SEED = int(os.environ.get("CAIRN_CRASH_SEED", "20"))
KILLS = int(os.environ.get("CAIRN_CRASH_KILLS", "15"))
CUTS = int(os.environ.get("CAIRN_CRASH_CUTS", "6"))
LIVE_SECONDS = (0.15, 0.9)
WAIT_SECONDS_MAX = 20


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS_MAX} s for {what}"
        time.sleep(0.01)


def verify_views(suite: Suite) -> None:
    """Every read model equals one rebuilt from the log. The suite must be stopped."""
    done = subprocess.run([suite.cairn, "rebuild", "--verify", "--data", suite.data], env=suite.env,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def survive(suite: Suite, rounds: int, crash) -> Load:
    """Loads the suite, crashes it `rounds` times at random moments, and checks what is left."""
    chance = random.Random(SEED)
    suite.start()
    load = Load(suite, writers=4)
    load.start()
    for _ in range(rounds):
        before = load.acknowledged()
        time.sleep(chance.uniform(*LIVE_SECONDS))
        crash()
        suite.start()
        wait_until(lambda: load.acknowledged() > before, "writes after the restart")
    load.stop()
    load.check()
    assert suite.stop() == 0
    verify_views(suite)
    print(f"seed {SEED}: {load.acknowledged()} batches acknowledged over {rounds} crashes, {load.follower.position} events followed")
    return load


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(cairn, tmp_path):
    suite = Suite(cairn, tmp_path / "data")

    def kill():
        suite.process.send_signal(signal.SIGKILL)
        suite.process.wait()

    load = survive(suite, KILLS, kill)
    assert load.acknowledged() > KILLS


@one_process("the log is in the data folder")
@needs_root
def test_nothing_acknowledged_is_lost_when_the_power_goes(cairn, tmp_path):
    with image(tmp_path, megabytes=256) as disk:
        suite = Suite(cairn, disk.path / "data", log=tmp_path / "cairn.log")

        def cut():
            disk.cut_power()
            suite.process.send_signal(signal.SIGKILL)
            suite.process.wait()
            disk.remount()

        survive(suite, CUTS, cut)


@one_process("the log is in the data folder")
@needs_root
def test_a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself(cairn, tmp_path):
    with image(tmp_path, megabytes=64) as disk, Suite(cairn, disk.path / "data", log=tmp_path / "cairn.log") as suite:
        load = Load(suite, writers=1)
        writer = load.writers[0]
        step = 0
        while step < 50:
            assert writer.log(step)
            writer.acknowledged.append(step)
            step += 1

        fill(disk.path / "filler")
        wait_until(lambda: refused_or_kept(writer, writer.acknowledged), "a refusal")
        assert "STORAGE_FULL" in writer.refused[-1], writer.refused[-1]
        assert load.steps(writer.run_name)[:50] == list(range(50)), "reads must go on"

        (disk.path / "filler").unlink()
        step = len(writer.acknowledged)
        wait_until(lambda: writer.log(step), "writes once there is space")
        writer.acknowledged.append(step)
        assert suite.process.poll() is None, "it must not have restarted"
        load.check()


def refused_or_kept(writer, acknowledged: list[int]) -> bool:
    """Sends the next batch. True once one is refused."""
    if writer.log(len(acknowledged)):
        acknowledged.append(len(acknowledged))
        return False
    return bool(writer.refused)
