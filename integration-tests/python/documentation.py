"""Runs the examples of a page as one program, as they stand, in a world where their paths are there.

The world is a mount namespace of its own: the machine's folders beside one that the examples speak of. Nothing outside is
changed.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS_MAX = 300

# $1: an empty folder that becomes the root; $2: the folder that is to be $3 in there; $4: where to start; then the command.
# A private tree of mounts; each folder of the root as it is, with what is mounted below it.
WORLD = r"""
set -eu
root=$1 folder=$2 place=$3 start=$4; shift 4
mount -t tmpfs tmpfs "$root"
for entry in /* /.[!.]*; do
  name=${entry#/}
  if [ -L "$entry" ]; then cp -P "$entry" "$root/$name"
  elif [ -d "$entry" ]; then mkdir "$root/$name"; mount --rbind "$entry" "$root/$name"
  fi
done
mkdir -p "$root$place"
mount --bind "$folder" "$root$place"
exec chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$start" "$@"
"""


def blocks(page: Path) -> list[str]:
    """The Python examples of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def run(page: Path, place: str, folder: Path, tmp_path: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    """Runs a page's examples one after the other; `folder` is at `place` for them. Skips where that takes rights that are
    not there."""
    script, start, root = tmp_path / "examples.py", tmp_path / "work", tmp_path / "root"
    script.write_text("\n".join(blocks(page)))
    for made in (start, root):
        made.mkdir()
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if shutil.which("unshare") is None:
        pytest.skip("this machine has no unshare (util-linux)")
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"this machine gives no mount namespace: {tried.stderr.strip()}")
    command = [*unshare, "/bin/sh", "-c", WORLD, "world", root, folder, place, start, sys.executable, script]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=SECONDS_MAX)
