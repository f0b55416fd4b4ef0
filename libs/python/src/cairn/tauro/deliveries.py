"""Telling a hook of what has happened: once, and again with the same id while it fails."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from ..retry import RetryPolicy

#: A post-hook is tried so often before it is given up. Registering waits for it, so the pauses are short.
PATIENCE = RetryPolicy(attempts_max=4, pause_min=0.1, pause_max=2.0)
#: Deliveries that are remembered: those taken, so that none is made twice, and those given up, so that they can be.
KEPT_MAX = 10_000

_DELIVERIES = uuid.UUID("63616972-6e00-5000-8000-686f6f6b6479")


@dataclass(eq=False)
class Delivery:
    """One hook and one thing that happened. The id is the same however often it is tried."""

    id: str
    #: `module.function`
    hook: str
    hook_type: str
    #: The call that tells the hook.
    tell: Callable[[], object] = field(repr=False)
    attempts: int = 0
    #: What the hook raised last; None once it took the delivery.
    error: Exception | None = None


class Deliverer:
    """Makes deliveries, and knows those it has made."""

    def __init__(self, patience: RetryPolicy = PATIENCE, sleep: Callable[[float], None] = time.sleep) -> None:
        self._patience, self._sleep = patience, sleep
        #: On their way or taken.
        self._made: OrderedDict[str, None] = OrderedDict()
        self._failed: OrderedDict[str, Delivery] = OrderedDict()
        self._lock = Lock()

    @property
    def failed(self) -> list[Delivery]:
        """Those that were given up, the oldest first."""
        with self._lock:
            return list(self._failed.values())

    def deliver(self, delivery: Delivery) -> bool:
        """Tells the hook. One that it was told before, or is being told, is not told again. False: it was given up."""
        with self._lock:
            if delivery.id in self._made:
                return True
            self._made[delivery.id] = None
            if len(self._made) > KEPT_MAX:
                self._made.popitem(last=False)
        is_taken = False
        try:
            is_taken = self._tried(delivery)
        finally:
            with self._lock:
                self._failed.pop(delivery.id, None)
                if not is_taken:
                    self._made.pop(delivery.id, None)
                    self._failed[delivery.id] = delivery
                    if len(self._failed) > KEPT_MAX:
                        self._failed.popitem(last=False)
        return is_taken

    def _tried(self, delivery: Delivery) -> bool:
        pause = self._patience.pause_min
        for attempt in range(1, self._patience.attempts_max + 1):
            delivery.attempts += 1
            try:
                delivery.tell()
            except Exception as fault:  # Whatever a hook raises, what happened has happened.
                delivery.error = fault
            else:
                delivery.error = None
                return True
            if attempt < self._patience.attempts_max:
                pause = self._patience.pause(pause)
                self._sleep(pause)
        return False


def delivery_id(happened: str, hook_type: str, hook: str) -> str:
    """The id of telling a hook of something: the same for the same, in every process."""
    return str(uuid.uuid5(_DELIVERIES, "\n".join([happened, hook_type, hook])))
