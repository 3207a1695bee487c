"""reward: a model that scores answers, learnt from preferences (Bradley and Terry 1952; Ouyang et al. 2022, 2203.02155)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from align.specs.base import Model, Port
from align.specs.training import TrainingSpec


class RewardSpec(TrainingSpec):
    version: ClassVar = 5  # 4: all of a merged adapter is trained; 5: the bounds of an accuracy with ties lie in [0, 1]
    writes: ClassVar = "reward"
    trains: ClassVar = "model"
    telling: ClassVar = ("eval_accuracy", "accuracy", "ece", "length_correlation", "loss")

    kind: Literal["reward"]
    model: Model = Field(
        description="the model whose body is trained to score; SFT's, so that it knows the answers' form"
    )
    data: Annotated[str, Port("rows", ("preference",))] = Field(
        description="preferences; their margin is used if there"
    )
    demonstrations: Annotated[str, Port("rows", ("messages",))] | None = Field(
        None, description="SFT's rows: scores are shifted so that these average 0"
    )
    center: float = Field(
        0.0, ge=0, description="pull of raw scores towards 0 while training (2312.09244); 0.01 is usual"
    )

    def narrow(self, field: str, port: Port) -> Port | None:
        return Port("rows", ("preference",)) if field == "eval_data" else port
