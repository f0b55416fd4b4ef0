import pytest
from scripted import Server, Time

import cairn

TOKEN = "canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def nothing_of_the_environment(monkeypatch):
    """Tests say themselves where they go."""
    for name in ("CAIRN_URL", "CAIRN_API_KEY", "CAIRN_KEY_FILE", "CAIRN_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def client(server, time):
    with cairn.Client(server.url, TOKEN, "fraud", sleep=time.sleep, clock=time.clock) as made:
        yield made
