"""Telling a hook of what has happened: once, and again with the same id while it fails."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict, deque
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
    attempts: int = 0
    #: What the hook raised last; None once it took the delivery.
    error: Exception | None = None
    _tell: Callable[[], object] = field(repr=False, compare=False, default=lambda: None)


class Deliverer:
    """Makes deliveries, and knows those it has made."""

    def __init__(self, patience: RetryPolicy = PATIENCE, sleep: Callable[[float], None] = time.sleep) -> None:
        self._patience, self._sleep = patience, sleep
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()
        #: Given up. `HooksManager.retry` tries one again.
        self.failed: deque[Delivery] = deque(maxlen=KEPT_MAX)

    def deliver(self, delivery: Delivery) -> bool:
        """Whether the hook has taken it by now. One that it took before is not made again."""
        with self._lock:
            if delivery.id in self._taken:
                return True
        pause = self._patience.pause_min
        for attempt in range(1, self._patience.attempts_max + 1):
            delivery.attempts += 1
            try:
                delivery._tell()
            except Exception as fault:  # Whatever a hook raises, what happened has happened.
                delivery.error = fault
            else:
                delivery.error = None
                self._remember(delivery)
                return True
            if attempt < self._patience.attempts_max:
                pause = self._patience.pause(pause)
                self._sleep(pause)
        with self._lock:
            if delivery not in self.failed:
                self.failed.append(delivery)
        return False

    def _remember(self, delivery: Delivery) -> None:
        with self._lock:
            self._taken[delivery.id] = None
            if len(self._taken) > KEPT_MAX:
                self._taken.popitem(last=False)
            if delivery in self.failed:
                self.failed.remove(delivery)


def delivery_id(happened: str, hook_type: str, hook: str, digest: str) -> str:
    """The id of telling a hook of something: the same for the same, in every process."""
    return str(uuid.uuid5(_DELIVERIES, "\n".join([happened, hook_type, hook, digest])))
