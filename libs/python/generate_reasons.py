"""Writes the reasons of errors from the contract into the SDK.

    python libs/python/generate_reasons.py            writes src/cairn/error_codes.py
    python libs/python/generate_reasons.py --check    ends with 1 if it is not current
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTRACT = HERE.parent.parent / "proto/cairn/errors/v1/reason.proto"
TARGET = HERE / "src/cairn/error_codes.py"

HEAD = '''"""Why something did not work. Generated from proto/cairn/errors/v1/reason.proto by `make docs`; do not edit."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Every reason that an error of Cairn can carry. They keep their names: programs may depend on them."""
'''
REASON = re.compile(r"^\s*REASON_([A-Z0-9_]+)\s*=\s*(\d+)")


def reasons(proto: str) -> list[str]:
    """The names of all reasons, in alphabetical order."""
    # Line by line: one in a comment, or what was taken out and is reserved, begins no line so.
    found = (REASON.match(line) for line in proto.splitlines())
    return sorted(match[1] for match in found if match and match[2] != "0")


def generated() -> str:
    """The module as it should be."""
    names = reasons(CONTRACT.read_text(encoding="utf-8"))
    return HEAD + "\n" + "".join(f'    {name} = "{name}"\n' for name in names)


def main() -> int:
    text = generated()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET.name} is not what the contract says: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
