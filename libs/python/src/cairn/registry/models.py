"""The registry of a project."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import transfer
from ..client import Client
from ..error_codes import ErrorCode
from ..errors import AlreadyExists, CairnError, Internal, ModelNotFoundError, Unavailable, invalid
from . import files, values
from .promotions import Promotion, PromotionState
from .records import ARTIFACT_TYPE, Model, ModelVersion, Stage


class Registry:
    """Models by what people call them, or by their resource names."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # Models.

    def create_model(self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None) -> Model:
        """Registers a model without a version."""
        body = {"display_name": name, "description": description, "tags": values.tags(tags or {})}
        return Model.read(self._client.post(f"{self._client.project}/models", body))

    def get_model(self, name: str) -> Model:
        """A model. `ModelNotFoundError` if there is none of this name."""
        if "/" in name:
            return Model.read(self._client.get(_resource(name)))
        found = self._found(name)
        if found is None:
            context = {"model": name, "project": self._client.project}
            message = f"no model {name!r} in {self._client.project}"
            raise ModelNotFoundError(ErrorCode.MODEL_NOT_FOUND, message, context, status=404)
        return found

    def models(self, filter: str = "", *, order_by: str = "", limit: int | None = None) -> Iterator[Model]:
        """Models that a filter finds: `name LIKE 'fraud%' AND tags.team = 'risk'`."""
        path = f"{self._client.project}/models"
        pages = self._client.pages(path, "registered_models", limit, filter=filter, order_by=order_by)
        return (Model.read(item) for item in pages)

    def delete_model(self, name: str) -> None:
        """Deletes a model with all its versions."""
        self._client.delete(self.get_model(name).resource_name)

    # Versions.

    def register(
        self,
        name: str,
        path: str | os.PathLike[str] | None = None,
        *,
        source_uri: str = "",
        artifact_type: str = "",
        framework: str = "",
        hyperparameters: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> ModelVersion:
        """Registers the next version of a model, which is made if it is not there yet.

        Its files are those at `path`, a file or a folder, which are uploaded; or lie at `source_uri` already
        (`runs:/{run}/model`, `models:/{name}/{version}`, `s3://…`). What the server refuses leaves neither of them behind.
        """
        if path is not None and source_uri:
            raise invalid("path", "and source_uri exclude each other: files are uploaded, or there already")
        words = values.tags(tags or {})
        if artifact_type:
            words[ARTIFACT_TYPE] = artifact_type
        version: dict[str, Any] = {
            "framework": framework,
            "hyperparameters": values.hyperparameters(hyperparameters or {}),
            "metrics": values.metrics(metrics or {}),
            "tags": words,
            "description": description,
        }
        local = transfer.local_files(path) if path is not None else []
        model = self.get_model(name) if "/" in name else self._found(name)
        kept = files.keep(self._client, local, name, artifact_type) if local else None
        version |= {"source_uri": kept.uri, "source_model": kept.id} if kept else _source(source_uri)
        made: Model | None = None
        try:
            if model is None:
                model, made = self._made(name)
            answer = self._client.post(f"{model.resource_name}/versions", {"model_version": version})
        except (Unavailable, Internal):
            # Whether it took effect is unknown, and then the files are the version's.
            raise
        except CairnError:
            self._undo(kept, made)
            raise
        return ModelVersion.read(answer, model.name)

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """A version by its number; without one, the newest."""
        if version is None:
            return self.by_alias(name, "latest")
        model = self.get_model(name)
        return ModelVersion.read(self._client.get(f"{model.resource_name}/versions/{_number(version)}"), model.name)

    def by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias points at."""
        model = self.get_model(name)
        return ModelVersion.read(self._client.get(f"{model.resource_name}:resolve", alias=alias), model.name)

    def by_stage(self, name: str, stage: Stage | str) -> ModelVersion:
        """The newest version in a stage."""
        model = self.get_model(name)
        answer = self._client.get(f"{model.resource_name}:resolve", stage=Stage.of(stage).word)
        return ModelVersion.read(answer, model.name)

    def versions(
        self, name: str | None = None, filter: str = "", *, order_by: str = "", limit: int | None = None
    ) -> Iterator[ModelVersion]:
        """Versions of a model, or of all, that a filter finds: `stage = 'Production' AND framework = 'sklearn'`."""
        known = {}
        path = f"{self._client.project}/modelVersions"
        if name is not None:
            model = self.get_model(name)
            known[model.resource_name] = model.name
            path = f"{model.resource_name}/versions"
        for item in self._client.pages(path, "model_versions", limit, filter=filter, order_by=order_by):
            parent = item["name"].rsplit("/versions/", 1)[0]
            if parent not in known:
                known[parent] = self.get_model(parent).name
            yield ModelVersion.read(item, known[parent])

    def set_tags(
        self, name: str, version: int, tags: Mapping[str, str] | None = None, *, delete: list[str] | None = None
    ) -> ModelVersion:
        """Sets and deletes tags of a version."""
        body = {"tags": values.tags(tags or {}), "deleted_keys": delete or []}
        return self._version(name, version, ":setTags", body)

    def describe(self, name: str, version: int, description: str) -> ModelVersion:
        """Changes the notes of a version."""
        model = self.get_model(name)
        path = f"{model.resource_name}/versions/{_number(version)}"
        return ModelVersion.read(self._client.patch(path, {"description": description}), model.name)

    def delete_version(self, name: str, version: int) -> None:
        """Deletes a version. Its number is never given again."""
        self._client.delete(f"{self.get_model(name).resource_name}/versions/{_number(version)}")

    def download(self, name: str, version: int, to: str | os.PathLike[str]) -> Path:
        """Writes the files of a version below a folder that is new or empty, and checks their digests."""
        folder = files.empty_folder(Path(to))
        return files.fetch(self._client, self.get(name, version).raw, folder)

    # What is used.

    def set_alias(self, name: str, alias: str, version: int) -> Model:
        """Points an alias at a version, wherever it pointed before."""
        body = {"alias": alias, "version": _number(version)}
        return Model.read(self._client.post(f"{self.get_model(name).resource_name}:setAlias", body))

    def remove_alias(self, name: str, alias: str) -> Model:
        """Takes an alias away."""
        return Model.read(self._client.post(f"{self.get_model(name).resource_name}:removeAlias", {"alias": alias}))

    def transition(
        self, name: str, version: int, stage: Stage | str, *, archive_existing: bool = False
    ) -> ModelVersion:
        """Moves a version to another stage. `TargetProtected` if only a promotion does."""
        body = {"stage": Stage.of(stage).word, "archive_existing_versions": archive_existing}
        return self._version(name, version, ":transition", body)

    def request_promotion(
        self, name: str, version: int, *, stage: Stage | str | None = None, alias: str = "", comment: str = ""
    ) -> Promotion:
        """Asks that a version takes a stage or an alias. Nothing moves before the policy's conditions are met."""
        if (stage is None) == (not alias):
            raise invalid("stage", "or alias must be given, and not both")
        target = {"alias": alias} if stage is None else {"stage": Stage.of(stage).word}
        body = {"moves": [{"version": _number(version), **target}], "comment": comment}
        return Promotion.read(self._client.post(f"{self.get_model(name).resource_name}/promotions", body))

    def promotions(self, name: str, state: PromotionState | None = None) -> Iterator[Promotion]:
        """The promotions of a model, newest first."""
        path = f"{self.get_model(name).resource_name}/promotions"
        pages = self._client.pages(path, "promotions", state=state.word if state else None)
        return (Promotion.read(item) for item in pages)

    def get_promotion(self, promotion: str) -> Promotion:
        """A promotion by its resource name."""
        return Promotion.read(self._client.get(promotion))

    def approve(self, promotion: str, comment: str = "") -> Promotion:
        """Approves a promotion that somebody else asked for. With the last approval it needs, everything moves."""
        return Promotion.read(self._client.post(f"{promotion}:approve", {"comment": comment}))

    def reject(self, promotion: str, comment: str = "") -> Promotion:
        """Rejects a promotion. That is its end."""
        return Promotion.read(self._client.post(f"{promotion}:reject", {"comment": comment}))

    def withdraw(self, promotion: str, comment: str = "") -> Promotion:
        """Takes back a promotion of one's own."""
        return Promotion.read(self._client.post(f"{promotion}:withdraw", {"comment": comment}))

    def _version(self, name: str, version: int, verb: str, body: Mapping[str, Any]) -> ModelVersion:
        model = self.get_model(name)
        answer = self._client.post(f"{model.resource_name}/versions/{_number(version)}{verb}", body)
        return ModelVersion.read(answer, model.name)

    def _found(self, name: str) -> Model | None:
        """The model that people call so, whatever its resource name."""
        quote = next((quote for quote in ("'", '"') if quote not in name), None)
        # Filters have no escapes. What holds both quotes is looked for among all.
        candidates = self.models(f"name = {quote}{name}{quote}" if quote else "")
        return next((model for model in candidates if model.name == name), None)

    def _made(self, name: str) -> tuple[Model, Model | None]:
        """The model of a name, and again if it was made here."""
        try:
            made = self.create_model(name)
        except AlreadyExists:
            return self.get_model(name), None
        return made, made

    def _undo(self, kept: files.Kept | None, made: Model | None) -> None:
        if kept is not None:
            files.discard(self._client, kept)
        if made is not None:
            # With its etag: if somebody else uses it by now, it stays.
            with suppress(CairnError):
                self._client.delete(made.resource_name, etag=made.etag)


def _resource(name: str) -> str:
    match name.split("/"):
        case ["projects", project, "models", model] if project and model:
            return name
    raise invalid("name", f"{name!r} is no model: what people call one has no slash, and its full name is "
                          "projects/{project}/models/{model}")


def _number(version: int) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise invalid("version", f"is a number from 1, not {version!r}")
    return version


def _source(uri: str) -> dict[str, str]:
    """Where a version's files are already. Of a run's the server wants to hear which run."""
    if not uri:
        return {}
    run = uri.removeprefix("runs:").lstrip("/").split("/")[0] if uri.startswith("runs:") else ""
    return {"source_uri": uri, "source_run": run} if run else {"source_uri": uri}
