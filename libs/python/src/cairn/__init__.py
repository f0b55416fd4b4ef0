"""Cairn from Python.

    client = cairn.Client(url="http://127.0.0.1:3001", token="…", project="fraud")
    version = client.registry.register("ranker", "model.pkl", framework="sklearn", metrics={"auc": 0.91})

`cairn.registry` has models and versions, `cairn.tauro` the names that programs written for Tauro use.
"""

from .client import Client
from .error_codes import ErrorCode
from .errors import (
    AlreadyExists,
    CairnError,
    Conflict,
    Internal,
    InvalidArgument,
    ModelNotFoundError,
    ModelVersionNotFoundError,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    PromotionRequired,
    RegistrationRejected,
    ResourceExhausted,
    TargetProtected,
    Unauthenticated,
    Unavailable,
)
from .retry import NEVER, RetryPolicy
from .secrets import get_secret, get_secret_or_env

__version__ = "0.1.0"

__all__ = [
    "NEVER",
    "AlreadyExists",
    "CairnError",
    "Client",
    "Conflict",
    "ErrorCode",
    "Internal",
    "InvalidArgument",
    "ModelNotFoundError",
    "ModelVersionNotFoundError",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "PromotionRequired",
    "RegistrationRejected",
    "ResourceExhausted",
    "RetryPolicy",
    "TargetProtected",
    "Unauthenticated",
    "Unavailable",
    "get_secret",
    "get_secret_or_env",
]
