"""A function that has its say, and how errors and deliveries name it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

Function = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Hook:
    """A function, or an object that can be called."""

    function: Function

    @cached_property
    def name(self) -> str:
        """`module.function`"""
        written = self._written
        return f"{getattr(written, '__module__', '?')}.{getattr(written, '__qualname__', '?')}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its source, in hexadecimal; of its code where the source is not at hand, as in an interactive session."""
        try:
            text = textwrap.dedent(inspect.getsource(self._written))
        except (OSError, TypeError):
            code = getattr(self._written, "__code__", None)
            text = _said(code) if code is not None else self.name
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def _written(self) -> Any:
        """What somebody wrote: below decorators and given arguments; of an object its class."""
        inner: Any = self.function
        while isinstance(inner, functools.partial):
            inner = inner.func
        inner = inspect.unwrap(inner)
        return inner if hasattr(inner, "__qualname__") else type(inner)


def _said(code: CodeType) -> str:
    """A function's code, without where it stands: that may differ from process to process."""
    constants = [_said(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return repr((code.co_code, code.co_names, constants))
