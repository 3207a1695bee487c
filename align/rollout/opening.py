"""Which engine serves a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from align.rollout.engine import Engine
from align.rollout.fast import FastEngine, why_not
from align.rollout.portable import PortableEngine

EngineKind = Literal["auto", "portable", "fast"]


def open_engine(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int,
    kind: EngineKind = "auto",
    note: Callable[[str], None] = lambda _: None,
    compiled: bool = False,
) -> Engine:
    """The fast engine on GPUs (`fast`: anywhere) for models that it serves, else the portable one; `note` is told why.

    `compiled`: the fast engine compiles the model's layers, which takes a while and pays in long runs.
    """
    if kind == "portable" or (kind == "auto" and model.device.type != "cuda"):
        return PortableEngine(model, tokenizer, batch_size)
    reason = why_not(model)
    if reason:
        note(f"the portable engine samples, not the fast one: {reason}")
        return PortableEngine(model, tokenizer, batch_size)
    return FastEngine(model, tokenizer, batch_size, compiled)
