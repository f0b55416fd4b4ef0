"""A network of a test's own: loopback, and nothing else that could be reached."""

import ctypes
import fcntl
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914  # netdevice(7): switches an interface on, without any program that may not be installed
IFF_UP = 1

needs_namespace = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")


def isolated(work):
    """What `work` gives when it, and every process it starts, has a network of its own."""
    def enter():
        # Of this thread alone; what it starts inherits it.
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"this machine gives no network namespace: {os.strerror(ctypes.get_errno())}")
        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
        return work()

    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(enter).result()
