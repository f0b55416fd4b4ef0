"""Where the suite is and who asks: what is given, else the environment, by the names that the command line reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from .errors import invalid

URL = "http://127.0.0.1:3001"
PROJECT = "default"


class Secret:
    """A text that shows itself to nobody who does not ask for it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled: give it to each process by its environment")


@dataclass(frozen=True)
class Settings:
    """Where, who, and in which project."""

    url: str
    token: Secret | None
    #: `projects/{project}`
    project: str
    #: File of the authorities that the gateway's certificate comes from; without one, those that `requests` trusts.
    ca_file: str | None = None


def settings(
    url: str | None = None,
    token: str | None = None,
    project: str | None = None,
    ca_file: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Settings:
    """Reads what is not given from `CAIRN_URL`, `CAIRN_KEY_FILE` or `CAIRN_API_KEY`, `CAIRN_PROJECT`, and `CAIRN_CA_FILE`.

    A variable that is set to nothing says nothing. A key's file goes before a key, as on the command line.
    """
    env = os.environ if env is None else env
    project = project or env.get("CAIRN_PROJECT") or PROJECT
    return Settings(
        url=_address(url or env.get("CAIRN_URL") or URL),
        token=_secret(token if token is not None else _token(env)),
        project=project if "/" in project else f"projects/{project}",
        ca_file=_authorities(ca_file or env.get("CAIRN_CA_FILE")),
    )


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        # Not shown: addresses end up in logs.
        raise invalid("url", "holds a credential: give it as token, or in CAIRN_API_KEY")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise invalid("url", f"{url!r} is no address of a gateway: it is like {URL}")
    return url.rstrip("/")


def _authorities(file: str | None) -> str | None:
    if file and not Path(file).is_file():
        raise invalid("ca_file", f"{file!r} is no file")
    return file or None


def _token(env: Mapping[str, str]) -> str | None:
    file = env.get("CAIRN_KEY_FILE")
    if not file:
        return env.get("CAIRN_API_KEY") or None
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise invalid("CAIRN_KEY_FILE", f"names {file}, which cannot be read: {type(fault).__name__}") from None
    if not text:
        raise invalid("CAIRN_KEY_FILE", f"names {file}, which is empty; it should hold an API key")
    return text


def _secret(token: str | None) -> Secret | None:
    if token is None:
        return None
    # Not shown: it may be a key with a slip in it.
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise invalid("token", "has characters that no key has, or none at all")
    return Secret(token)
