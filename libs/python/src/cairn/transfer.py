"""Files on their way: read from a folder, written with their digests checked."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from .errors import invalid

PIECE_BYTES = 1 << 20


class Mismatch(Exception):
    """What arrived is not what was recorded."""


@dataclass(frozen=True)
class LocalFile:
    """A file to send, and where it goes."""

    file: Path
    #: Below what it belongs to, with `/`.
    path: str
    sha256: str


def local_files(path: str | os.PathLike[str]) -> list[LocalFile]:
    """A file by its name, or everything in a folder by its path below it.

    Links in a folder are refused: they could lead anywhere, and a version would hold what nobody meant to give.
    """
    top = Path(path)
    if top.is_file():
        return [LocalFile(top, top.name, digest(top))]
    if not top.is_dir():
        raise invalid("artifact_path", f"{str(top)!r} is neither a file nor a folder")
    found = []
    for file in sorted(top.rglob("*")):
        if file.is_symlink():
            raise invalid("artifact_path", f"holds a link, {str(file)!r}: give the file itself")
        if file.is_dir():
            continue
        if not file.is_file():
            raise invalid("artifact_path", f"holds something that is no file: {str(file)!r}")
        if not _is_utf8(file.name):
            raise invalid("artifact_path", f"holds a file that is not named in UTF-8: {str(file)!r}")
        found.append(LocalFile(file, file.relative_to(top).as_posix(), digest(file)))
    if not found:
        raise invalid("artifact_path", f"{str(top)!r} is an empty folder")
    return found


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened_file:
        return hashlib.file_digest(opened_file, "sha256").hexdigest()


def opened(file: Path) -> BinaryIO:
    """A file's bytes. An empty file is read here: its length 0 would be taken for an unknown one."""
    return file.open("rb") if file.stat().st_size else io.BytesIO(b"")


def media_type(file: Path) -> str:
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def write(pieces: Iterable[bytes], to: Path, sha256: str) -> None:
    """Writes beside the target and renames, so that a broken line leaves no half file under its name."""
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f".{uuid.uuid4().hex}.part")
    try:
        seen = hashlib.sha256()
        with partial.open("xb") as file:
            for piece in pieces:
                seen.update(piece)
                file.write(piece)
        if sha256 and seen.hexdigest() != sha256:
            raise Mismatch(f"{to.name} arrived with SHA-256 {seen.hexdigest()}, {sha256} is on record")
        partial.replace(to)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def below(folder: Path, path: str) -> Path:
    """Where a file of a version goes. A path that leads out of the folder is none that was ever kept."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise invalid("path", f"{path!r} leads out of the folder")
    return folder.joinpath(*parts)
