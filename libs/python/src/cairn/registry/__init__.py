"""Models and their versions: registered with their files, promoted, found and fetched again."""

from .models import Registry
from .promotions import Promotion, PromotionState
from .records import Model, ModelVersion, Stage

__all__ = ["Model", "ModelVersion", "Promotion", "PromotionState", "Registry", "Stage"]
