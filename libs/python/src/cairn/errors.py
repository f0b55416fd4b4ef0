"""What goes wrong, as exceptions: one for each sort of answer, and one of its own for what programs handle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .error_codes import ErrorCode

TEXT_CHARS_MAX = 500
#: Statuses that say: not now.
TEMPORARY = frozenset({429, 502, 503, 504})


class CairnError(Exception):
    """Something did not work. `code` says why and keeps its name; `message` is for people and changes."""

    def __init__(
        self,
        code: ErrorCode | str,
        message: str,
        context: Mapping[str, Any] | None = None,
        *,
        status: int = 0,
        trace_id: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        #: An `ErrorCode`; of a server that is newer than this SDK perhaps another text.
        self.code = code
        self.message = message
        #: Every value that the message mentions.
        self.context: dict[str, Any] = dict(context or {})
        #: HTTP status of the answer; 0: there was none.
        self.status = status
        #: What an operator looks it up by.
        self.trace_id = trace_id
        self.request_id = request_id

    @property
    def error_code(self) -> ErrorCode | str:
        """The same as `code`."""
        return self.code

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments do not survive pickling by themselves, and errors travel between processes.
        return _again, (type(self), self.__dict__.copy())


def _again(kind: type[CairnError], fields: dict[str, Any]) -> CairnError:
    error = kind.__new__(kind, fields["message"])
    Exception.__init__(error, fields["message"])
    error.__dict__.update(fields)
    return error


class InvalidArgument(CairnError):
    """What was asked for is malformed, here or in the server's eyes."""


class Unauthenticated(CairnError):
    """No credential, or one that is not valid (any more)."""


class PermissionDenied(CairnError):
    """The caller may not do this here, or it might not exist."""


class NotFound(CairnError):
    """What was named is not there."""


class ModelNotFoundError(NotFound):
    """No such model in this project."""


class ModelVersionNotFoundError(ModelNotFoundError):
    """The model is there; that version, alias, or a version in that stage is not."""


class AlreadyExists(CairnError):
    """Something of this name is there already."""


class Conflict(CairnError):
    """Somebody else changed it in between. Read it again and decide again."""


class PreconditionFailed(CairnError):
    """It cannot be done as things stand."""


class RegistrationRejected(PreconditionFailed):
    """A hook refused it, so nothing has happened. `context` names the hook (`hook`) and its digest (`digest`)."""


class TargetProtected(PreconditionFailed):
    """The alias or stage is moved by a promotion only."""


class PromotionRequired(TargetProtected):
    """A promotion was opened, and waits for somebody else to approve it: `promotion` is its name."""

    @property
    def promotion(self) -> str:
        return str(self.context["promotion"])


class ResourceExhausted(CairnError):
    """Too much, or too often."""


class Unavailable(CairnError):
    """It cannot be reached or was not done in time. Whether a change took effect is unknown."""


class Internal(CairnError):
    """Something went wrong on the server's side, or what answered is no Cairn."""


_BY_CODE: dict[str, type[CairnError]] = {
    ErrorCode.MODEL_NOT_FOUND: ModelNotFoundError,
    ErrorCode.MODEL_VERSION_NOT_FOUND: ModelVersionNotFoundError,
    ErrorCode.ALIAS_NOT_FOUND: ModelVersionNotFoundError,
    ErrorCode.REGISTRATION_REJECTED: RegistrationRejected,
    ErrorCode.TARGET_PROTECTED: TargetProtected,
}

# Google's canonical codes, which stand in every answer as `status`.
_BY_STATUS: dict[str, type[CairnError]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "OUT_OF_RANGE": InvalidArgument,
    "UNIMPLEMENTED": InvalidArgument,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "ABORTED": Conflict,
    "FAILED_PRECONDITION": PreconditionFailed,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": Unavailable,
    "CANCELLED": Unavailable,
}


def refused(status: int, text: str) -> CairnError:
    """The exception for an answer that is not a success."""
    try:
        error = json.loads(text)["error"]
        code, message = str(error["reason"]), str(error["message"])
        context = dict(error.get("context") or {})
    except (ValueError, KeyError, TypeError):
        # A proxy between, or another program at this address.
        said = " ".join(text.split())[:TEXT_CHARS_MAX]
        message = f"what answered is no Cairn: HTTP {status} {said}".rstrip()
        if status in TEMPORARY:
            return Unavailable(ErrorCode.UPSTREAM_UNAVAILABLE, message, status=status)
        return Internal(ErrorCode.INTERNAL, message, status=status)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(str(error.get("status")), Internal)
    return kind(
        ErrorCode(code) if code in ErrorCode.__members__ else code,
        message,
        context,
        status=status,
        trace_id=str(error.get("trace_id") or ""),
        request_id=str(context.get("request_id") or ""),
    )


def invalid(field: str, problem: str) -> InvalidArgument:
    """An argument that is refused before anything is sent, in the server's words for such."""
    return InvalidArgument(ErrorCode.VALIDATION_ERROR, f"{field} {problem}", {"field": field})
