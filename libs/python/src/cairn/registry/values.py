"""Values of Python in fields that hold text or numbers, so that they come back as they went."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import invalid


def to_text(value: Any) -> str:
    """A hyperparameter as the platform keeps it. A text stands for itself, unless it would be read as something else."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if _is_json(value) else value
    try:
        return json.dumps(_plain(value), ensure_ascii=False)
    except (TypeError, ValueError):
        return to_text(str(value))


def from_text(text: str) -> Any:
    """What `to_text` was given. What other clients wrote is a number or a truth where it looks like JSON's, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def hyperparameters(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): to_text(value) for key, value in values.items()}


def metrics(values: Mapping[str, Any]) -> dict[str, float | str]:
    """Numbers, as JSON of the contract has them: it has words for those that JSON has not."""
    return {str(key): _number(str(key), value) for key, value in values.items()}


def tags(values: Mapping[str, str]) -> dict[str, str]:
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise invalid("tags", f"hold texts, and that of {key!r} is {type(value).__name__}")
    return dict(values)


def _number(key: str, value: Any) -> float | str:
    if isinstance(value, (str, bytes)):
        raise invalid("metrics", f"hold numbers, and that of {key!r} is a text")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise invalid("metrics", f"hold numbers, and that of {key!r} is {type(value).__name__}") from None
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _plain(value: Any) -> Any:
    """Scalars of NumPy and the like as Python's own, without knowing of NumPy."""
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
