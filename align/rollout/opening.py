"""Which engine serves a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from align.rollout.engine import Engine
from align.rollout.fast import FastEngine, why_not
from align.rollout.portable import PortableEngine

EngineKind = Literal["auto", "portable", "fast"]
CPU_ROWS = 64
GPU_ROWS = (64, 512)
CACHE_BYTES, CACHE_TOKENS = 16 << 30, 1024


def rows_at_once(model: Any) -> int:
    """How many completions are sampled together where nobody says: on GPUs a power of two whose cache stays within bounds.

    Told by the model alone and not by what is free, since what is sampled depends on it.
    """
    if model.device.type != "cuda":
        return CPU_ROWS
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = (getattr(config, "num_key_value_heads", None) or heads) * (
        getattr(config, "head_dim", None) or config.hidden_size // heads
    )
    a_row = 2 * width * config.num_hidden_layers * model.dtype.itemsize * CACHE_TOKENS
    fitting = 1 << max(0, int(CACHE_BYTES / a_row).bit_length() - 1)
    return min(max(fitting, GPU_ROWS[0]), GPU_ROWS[1])


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
