"""What a stage is handed: verified folders, never names in a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from align.errors import ArtifactError


@dataclass(frozen=True)
class ModelInput:
    """A transformers folder, or, when `base` is set, a peft adapter folder to be put onto that base."""

    name: str
    path: Path
    digest: str
    base: ModelInput | None = None


@dataclass(frozen=True)
class RowsInput:
    """Rows of one type in parquet files, in order."""

    name: str
    files: tuple[Path, ...]
    type: str
    rows: int
    digest: str


@dataclass(frozen=True)
class ReportInput:
    name: str
    path: Path
    digest: str


@dataclass(frozen=True)
class SourceInput:
    """Where a prepare step reads from. `kind`: file, folder, hub or quickstart; `revision`: the pinned commit of a hub."""

    kind: str
    location: str
    split: str | None
    revision: str | None
    digest: str


AnyInput = ModelInput | RowsInput | ReportInput | SourceInput
T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """A step's inputs by name, and a cache of pure functions of content that may be deleted at any time."""

    named: Mapping[str, AnyInput]
    cache: Path

    def __contains__(self, name: str) -> bool:
        return name in self.named

    def model(self, name: str) -> ModelInput:
        return self._get(name, ModelInput)

    def rows(self, name: str) -> RowsInput:
        return self._get(name, RowsInput)

    def report(self, name: str) -> ReportInput:
        return self._get(name, ReportInput)

    def source(self, name: str = "source") -> SourceInput:
        return self._get(name, SourceInput)

    def _get(self, name: str, kind: type[T]) -> T:
        found = self.named.get(name)
        if not isinstance(found, kind):
            raise ArtifactError(name, f"the step was given {type(found).__name__}", f"expected {kind.__name__}")
        return found
