"""pretrain: next-token prediction on raw text, from scratch (`architecture`) or going on from a model."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from align.specs.base import Model, Port, Settings
from align.specs.templates import ChatTemplate
from align.specs.training import TrainingSpec


class Architecture(Settings):
    """A Llama-style decoder and the byte-level BPE tokenizer made for it."""

    layers: int = Field(ge=1)
    width: int = Field(ge=8)
    heads: int = Field(ge=1)
    kv_heads: int | None = Field(None, ge=1)
    mlp_width: int | None = Field(None, ge=8, description="8/3 of the width when not given")
    vocab_size: int = Field(ge=300)
    context: int = Field(512, ge=16, description="longest sequence in tokens")
    chat_template: ChatTemplate = Field("chatml", description="`chatml`, `quickstart`, or a Jinja file")

    @model_validator(mode="after")
    def _divides(self) -> Architecture:
        if self.width % self.heads or self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}, and heads of kv_heads")
        return self


class PretrainSpec(TrainingSpec):
    trains: ClassVar = "model"
    telling: ClassVar = ("eval_loss", "loss", "tokens_per_second")

    kind: Literal["pretrain"]
    data: Annotated[str, Port("rows", ("text", "tokens"))]
    model: Model | None = Field(None, description="the model to go on from; not with architecture")
    architecture: Architecture | None = Field(None, description="start from random weights of this shape")
    tokenizer_data: list[Annotated[str, Port("rows", ("text", "messages", "preference", "prompt"))]] = Field(
        default_factory=list, description="rows beside `data` that a new tokenizer is trained on"
    )

    @model_validator(mode="after")
    def _one_start(self) -> PretrainSpec:
        if (self.model is None) == (self.architecture is None):
            raise ValueError("give either model (go on from it) or architecture (start from random weights)")
        return self
