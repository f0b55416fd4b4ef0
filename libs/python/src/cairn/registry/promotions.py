"""Promotions: wishes that versions take aliases or stages, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class PromotionState(StrEnum):
    """Where a promotion stands."""

    #: It waits for what it needs.
    PENDING = "pending"
    #: Everything has moved.
    COMPLETED = "completed"
    REJECTED = "rejected"
    #: Who asked for it took it back.
    WITHDRAWN = "withdrawn"
    #: Its time ran out.
    EXPIRED = "expired"

    @property
    def word(self) -> str:
        """As the contract has it."""
        return f"PROMOTION_STATE_{self.name}"


@dataclass(frozen=True)
class Promotion:
    """A wish, and what it lacks."""

    #: `projects/{project}/models/{model}/promotions/{promotion}`
    name: str
    state: PromotionState
    #: What shall move, as the contract has it: `{"version": 2, "stage": "STAGE_PRODUCTION"}`.
    moves: tuple[Mapping[str, Any], ...]
    comment: str
    #: Who asked for it.
    requester: str
    #: What is missing, for people.
    unmet: tuple[str, ...]

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        return cls(
            name=answer["name"],
            state=PromotionState[answer["state"].removeprefix("PROMOTION_STATE_")],
            moves=tuple(answer.get("moves", ())),
            comment=answer.get("comment", ""),
            requester=answer.get("requester", ""),
            unmet=tuple(condition.get("message", "") for condition in answer.get("unmet_conditions", ())),
        )
