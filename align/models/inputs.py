"""Models as a stage is handed them: from a sealed artifact with all it rests on, or from outside."""

from __future__ import annotations

from pathlib import Path

from httpx import HTTPError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from align.artifact.inputs import AnyInput, ModelInput, ReportInput, RowsInput, SourceInput
from align.artifact.store import Sealed, Store
from align.errors import ModelError

MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")


def input_of(name: str, sealed: Sealed, part: str | None, store: Store) -> AnyInput:
    """A sealed artifact as a stage reads it: rows of a part, a model, or a report."""
    manifest = sealed.manifest
    if part:
        files = tuple(sorted(sealed.path.glob(f"rows-{part}*.parquet")))
        return RowsInput(f"{name}.{part}", files, manifest.row_type or "", manifest.rows.get(part, 0), manifest.digest)
    if (sealed.path / "model").is_dir():
        return model_input(name, sealed, store)
    return ReportInput(name, sealed.path / "report.json", manifest.digest)


def model_input(name: str, sealed: Sealed, store: Store) -> ModelInput:
    """A model artifact; an adapter with the base it was trained on, which is opened and verified like any input."""
    base = sealed.manifest.base
    if base is None:
        return ModelInput(name, sealed.path / "model", sealed.manifest.digest)
    if base.key:
        below: ModelInput = model_input(f"{name}'s base", store.open(base.kind, base.key), store)
    else:
        below = outside_model(SourceInput(base.kind, base.source or "", None, base.revision, base.digest))
    if below.digest != base.digest:
        raise ModelError(
            name, f"its base {below.path} holds something else than it was trained on", "", "train it again"
        )
    return ModelInput(name, sealed.path / "model", sealed.manifest.digest, below)


def outside_model(source: SourceInput) -> ModelInput:
    """The model a recipe calls base: a local folder, or a hub id at its pinned commit, without any code of its own."""
    if source.kind == "hub":
        return ModelInput("base", _downloaded(source), source.digest)
    path = Path(source.location)
    if not (path / "config.json").is_file() and (path / "model" / "config.json").is_file():
        path = path / "model"  # a sealed artifact given as a folder
    return ModelInput("base", path, source.digest)


def _downloaded(source: SourceInput) -> Path:
    try:
        return Path(snapshot_download(source.location, revision=source.revision, allow_patterns=list(MODEL_FILES)))
    except (HfHubHTTPError, HTTPError, OSError) as error:  # what is not in the local cache is a FileNotFoundError
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            source.location,
            f"the hub does not give its files ({why})",
            "",
            "connect and run again, or give a local folder instead",
        ) from None
