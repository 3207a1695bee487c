"""Sequences laid end to end for one forward pass, and where in it the tokens that matter are predicted.

`scored` tokens at the end of a sequence are looked at: for a completion all of its tokens, whose predictors are the positions
one before each. Models whose attention cannot be packed get a right-padded batch.

Axes: N scored tokens of all sequences, H hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """`inputs`: of the model's body; `at_N`: indices into its flattened positions; `token_ids_N`: the scored tokens."""

    inputs: dict[str, Any]
    at_N: Tensor
    token_ids_N: Tensor


def micro_batches(lengths: Sequence[int], tokens: int, rows: int | None = None) -> Iterator[range]:
    """Neighbouring sequences in batches of at most `tokens` tokens (but never none) and at most `rows` sequences."""
    start = held = 0
    for i, length in enumerate(lengths):
        if i > start and (held + length > tokens if rows is None else i - start >= rows):
            yield range(start, i)
            start, held = i, 0
        held += length
    if start < len(lengths):
        yield range(start, len(lengths))


def pack(sequences: Sequence[list[int]], scored: Sequence[int], device: torch.device, packing: bool) -> Packed:
    """Lay sequences end to end (`packing`), or pad them on the right; the last `scored[i]` tokens of each are scored."""
    lengths = [len(s) for s in sequences]
    longest = max(lengths)
    starts = [0, *accumulate(lengths)] if packing else [longest * i for i in range(len(lengths) + 1)]
    at = [s + n - k + j for s, n, k in zip(starts[:-1], lengths, scored, strict=True) for j in range(k)]
    tokens = [t for sequence, k in zip(sequences, scored, strict=True) for t in sequence[len(sequence) - k :]]
    inputs = _end_to_end(sequences, lengths) if packing else _padded(sequences, longest)
    moved = {k: v.to(device) if torch.is_tensor(v) else v for k, v in inputs.items()}
    return Packed(moved, torch.tensor(at, device=device), torch.tensor(tokens, device=device))


def _end_to_end(sequences: Sequence[list[int]], lengths: list[int]) -> dict[str, Any]:
    borders = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    longest = 1 << (max(lengths) - 1).bit_length()  # few different numbers, so that compiled layers are used again
    return {
        "input_ids": torch.tensor([t for s in sequences for t in s])[None],
        "position_ids": torch.cat([torch.arange(n) for n in lengths])[None],
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _padded(sequences: Sequence[list[int]], longest: int) -> dict[str, Any]:
    """Padding is known by the mask alone, never by a token id."""
    return {
        "input_ids": torch.tensor([s + [0] * (longest - len(s)) for s in sequences]),
        "attention_mask": torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in sequences]),
    }


def predicting_states(body: Any, packed: Packed) -> Tensor:
    """(N, H): the hidden state before each scored token, from which it was predicted."""
    return _states(body, packed)[packed.at_N - 1]


def last_states(body: Any, packed: Packed) -> Tensor:
    """(N, H): the hidden state at each scored token."""
    return _states(body, packed)[packed.at_N]


def _states(body: Any, packed: Packed) -> Tensor:
    return body(**packed.inputs, use_cache=False).last_hidden_state.flatten(0, 1)


@contextmanager
def attention(model: Any, name: str) -> Iterator[None]:
    """Another attention for a while: models are packed to train and score, and have a cache to generate."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
