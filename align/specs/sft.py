"""sft: supervised fine-tuning on conversations, loss on assistant turns only."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from align.specs.base import Model, Port
from align.specs.training import TrainingSpec


class SftSpec(TrainingSpec):
    trains: ClassVar = "model"
    telling: ClassVar = ("eval_loss", "loss", "tokens_per_second")

    kind: Literal["sft"]
    model: Model
    data: Annotated[str, Port("rows", ("messages", "tokens"))]
    packing: bool = Field(
        True, description="several conversations to a sequence of max_length, isolated from one another"
    )
