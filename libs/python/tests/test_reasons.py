import re

import generate_reasons

from cairn import ErrorCode


def test_the_generated_reasons_are_those_of_the_contract():
    assert generate_reasons.TARGET.read_text() == generate_reasons.generated()
    assert len(ErrorCode) > 100


def test_reasons_are_the_same_in_python_in_the_contract_and_in_what_rust_writes_of_it_s3_80():
    repository = generate_reasons.HERE.parent.parent
    # The catalogue is written by a Rust program from the descriptors that its services are built with, and tested there.
    catalogue = (repository / "docs/errors.md").read_text()
    in_rust = re.findall(r"^\| `([A-Z0-9_]+)` \|", catalogue, re.MULTILINE)
    in_proto = re.findall(r"^  REASON_([A-Z0-9_]+) = [1-9]", generate_reasons.CONTRACT.read_text(), re.MULTILINE)
    assert sorted(in_proto) == in_rust == [code.value for code in ErrorCode]


def test_what_is_reserved_or_in_a_comment_is_no_reason():
    lines = ["enum Reason {", "  REASON_UNSPECIFIED = 0;", "  // REASON_OLD = 3", "  REASON_B = 2 [x];",
             '  reserved "REASON_C";', "  REASON_A = 1;", "}"]
    assert generate_reasons.reasons("\n".join(lines)) == ["A", "B"]
