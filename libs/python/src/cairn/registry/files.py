"""The files of versions: kept by the platform as a logged model's, as those of unmodified MLflow clients are.

So one that the SDK registered loads with `mlflow.pyfunc.load_model("models:/name/1")`, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import transfer
from ..client import Client
from ..error_codes import ErrorCode
from ..errors import CairnError, NotFound, invalid

#: The experiment that every project has.
EXPERIMENT = "experiments/0"


@dataclass(frozen=True)
class Kept:
    """What was uploaded, before a version is made of it."""

    #: `projects/{project}/experiments/{experiment}/loggedModels/{model}`
    name: str

    @property
    def id(self) -> str:
        return self.name.rsplit("/", 1)[1]

    @property
    def uri(self) -> str:
        return f"models:/{self.id}"


def keep(client: Client, files: list[transfer.LocalFile], title: str, kind: str) -> Kept:
    """Uploads files. If that does not succeed, nothing of them stays."""
    fields = {"display_name": title, "model_type": kind}
    kept = Kept(client.post(f"{client.project}/{EXPERIMENT}/loggedModels", fields)["name"])
    try:
        for file in files:
            client.upload(f"{kept.name}/files/{file.path}", file.file, file.sha256)
        client.post(f"{kept.name}:finalize", {"state": "LOGGED_MODEL_STATE_READY"})
    except BaseException:
        discard(client, kept)
        raise
    return kept


def discard(client: Client, kept: Kept) -> None:
    """Deletes what was uploaded. What stands in the way of that matters less than what led here."""
    with suppress(CairnError):
        for artifact in list(client.pages(f"{kept.name}/artifacts", "artifacts")):
            client.delete(artifact["name"])
        client.delete(kept.name)


def fetch(client: Client, version: Mapping[str, Any], to: Path) -> Path:
    """Writes the files of a version below a folder, each with the digest that was noted when it was registered."""
    owner, folder = _place(client.project, version)
    state = version.get("artifact_manifest", {}).get("state")
    prefix = f"{folder}/" if folder else ""
    if state == "MANIFEST_STATE_KNOWN":
        found = client.pages(f"{version['name']}/artifacts", "artifacts")
        wanted = [(file["path"], file["sha256"]) for file in found]
    else:
        found = client.pages(f"{owner}/artifacts", "artifacts", folder=folder)
        wanted = [(file["path"].removeprefix(prefix), file["sha256"]) for file in found]
    if not wanted:
        raise _elsewhere(version)
    for path, sha256 in wanted:
        client.download(f"{owner}/files/{prefix}{path}", transfer.below(to, path), sha256)
    return to


def _place(project: str, version: Mapping[str, Any]) -> tuple[str, str]:
    """The run or logged model that a version's files belong to, and the folder below it."""
    uri = version.get("artifact_uri", "")
    scheme, _, path = uri.partition(":")
    parts = [part for part in path.split("/") if part]
    match (scheme, parts):
        case "mlflow-artifacts", [experiment, "models", model, "artifacts", *folder]:
            return f"{project}/experiments/{experiment}/loggedModels/{model}", "/".join(folder)
        case "mlflow-artifacts", [experiment, run, "artifacts", *folder]:
            return f"{project}/experiments/{experiment}/runs/{run}", "/".join(folder)
        case "runs", [run, *folder] if version.get("source_run", "").endswith(f"/runs/{run}"):
            return version["source_run"], "/".join(folder)
    raise _elsewhere(version)


def _elsewhere(version: Mapping[str, Any]) -> NotFound:
    uri = version.get("artifact_uri", "")
    where = f"they lie at {uri}" if uri else "it was registered without any"
    message = f"the files of {version['name']} are not kept here: {where}"
    return NotFound(ErrorCode.ARTIFACT_NOT_FOUND, message, {"version": version["name"], "artifact_uri": uri})


def empty_folder(to: Path) -> Path:
    """Where files are written: a folder that is not there yet, or has nothing in it."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise invalid("to", f"{str(to)!r} is there already, and is no empty folder")
    return to
