"""Models as Tauro's programs speak of them, with the program's hooks around what changes something."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..client import Client
from ..errors import PromotionRequired, TargetProtected, invalid
from ..registry import Model, ModelVersion, Promotion, PromotionState
from ..registry import Stage as ModelStage
from .hooks import HooksManager, HookType, get_hooks_manager


class ModelRegistry:
    """Versions of models: registered, promoted, found."""

    def __init__(self, client: Client, hooks: HooksManager | None = None) -> None:
        self._registry = client.registry
        self._hooks = get_hooks_manager() if hooks is None else hooks

    def register_model(
        self,
        name: str,
        artifact_path: str | os.PathLike[str],
        artifact_type: str = "",
        framework: str = "",
        hyperparameters: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> ModelVersion:
        """Uploads a file or folder and registers it as the next version of a model.

        Pre-hooks come first, and one that raises stops it (`RegistrationRejected`): nothing is sent then. Post-hooks are
        told afterwards, with `version`, `resource_name` and `delivery_id` beside what was registered.
        """
        asked = {
            "name": name,
            "artifact_path": artifact_path,
            "artifact_type": artifact_type,
            "framework": framework,
            "hyperparameters": dict(hyperparameters or {}),
            "metrics": dict(metrics or {}),
            "tags": dict(tags or {}),
            "description": description,
        }
        data = self._hooks.before(HookType.PRE_MODEL_REGISTER, asked)
        fields = {key: value for key, value in data.items() if key not in ("name", "artifact_path")}
        made = self._registry.register(data["name"], data["artifact_path"], **fields)
        told = {**data, "version": made.version, "resource_name": made.resource_name}
        # With its time: another Cairn may have a version of the same name.
        self._hooks.after(HookType.POST_MODEL_REGISTER, f"{made.resource_name} {made.create_time}", told)
        return made

    def promote_model(
        self,
        name: str,
        version: int,
        stage: ModelStage | str,
        *,
        archive_existing: bool = False,
        comment: str = "",
    ) -> ModelVersion:
        """Moves a version to a stage.

        Where a policy protects the stage, nothing moves: a promotion is opened in the caller's name, unless it waits
        already, and `PromotionRequired` names it. Somebody else approves it.
        """
        asked = {"name": name, "version": version, "stage": ModelStage.of(stage), "archive_existing": archive_existing}
        data = self._hooks.before(HookType.PRE_MODEL_PROMOTE, asked)
        name, version, stage = data["name"], data["version"], ModelStage.of(data["stage"])
        try:
            moved = self._registry.transition(name, version, stage, archive_existing=data["archive_existing"])
        except TargetProtected as protected:
            promotion = self._waiting(name, version, stage) or self._registry.request_promotion(
                name, version, stage=stage, comment=comment
            )
            raise _required(protected, promotion) from None
        told = {**data, "stage": moved.stage, "resource_name": moved.resource_name}
        self._hooks.after(HookType.POST_MODEL_PROMOTE, f"{moved.resource_name} {moved.stage} {moved.update_time}", told)
        return moved

    def get_model(self, name: str) -> Model:
        """A model. `ModelNotFoundError` if there is none."""
        return self._registry.get_model(name)

    def get_model_version(self, name: str, version: int | None = None) -> ModelVersion:
        """A version by its number; without one, the newest."""
        return self._registry.get(name, version)

    def get_model_by_stage(self, name: str, stage: ModelStage | str) -> ModelVersion:
        """The newest version in a stage. `ModelVersionNotFoundError` if there is none."""
        return self._registry.by_stage(name, stage)

    def list_models(self) -> list[Model]:
        """All models of the project."""
        return list(self._registry.models())

    def list_model_versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, the newest first."""
        return list(self._registry.versions(name, order_by="version_number DESC"))

    def search_models(
        self,
        name: str | None = None,
        *,
        stage: ModelStage | str | None = None,
        framework: str = "",
        tags: Mapping[str, str] | None = None,
        filter: str = "",
    ) -> list[ModelVersion]:
        """Versions that all of it is true of. `filter` is the platform's language: `metrics` are not part of it."""
        terms = [f"({filter})"] if filter else []
        if stage is not None:
            terms.append(f"stage = '{ModelStage.of(stage)}'")
        if framework:
            terms.append(f"framework = {_quoted('framework', framework)}")
        terms += [f"tags.{_key(key)} = {_quoted('tags', value)}" for key, value in (tags or {}).items()]
        return list(self._registry.versions(name, " AND ".join(terms)))

    def download_model(self, name: str, version: int, to: str | os.PathLike[str]) -> Path:
        """Writes the files of a version below a new or empty folder, and checks their digests."""
        return self._registry.download(name, version, to)

    def _waiting(self, name: str, version: int, stage: ModelStage) -> Promotion | None:
        """A promotion that asks for just this already."""
        for promotion in self._registry.promotions(name, PromotionState.PENDING):
            moves = [(move.get("version"), move.get("stage")) for move in promotion.moves]
            if moves == [(version, stage.word)]:
                return promotion
        return None


def _required(protected: TargetProtected, promotion: Promotion) -> PromotionRequired:
    target = protected.context.get("target", "the stage")
    return PromotionRequired(
        protected.code,
        f"{target} is protected: {promotion.name} waits for somebody else's approval",
        {**protected.context, "promotion": promotion.name},
        status=protected.status,
        trace_id=protected.trace_id,
        request_id=protected.request_id,
    )


def _quoted(field: str, text: str) -> str:
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise invalid(field, f"holds both sorts of quotes, which no filter can: {text!r}")


def _key(key: str) -> str:
    if "`" in key:
        raise invalid("tags", f"have no key like {key!r}")
    return f"`{key}`"
