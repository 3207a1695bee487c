"""prepare: a source becomes standard rows, validated and split by prompt. One entry under `data:` is one such step."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from align.specs.base import Spec


class PrepareSpec(Spec):
    version: ClassVar = 2
    writes: ClassVar = "rows"
    seeded: ClassVar = False
    telling: ClassVar = ("rows/train", "rows/holdout")

    kind: Literal["prepare"] = "prepare"
    source: str = Field(description="hub id, file, folder, or quickstart:NAME of the bundled world")
    split: str | None = Field(
        None,
        description="SPLIT or CONFIGURATION/SPLIT of a hub data set, or the split of a folder whose files are named by it",
    )
    revision: str | None = Field(None, description="commit of a hub data set; pinned at first run when not given")
    as_: Literal["text", "messages", "prompt", "preference"] = Field(alias="as", description="the row type wanted")
    columns: dict[str, str] = Field(default_factory=dict, description="our name: theirs")
    holdout: float | None = Field(None, gt=0, lt=1, description="share of prompts set aside as NAME.holdout")
    split_seed: int = Field(0, description="its own seed, so that a new training seed reshuffles no data")
    limit: int | None = Field(None, ge=1, description="read only so many rows")
    drop_budget: float = Field(0.001, ge=0, le=1, description="share of rows that may break the schema and be left out")

    def identity(self) -> dict[str, Any]:
        """Without where the rows lie: the digest of the source stands for what they are."""
        return {
            name: value for name, value in super().identity().items() if name not in ("source", "revision", "split")
        }

    def parts(self) -> tuple[str, ...]:
        return ("train", "holdout") if self.holdout else ("train",)
