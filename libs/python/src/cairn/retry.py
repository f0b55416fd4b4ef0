"""How often and how soon a call is repeated. Pure, but for what it is given: chance, and a lock around the budget."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from .errors import invalid


@dataclass(frozen=True)
class RetryPolicy:
    """Repeats what failed for a while. Only reads, and changes with an id by which the server knows a repeat."""

    #: Attempts of one call, the first included.
    attempts_max: int = 5
    #: Shortest and longest pause, in seconds.
    pause_min: float = 0.1
    pause_max: float = 5.0
    #: No attempt begins later than so many seconds after the first did.
    time_max: float = 60.0
    #: Repeats that all calls of a client together have in hand; ten that succeed at once earn one back.
    budget: int = 20

    def __post_init__(self) -> None:
        if self.attempts_max < 1 or not 0 <= self.pause_min <= self.pause_max:
            raise invalid("retry", "needs at least one attempt, and a shortest pause that is no longer than the longest")

    def pause(self, previous: float, chance: Callable[[float, float], float] = random.uniform) -> float:
        """The next pause: decorrelated jitter, so that many who failed at once do not come back at once."""
        return min(self.pause_max, chance(self.pause_min, max(self.pause_min, previous * 3)))


#: Calls are made once.
NEVER = RetryPolicy(attempts_max=1)

#: Successes that earn one repeat.
SUCCESSES = 10


class Budget:
    """What keeps many calls from repeating all at once while a server is down."""

    def __init__(self, repeats: int) -> None:
        # Counted in successes, which are whole.
        self._size = self._left = repeats * SUCCESSES
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more repeat is in hand; if so, it is used up."""
        with self._lock:
            if self._left < SUCCESSES:
                return False
            self._left -= SUCCESSES
            return True

    def earn(self) -> None:
        """A call succeeded at once."""
        with self._lock:
            self._left = min(self._size, self._left + 1)
