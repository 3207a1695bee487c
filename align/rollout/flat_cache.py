"""Attention over a flat cache: each attention layer's keys and values of all slots in one tensor, written in place.

A prompt is laid into a slot in one packed pass (no padding), then every pass adds one token to each slot. The tensors hang
on the attention modules, so that compiled layers, of which one compilation serves all, take them as inputs. On GPUs in half
precision the attention is torch's own flash kernel, which reads of each slot only what is used; elsewhere a masked one.

Axes: L positions of a slot, P of all slots, B slots in use, N tokens of all prompts in one row, H heads (K of keys, each for
G of queries), D head width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from align.errors import AlignError
from align.models.packed import packed_attention

FLAT = "flat_cache"


def flat_cache_attention(
    module: Any,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    write_at_N: Tensor | None = None,
    cache_shape: tuple[int, int] | None = None,
    used_B: Tensor | None = None,
    slot_starts: tuple[Tensor, Tensor] | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Writes the tokens' keys and values into the cache, then attends; the result is laid out (B, T, H, D).

    `write_at_N`: slot times L plus position. The tokens are either whole prompts in one row, with their borders
    (`cu_seq_lens_q`), or the newest of each of the first B slots, of which `used_B` positions count then; `slot_starts`:
    0 to B, and the same times L.
    """
    if write_at_N is None or cache_shape is None:
        raise AlignError("the model does not hand on to its attention where to write in the cache")
    query, key = query_BHTD.to(value_BHTD.dtype), key_BHTD.to(value_BHTD.dtype)  # rotary embedding leaves float32
    if cu_seq_lens_q is not None:
        _allocate(module, cache_shape, key, value_BHTD)
        _write(module, write_at_N, key[0].transpose(0, 1), value_BHTD[0].transpose(0, 1))
        return packed_attention(module, query, key, value_BHTD, None, scaling, 0.0, cu_seq_lens_q, max_length_q)
    assert used_B is not None and slot_starts is not None
    _write(module, write_at_N, key[:, :, 0], value_BHTD[:, :, 0])
    end = len(query) * cache_shape[1]
    cache = module.flat_keys[:end], module.flat_values[:end]
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return _flash(query, *cache, cache_shape[1], used_B, slot_starts, scaling), None
    return _masked(query, *cache, cache_shape[1], used_B, scaling), None


def _allocate(module: Any, shape: tuple[int, int], key: Tensor, value: Tensor) -> None:
    if getattr(module, "flat_keys", None) is None:
        positions = shape[0] * shape[1]
        module.flat_keys = key.new_zeros(positions, key.shape[1], key.shape[3])
        module.flat_values = value.new_zeros(positions, value.shape[1], value.shape[3])


def _write(module: Any, at_N: Tensor, keys_NHD: Tensor, values_NHD: Tensor) -> None:
    """Straight into the tensors, not a view of them: compiled layers would write a copy of the whole cache."""
    module.flat_keys[at_N] = keys_NHD
    module.flat_values[at_N] = values_NHD


def _flash(
    query_BH1D: Tensor,
    keys_PHD: Tensor,
    values_PHD: Tensor,
    length: int,
    used_B: Tensor,
    slot_starts: tuple[Tensor, Tensor],
    scale: float | None,
) -> Tensor:
    out_BHD = torch.ops.aten._flash_attention_forward(
        query_BH1D[:, :, 0].contiguous(), keys_PHD, values_PHD, *slot_starts, 1, length, 0.0, False, False,
        scale=scale, seqused_k=used_B,
    )[0]  # fmt: skip
    return out_BHD[:, None]


def _masked(
    query_BH1D: Tensor, keys_PHD: Tensor, values_PHD: Tensor, length: int, used_B: Tensor, scale: float | None
) -> Tensor:
    """The query heads that share a key head are asked as so many queries of it: no key or value is copied for each of them."""
    keys_BKLD, values_BKLD = (x.unflatten(0, (-1, length)).transpose(1, 2) for x in (keys_PHD, values_PHD))
    query_BKGD = query_BH1D[:, :, 0].unflatten(1, (keys_BKLD.shape[1], -1))
    seen_BL = torch.arange(length, device=used_B.device) < used_B[:, None]
    out_BKGD = torch.nn.functional.scaled_dot_product_attention(
        query_BKGD, keys_BKLD, values_BKLD, attn_mask=seen_BL[:, None, None], scale=scale
    )
    return out_BKGD.flatten(1, 2)[:, None]


def cached(model: nn.Module) -> list[Any]:
    """The attention modules that hold a cache."""
    return [m for m in model.modules() if getattr(m, "flat_keys", None) is not None]


def release(model: nn.Module) -> None:
    for module in cached(model):
        module.flat_keys = module.flat_values = None


def bring_forward(model: nn.Module, slots: Tensor, length: int) -> None:
    """Move the content of `slots` to the first ones, in this order."""
    for module in cached(model):
        for flat in (module.flat_keys, module.flat_values):
            cache = flat.unflatten(0, (-1, length))
            cache[: len(slots)] = cache[slots]


# No mask is registered under this name, so that transformers builds none.
AttentionInterface.register(FLAT, flat_cache_attention)
