"""select: the rows of a data entry that a model lets pass. A data entry with `select:` in the place of `source:`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from align.specs.base import Model, Port, RowType, Settings, Spec

SELECTABLE = ("text", "messages")


class Limits(Settings):
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some_limit(self) -> Limits:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: no row would be left")
        return self


class PerplexityLimits(Limits):
    model: Model = Field(description="the model that reads the rows, such as base")


class RewardLimits(Limits):
    model: Annotated[str, Port("reward")] = Field(description="the reward model that scores their last answers")


class SelectSpec(Spec):
    writes: ClassVar = "rows"
    seeded: ClassVar = False
    runtime: ClassVar = frozenset({"batch_size"})
    telling: ClassVar = ("rows/train", "rows/dropped")

    kind: Literal["select"] = "select"
    select: Annotated[str, Port("rows")] = Field(description="the data entry whose rows are looked at")
    as_: RowType = Field(alias="as", description="its row type")
    perplexity: PerplexityLimits | None = None
    reward: RewardLimits | None = Field(None, description="messages only")
    max_length: int = Field(1024, ge=8, description="tokens of a row that are read")
    batch_size: int = Field(16, ge=1, description="rows a forward pass")

    @model_validator(mode="after")
    def _possible(self) -> SelectSpec:
        if self.as_ not in SELECTABLE:
            raise ValueError(f"as: rows are selected among {' and '.join(SELECTABLE)}, found {self.as_}")
        if not self.perplexity and not self.reward:
            raise ValueError("select needs perplexity or reward: what is not said drops nothing")
        if self.reward and self.as_ != "messages":
            raise ValueError("reward: only messages have an answer to score")
        return self

    def narrow(self, field: str, port: Port) -> Port:
        return Port("rows", (self.as_,)) if field == "select" else port

    def parts(self) -> tuple[str, ...]:
        return ("train",)
