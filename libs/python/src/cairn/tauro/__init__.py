"""Cairn under Tauro's names: programs written for its model registry and hooks change the import, and how they connect.

Only what works is here. Experiment tracking, events, caches and health checks are not there yet, nor are backends beside a
running Cairn.
"""

from ..error_codes import ErrorCode
from ..errors import (
    CairnError,
    ModelNotFoundError,
    ModelVersionNotFoundError,
    PermissionDenied,
    PromotionRequired,
    RegistrationRejected,
)
from ..registry import Model, ModelVersion
from ..registry import Stage as ModelStage
from .context import MLOpsContext, get_mlops_context, init_mlops
from .deliveries import Delivery
from .hooks import HooksManager, HookType, get_hooks_manager
from .model_registry import ModelRegistry

MLOpsException = CairnError

__all__ = [
    "CairnError",
    "Delivery",
    "ErrorCode",
    "HookType",
    "HooksManager",
    "MLOpsContext",
    "MLOpsException",
    "Model",
    "ModelNotFoundError",
    "ModelRegistry",
    "ModelStage",
    "ModelVersion",
    "ModelVersionNotFoundError",
    "PermissionDenied",
    "PromotionRequired",
    "RegistrationRejected",
    "get_hooks_manager",
    "get_mlops_context",
    "init_mlops",
]
