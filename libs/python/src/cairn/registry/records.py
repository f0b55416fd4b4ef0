"""What the registry tells of models and versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from ..errors import invalid
from . import values

#: Where the kind of a version's files is kept, beside the tags that people give.
ARTIFACT_TYPE = "cairn.artifact_type"


class Stage(StrEnum):
    """How far a version has come."""

    #: Nobody has judged it yet.
    NONE = "None"
    #: It is being tried.
    STAGING = "Staging"
    #: It is in use.
    PRODUCTION = "Production"
    #: It was, and is kept.
    ARCHIVED = "Archived"

    @classmethod
    def of(cls, stage: Stage | str) -> Stage:
        """A stage by its name, in whatever case."""
        for known in cls:
            if str(stage).lower() == known.value.lower():
                return known
        raise invalid("stage", f"{stage!r} is none of {', '.join(known.value for known in cls)}")

    @property
    def word(self) -> str:
        """As the contract has it."""
        return f"STAGE_{self.name}"

    @classmethod
    def read(cls, word: str) -> Stage:
        return cls[word.removeprefix("STAGE_")] if word.startswith("STAGE_") else cls.NONE


@dataclass(frozen=True)
class Model:
    """A purpose, and the versions made for it."""

    #: What people call it.
    name: str
    #: `projects/{project}/models/{model}`
    resource_name: str
    description: str
    tags: Mapping[str, str]
    #: Which version each alias points at.
    aliases: Mapping[str, int]
    #: Number of its newest version; 0: it has none.
    latest_version: int
    creator: str
    create_time: datetime | None
    update_time: datetime | None
    etag: str

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        return cls(
            name=answer["display_name"],
            resource_name=answer["name"],
            description=answer.get("description", ""),
            tags=dict(answer.get("tags", {})),
            aliases={alias: int(number) for alias, number in answer.get("aliases", {}).items()},
            latest_version=int(answer.get("latest_version", 0)),
            creator=answer.get("creator", ""),
            create_time=moment(answer.get("create_time")),
            update_time=moment(answer.get("update_time")),
            etag=answer.get("etag", ""),
        )


@dataclass(frozen=True)
class ModelVersion:
    """A version of a model. What it is never changes; stage, aliases, tags and description do."""

    #: What people call the model.
    name: str
    #: Its number, from 1.
    version: int
    #: `projects/{project}/models/{model}/versions/{version}`
    resource_name: str
    stage: Stage
    aliases: tuple[str, ...]
    description: str
    tags: Mapping[str, str]
    framework: str
    #: What sort of files it has, as who registered it said.
    artifact_type: str
    #: As they were given: numbers as numbers.
    hyperparameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    source_run: str
    source_uri: str
    #: Where its files are.
    artifact_uri: str
    #: SHA-256 over the list of its files and their digests; empty: they are not known here.
    artifact_sha256: str
    creator: str
    create_time: datetime | None
    update_time: datetime | None
    etag: str
    #: All of the answer, for what has no field of its own.
    raw: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)

    @property
    def model(self) -> str:
        """`projects/{project}/models/{model}`"""
        return self.resource_name.rsplit("/versions/", 1)[0]

    @classmethod
    def read(cls, answer: Mapping[str, Any], name: str) -> Self:
        tags = dict(answer.get("tags", {}))
        return cls(
            name=name,
            version=int(answer["version"]),
            resource_name=answer["name"],
            stage=Stage.read(answer.get("stage", "")),
            aliases=tuple(answer.get("aliases", ())),
            description=answer.get("description", ""),
            artifact_type=tags.pop(ARTIFACT_TYPE, ""),
            tags=tags,
            framework=answer.get("framework", ""),
            hyperparameters={key: values.from_text(text) for key, text in answer.get("hyperparameters", {}).items()},
            metrics={key: float(value) for key, value in answer.get("metrics", {}).items()},
            source_run=answer.get("source_run", ""),
            source_uri=answer.get("source_uri", ""),
            artifact_uri=answer.get("artifact_uri", ""),
            artifact_sha256=answer.get("artifact_manifest", {}).get("sha256", ""),
            creator=answer.get("creator", ""),
            create_time=moment(answer.get("create_time")),
            update_time=moment(answer.get("update_time")),
            etag=answer.get("etag", ""),
            raw=dict(answer),
        )


def moment(text: str | None) -> datetime | None:
    """A time of RFC 3339; finer than microseconds is cut off."""
    return datetime.fromisoformat(text) if text else None
