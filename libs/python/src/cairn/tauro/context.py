"""The one connection of a program, and what it offers."""

from __future__ import annotations

import threading
from functools import cached_property

from ..client import Client
from ..errors import invalid
from .hooks import HooksManager, get_hooks_manager
from .model_registry import ModelRegistry

BACKEND = "cairn"


class MLOpsContext:
    """Everything in it shares one client and the same hooks."""

    def __init__(self, client: Client, hooks: HooksManager | None = None) -> None:
        self.client = client
        self.hooks = get_hooks_manager() if hooks is None else hooks

    @cached_property
    def model_registry(self) -> ModelRegistry:
        """Models and their versions."""
        return ModelRegistry(self.client, self.hooks)

    def __repr__(self) -> str:
        return f"MLOpsContext({self.client!r})"


_lock = threading.Lock()
_current: MLOpsContext | None = None


def init_mlops(
    backend_type: str = BACKEND,
    storage_path: str | None = None,
    *,
    url: str | None = None,
    token: str | None = None,
    project: str | None = None,
    hooks: HooksManager | None = None,
) -> MLOpsContext:
    """Connects to a Cairn and makes this the program's context.

    What is not given comes from the environment, as for `cairn.Client`. `backend_type` and `storage_path` are Tauro's; the
    one backend there is so far is a running Cairn, which keeps its files itself.
    """
    global _current
    if backend_type != BACKEND:
        raise invalid("backend_type", f"{backend_type!r} is not there (yet), only {BACKEND!r}: a running Cairn at `url`")
    if storage_path is not None:
        raise invalid("storage_path", "is not for a running Cairn, which keeps its files itself")
    context = MLOpsContext(Client(url, token, project), hooks)
    with _lock:
        _current = context
    return context


def get_mlops_context() -> MLOpsContext:
    """The context that `init_mlops` made last; an error before it made one."""
    if _current is None:
        raise invalid("context", "is not there yet: call init_mlops first")
    return _current
