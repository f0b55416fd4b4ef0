"""Functions of a program that have their say on what it does with models: before, and after.

They run in the program that registers them. What is to hold for everybody, whatever client they use, is a hook of the
project: docs/hooks.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from ..error_codes import ErrorCode
from ..errors import RegistrationRejected, invalid
from .deliveries import Deliverer, Delivery, delivery_id
from .hook import Function, Hook

log = logging.getLogger("cairn.hooks")

F = TypeVar("F", bound=Function)


class HookType(StrEnum):
    """When a hook has its say."""

    #: Before a version is registered. May change what is registered, or refuse it by raising.
    PRE_MODEL_REGISTER = "pre_model_register"
    #: After a version was registered.
    POST_MODEL_REGISTER = "post_model_register"
    #: Before a version is moved to another stage.
    PRE_MODEL_PROMOTE = "pre_model_promote"
    #: After a version was moved to another stage.
    POST_MODEL_PROMOTE = "post_model_promote"

    @property
    def is_before(self) -> bool:
        return self.name.startswith("PRE_")


class HooksManager:
    """The hooks of a program, each run in the order they were registered in."""

    def __init__(self, deliverer: Deliverer | None = None) -> None:
        self._deliverer = deliverer or Deliverer()
        self._hooks: dict[HookType, list[Hook]] = {hook_type: [] for hook_type in HookType}
        self._lock = Lock()

    def register(self, hook_type: HookType, function: F | None = None) -> Any:
        """Registers a function; without one, gives a decorator that does. Registering it again changes nothing."""
        hook_type = HookType(hook_type)
        if function is None:
            return lambda decorated: self.register(hook_type, decorated)
        if not callable(function):
            raise invalid("function", f"is no function: {function!r}")
        with self._lock:
            if function not in [hook.function for hook in self._hooks[hook_type]]:
                self._hooks[hook_type].append(Hook(function))
        return function

    def unregister(self, hook_type: HookType, function: Function) -> None:
        """Takes a function out again. One that is not there does not matter."""
        with self._lock:
            hooks = self._hooks[HookType(hook_type)]
            hooks[:] = [hook for hook in hooks if hook.function != function]

    def clear(self) -> None:
        """Takes all of them out."""
        with self._lock:
            for hooks in self._hooks.values():
                hooks.clear()

    def before(self, hook_type: HookType, data: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be done, after every pre-hook has seen it. One that raises refuses it."""
        current = dict(data)
        for hook in self._of(hook_type):
            try:
                # A copy: a hook that changes something and then gives nothing back has changed nothing.
                changed = hook.function(_copied(current))
                if changed is not None:
                    current = _checked(changed, current)
            except Exception as fault:
                raise _refusal(hook, hook_type, fault) from fault
        return current

    def after(self, hook_type: HookType, happened: str, data: Mapping[str, Any]) -> None:
        """Tells every post-hook of what has happened, once. What they raise is logged and changes nothing."""
        same: Counter[str] = Counter()
        for hook in self._of(hook_type):
            # Functions made by one function have one name and one source, and are told each for itself.
            which = f"{hook.name} {hook.digest}"
            same[which] += 1
            id = delivery_id(happened, hook_type, f"{which} {same[which]}")
            tell = partial(_tell, hook.function, _copied(data), id)
            delivery = Delivery(id=id, hook=hook.name, hook_type=hook_type, tell=tell)
            if not self._deliverer.deliver(delivery):
                log.error(
                    "hook %s was not told: %r after %d attempts, delivery %s",
                    delivery.hook, delivery.error, delivery.attempts, delivery.id,
                )

    @property
    def failed(self) -> list[Delivery]:
        """Deliveries that were given up."""
        return self._deliverer.failed

    def retry(self, delivery: Delivery) -> bool:
        """Tries a delivery again, with the same id. Whether the hook took it."""
        return self._deliverer.deliver(delivery)

    def _of(self, hook_type: HookType) -> list[Hook]:
        with self._lock:
            return list(self._hooks[hook_type])


def _copied(data: Mapping[str, Any]) -> dict[str, Any]:
    """Data that a hook may change without anybody noticing. The values in it are numbers and texts."""
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}


def _tell(function: Function, data: Mapping[str, Any], id: str) -> None:
    # Each attempt has data of its own: the one before may have changed it.
    function({**_copied(data), "delivery_id": id})


def _checked(changed: Any, before: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(changed, Mapping):
        raise TypeError(f"a hook gives back what it was given, changed or not, or nothing; not {type(changed).__name__}")
    unknown = sorted(set(map(str, changed)) - set(before))
    if unknown:
        raise TypeError(f"a hook cannot add {', '.join(unknown)}: there are {', '.join(before)}")
    return {**before, **changed}


def _refusal(hook: Hook, hook_type: HookType, fault: Exception) -> RegistrationRejected:
    said = str(fault) or type(fault).__name__
    context = {"hook": hook.name, "digest": hook.digest, "trigger": hook_type.name, "message": said}
    message = f"{said} (refused by {hook.name} sha256:{hook.digest})"
    return RegistrationRejected(ErrorCode.REGISTRATION_REJECTED, message, context)


_global = HooksManager()


def get_hooks_manager() -> HooksManager:
    """The hooks of this program, which every context uses unless it is given others."""
    return _global
