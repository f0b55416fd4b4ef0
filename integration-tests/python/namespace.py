"""A network of a test's own: loopback, and nothing else that could be reached."""

import ctypes
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

CLONE_NEWNET = 0x40000000

needs_namespace = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")


def isolated(work):
    """What `work` gives when it, and every process it starts, has a network of its own."""
    def enter():
        # Of this thread alone; what it starts inherits it.
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"this machine gives no network namespace: {os.strerror(ctypes.get_errno())}")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return work()

    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(enter).result()
