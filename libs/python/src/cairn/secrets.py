"""Secrets by name: from the suite, else from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .client import Client
from .errors import NotFound

#: What says that there is a suite to ask.
CONNECTED = ("CAIRN_URL", "CAIRN_API_KEY", "CAIRN_KEY_FILE")


def get_secret(client: Client, name: str, *, version: int | None = None, reason: str = "") -> str:
    """The value of a secret: `name` is an id in the client's project, or a full name. That it was read is on record."""
    secret = name if "/" in name else f"{client.project}/secrets/{name}"
    number = "latest" if version is None else str(version)
    return client.get(f"{secret}/versions/{number}:access", reason=reason)["value"]


def get_secret_or_env(
    name: str,
    default: str | None = None,
    *,
    client: Client | None = None,
    env: Mapping[str, str] | None = None,
) -> str | None:
    """The secret of this name if there is one, else the environment variable of this name, else `default`.

    Without a client it connects as `Client()` does, if the environment says where or with which key; otherwise there is no
    suite to ask. Only a secret that is not there gives way to the environment: one that may not be read, or a suite that
    does not answer, is an error, since another value than the one that was meant would be worse than none.
    """
    env = os.environ if env is None else env
    if client is not None:
        value = _found(client, name)
    elif any(os.environ.get(variable) for variable in CONNECTED):
        with Client() as connected:
            value = _found(connected, name)
    else:
        value = None
    return value if value is not None else env.get(name, default)


def _found(client: Client, name: str) -> str | None:
    try:
        return get_secret(client, name)
    except NotFound:
        return None
