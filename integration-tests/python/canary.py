"""Texts nobody else would write, and where they are found: as they are, and in the disguises that programs give to text."""

import base64
from pathlib import Path
from urllib.parse import quote


def disguises(text: str) -> set[bytes]:
    """How a text may stand in a file: in other cases and encodings, and inside base64 wherever it begins."""
    found = set()
    for form in {text, text.lower(), text.upper(), quote(text, safe="")}:
        raw = form.encode()
        found |= {raw, form.encode("utf-16-le"), form.encode("utf-16-be"), raw.hex().encode(), raw.hex().upper().encode()}
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + raw)
            # Without the letters at both ends, which what stands around it changes too.
            inner = encoded[(0, 2, 3)[offset]:len(encoded) - 4]
            found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def sightings(content: bytes, *texts: str) -> list[bytes]:
    """The disguises in which a text is found in some bytes."""
    return _found(content, set().union(*(disguises(text) for text in texts)))


def traces(folder: Path, *texts: str) -> list[str]:
    """Files in which a text is found, as raw bytes: free pages, journals and write-ahead logs included."""
    needles = set().union(*(disguises(text) for text in texts))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    return [f"{path.relative_to(folder)}: {needle!r}" for path in files for needle in _found(_content(path), needles)]


def _found(content: bytes, needles: set[bytes]) -> list[bytes]:
    return [needle for needle in needles if needle in content]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # A running suite removes what it no longer needs.
