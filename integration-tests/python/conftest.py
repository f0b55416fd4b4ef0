import os
import sys
from pathlib import Path

import pytest

from suite import Suite

# The SDK as it is in this checkout, whatever is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "libs/python/src"))


@pytest.fixture(scope="session")
def cairn() -> Path:
    """The program under test; `make test-python` builds it and says where it is."""
    path = os.environ.get("CAIRN_BIN")
    if not path or not Path(path).exists():
        pytest.fail("CAIRN_BIN must name the cairn program: run `make test-python`")
    return Path(path)


@pytest.fixture(scope="session")
def suite(cairn, tmp_path_factory):
    """One suite for all tests; each works in a project or experiment of its own."""
    with Suite(cairn, tmp_path_factory.mktemp("suite") / "data") as running:
        yield running
