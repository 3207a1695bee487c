"""dpo: direct preference optimization (Rafailov et al. 2023, 2305.18290) and the losses TRL knows by name."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from align.specs.base import Model, Port
from align.specs.training import TrainingSpec

# fmt: off
Loss = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft",
]
# fmt: on


class DpoSpec(TrainingSpec):
    version: ClassVar = 2  # 2: all pairs of a ranking in one batch
    trains: ClassVar = "policy"
    telling: ClassVar = ("eval_rewards/accuracies", "rewards/accuracies", "rewards/margins", "loss")

    kind: Literal["dpo"]
    policy: Model = Field(description="the model to train; also the frozen reference")
    data: Annotated[str, Port("rows", ("preference",))]
    beta: float = Field(0.1, gt=0, description="strength of the pull towards the reference")
    loss: Loss = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="share of labels taken to be flipped (cDPO, robust)")
