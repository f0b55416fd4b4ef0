"""Small file systems of their own, for what cannot be done to the machine's."""

import fcntl
import os
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a loop-back file system takes root")


@contextmanager
def image(folder: Path, megabytes: int):
    """A small ext4 file system in a file, mounted."""
    file, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    with open(file, "wb") as handle:
        handle.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", file], check=True)
    disk = Disk(file, mount)
    try:
        disk.mount()
    except subprocess.CalledProcessError:
        pytest.skip("this machine does not let root mount a loop-back file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", mount], check=False)


class Disk:
    # _IOR('X', 125, u32) and its flag that throws away what was not synced: linux/fs.h's FS_IOC_SHUTDOWN family.
    SHUTDOWN = 0x8004587D
    WITHOUT_FLUSHING_THE_LOG = 2

    def __init__(self, file: Path, path: Path):
        self.file, self.path = file, path

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.file, self.path], check=True)

    def cut_power(self) -> None:
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, self.SHUTDOWN, struct.pack("I", self.WITHOUT_FLUSHING_THE_LOG))
        finally:
            os.close(handle)

    def becomes_read_only(self) -> None:
        """As a kernel that found an error makes it, under the hands of whoever has files open."""
        source = subprocess.run(["findmnt", "-n", "-o", "SOURCE", self.path], capture_output=True, text=True, check=True)
        device = Path(source.stdout.strip()).name
        subprocess.run(["mount", "-o", "remount,errors=remount-ro", self.path], check=True)
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")

    def used_up_to(self, share: float) -> None:
        """Fills it until only so much is left that `share` of it is used."""
        there = os.statvfs(self.path)
        size = int((there.f_bavail - (1 - share) * there.f_blocks) * there.f_frsize)
        with open(self.path / f"filler-{share}", "wb") as handle:
            os.posix_fallocate(handle.fileno(), 0, size)

    def remount(self) -> None:
        subprocess.run(["umount", self.path], check=True)
        self.mount()


def fill(path: Path) -> None:
    """Takes all the space there is, down to the last block."""
    size = 1 << 20
    with open(path, "wb", buffering=0) as handle:
        while size >= 512:
            try:
                handle.write(b"\0" * size)
            except OSError:
                size //= 2
