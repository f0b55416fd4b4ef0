"""Verifies a log as its specifications say (RFC 6962, C2SP signed-note, tlog-checkpoint, tlog-tiles), with nothing of ours."""

import base64
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TILE_WIDTH = 256


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    left = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(hashes[:left]) + root(hashes[left:])).digest()


def root_of_proof(entry: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    node, last = leaf(entry), size - 1
    for sibling in proof:
        assert last > 0, "the proof is too long"
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    assert last == 0, "the proof is too short"
    return node


def checkpoint(note: str, key: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that this key signed."""
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    name, key_id, public = key.split("+", 2)
    public = base64.b64decode(public)
    assert public[0] == 1, "an Ed25519 key"
    assert hashlib.sha256(name.encode() + b"\n" + public).digest()[:4].hex() == key_id
    for line in signatures.splitlines():
        mark, signer, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if (mark, signer, signature[:4].hex()) == ("\u2014", name, key_id):
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], text.encode())
            origin, size, hashed = text.splitlines()[:3]
            return origin, int(size), base64.b64decode(hashed)
    raise AssertionError(f"no signature of {name}")


def entries(folder: Path, size: int) -> list[bytes]:
    """Every entry of a log in a folder of tiles."""
    found = []
    while len(found) < size:
        number, width = divmod(len(found), TILE_WIDTH)[0], min(TILE_WIDTH, size - len(found))
        name = f"{number:03}" + (f".p/{width}" if width < TILE_WIDTH else "")
        data = (folder / "tile/entries" / name).read_bytes()
        while data:
            length = int.from_bytes(data[:2])
            found.append(data[2:2 + length])
            data = data[2 + length:]
    return found
