"""Settings shared by the stages that train with a TRL trainer as the loop."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from align.specs.base import Port, Settings, Spec
from align.specs.templates import ChatTemplate, by_content
from align.specs.trainer_names import refusal

Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]


class LoRA(Settings):
    """Low-rank adapters (Hu et al. 2021, 2106.09685) on every linear layer unless told otherwise."""

    r: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0, description="the update is scaled by alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: str | list[str] = Field("all-linear", description="module names, or all-linear")


class TrainingSpec(Spec):
    """What SFT, DPO, pretraining and reward modelling have in common."""

    writes: ClassVar = "model"
    runtime: ClassVar = frozenset(
        {"micro_batch_size", "devices", "log_every", "save_every", "compile", "checkpoint_activations"}
    )

    learning_rate: float = Field(gt=0)
    epochs: float = Field(1.0, gt=0, description="passes over the rows; max_steps wins when given")
    max_steps: int | None = Field(None, ge=1, description="optimizer steps")
    batch_size: int = Field(
        32,
        ge=1,
        description="rows (pairs of whole rankings, packed sequences) an optimizer step at most, over all devices",
    )
    max_length: int = Field(1024, ge=8, description="tokens a row at most")
    scheduler: Scheduler = "cosine"
    warmup: float = Field(0.05, ge=0, description="share of the steps when below 1, else a number of steps")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast on GPUs that have it"
    )
    lora: LoRA | None = None
    chat_template: ChatTemplate | None = Field(None, description="`chatml`, or a Jinja file, for a model that has none")
    drop_budget: float = Field(
        0.01, ge=0, le=1, description="share of rows that may be cut short or left out by max_length"
    )
    eval_data: Annotated[str, Port("rows", ("text", "tokens", "messages", "preference"))] | None = None
    eval_every: int | None = Field(
        None, ge=1, description="optimizer steps between evaluations; once at the end when not given"
    )
    keep: str = Field("last", description="last, or best(METRIC) of the evaluations, e.g. best(eval_loss)")
    trainer: dict[str, Any] = Field(
        default_factory=dict, description="settings of TRL's trainer that have no name here"
    )

    micro_batch_size: int | None = Field(None, ge=1, description="rows a forward pass a device; derived when not given")
    devices: int = Field(1, ge=1)
    log_every: int = Field(10, ge=1)
    save_every: int | None = Field(
        None, ge=1, description="optimizer steps between checkpoints; about every minute when not given"
    )
    compile: bool = Field(False, description="torch.compile each decoder layer")
    checkpoint_activations: bool = Field(False, description="trade a third more compute for activation memory")

    def identity(self) -> dict[str, Any]:
        return by_content(super().identity())

    @field_validator("keep")
    @classmethod
    def _keep(cls, value: str) -> str:
        if value != "last" and not re.fullmatch(r"best\([\w/]+\)", value):
            raise ValueError("expected last or best(METRIC), e.g. best(eval_loss)")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSpec:
        refused = [why for name in self.trainer if (why := refusal(self.kind, name))]
        if refused:
            raise ValueError("trainer: " + "; ".join(refused))
        per_step = (self.micro_batch_size or 1) * self.devices
        if self.batch_size % per_step:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of micro_batch_size x devices = {per_step}; "
                f"the nearest that is: {max(per_step, round(self.batch_size / per_step) * per_step)}"
            )
        if (self.keep != "last" or self.eval_every) and not self.eval_data:
            raise ValueError("keep: best(...) and eval_every need eval_data")
        return self
