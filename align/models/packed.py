"""Attention over documents packed into one row, none of which sees another, and forward passes without padding.

A packed row comes with `cu_seq_lens_q`, the borders of its documents (0 first, the row's length last), which transformers
hands on to the attention function, and with position_ids that start again in each document. On GPUs the attention is
torch's own variable-length flash kernel (no flash-attn package); elsewhere a loop over the documents, which is exact and
costs no more than the documents themselves.

Axes: B sequences, T positions, N tokens of all sequences in one row, H heads, D head width.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from align.errors import AlignError

PACKED = "packed"


def supports_packing(config: Any) -> bool:
    """Whether a model's attention is plain causal attention; variants (soft caps, sinks, chunks, windows) are not packed."""
    config = config.get_text_config()
    plain_layers = set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    caps = any(getattr(config, name, None) for name in ("attn_logit_softcapping", "attention_chunk_size"))
    return plain_layers and not window and not caps and config.model_type != "gpt_oss"


def packed_attention(
    module: torch.nn.Module,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each document of one packed row; the result is laid out (1, N, H, D)."""
    if cu_seq_lens_q is None or max_length_q is None or query_BHTD.shape[0] != 1:
        raise AlignError("packed attention was called without document borders; documents would see one another")
    query, key = query_BHTD.to(value_BHTD.dtype), key_BHTD.to(value_BHTD.dtype)  # rotary embedding leaves float32
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return _flash(query, key, value_BHTD, cu_seq_lens_q, max_length_q, scaling, dropout), None
    return _by_document(query, key, value_BHTD, cu_seq_lens_q, scaling, dropout), None


def _flash(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    borders: Tensor,
    longest: int,
    scale: float | None,
    p: float,
) -> Tensor:
    query, key, value = (x[0].transpose(0, 1) for x in (query_BHTD, key_BHTD, value_BHTD))  # (N, H, D)
    out_NHD = torch.ops.aten._flash_attention_forward(
        query, key, value, borders, borders, longest, longest, p, True, False, scale=scale
    )[0]
    return out_NHD[None]


@torch.compiler.disable()  # a graph for each number of documents, otherwise
def _by_document(
    query_BHTD: Tensor, key_BHTD: Tensor, value_BHTD: Tensor, borders: Tensor, scale: float | None, p: float
) -> Tensor:
    lengths = borders.diff().tolist()
    documents = zip(*(x.split(lengths, dim=2) for x in (query_BHTD, key_BHTD, value_BHTD)), strict=True)
    grouped = query_BHTD.shape[1] != key_BHTD.shape[1]
    attend = functools.partial(
        torch.nn.functional.scaled_dot_product_attention, is_causal=True, scale=scale, dropout_p=p, enable_gqa=grouped
    )
    return torch.cat([attend(q, k, v) for q, k, v in documents if q.shape[2]], dim=2).transpose(1, 2)


# No mask is registered under this name, so that transformers builds none: the borders say it all.
AttentionInterface.register(PACKED, packed_attention)


def padding_free(model: Any) -> Any:
    """Make a causal language model run right-padded batches as one packed row; returns the model, changed in place.

    The body of the model (embeddings and layers, where nearly all the time goes) sees real tokens only; its hidden states
    are laid back into the padded shape, zeros on padding, so that whoever calls the model notices nothing. For training
    and scoring only: with a cache or left padding the model is called as it was.
    """
    body = model.base_model
    padded_forward = body.forward
    model.set_attn_implementation(PACKED)

    @functools.wraps(type(body).forward)
    def forward(input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any) -> Any:
        if input_ids is None or attention_mask is None or "cu_seq_lens_q" in kwargs:
            return padded_forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        kwargs = {k: v for k, v in kwargs.items() if k not in ("position_ids", "use_cache")}
        real_BT = attention_mask.bool()
        outputs = padded_forward(input_ids=input_ids[real_BT][None], use_cache=False, **_borders(real_BT), **kwargs)
        packed_NH = outputs.last_hidden_state[0]
        padded_BTH = packed_NH.new_zeros(*real_BT.shape, packed_NH.shape[-1])
        padded_BTH[real_BT] = packed_NH
        outputs.last_hidden_state = padded_BTH
        return outputs

    body.forward = forward
    return model


def _borders(real_BT: Tensor) -> dict[str, Any]:
    """What a packed forward needs to know of its documents, one for each row of a right-padded batch."""
    lengths_B = real_BT.sum(1)
    borders = torch.nn.functional.pad(lengths_B.cumsum(0), (1, 0)).to(torch.int32)
    position_ids_BT = torch.arange(real_BT.shape[1], device=real_BT.device).expand_as(real_BT)
    longest = 1 << (real_BT.shape[1] - 1).bit_length()  # few different numbers, so that compiled layers are used again
    return {
        "position_ids": position_ids_BT[real_BT][None],
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
    }
