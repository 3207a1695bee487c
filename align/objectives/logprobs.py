"""Log-probabilities of given tokens.

Axes: B sequences, T positions, N tokens of all sequences together, H hidden width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

ROWS_AT_ONCE = 4096  # logits of so many tokens are held at a time


def token_logprobs(logits_NV: Tensor, token_ids_N: Tensor) -> Tensor:
    """log softmax(logits)[token] = logit[token] - log sum_v exp(logit[v]), in float32."""
    return -torch.nn.functional.cross_entropy(logits_NV.float(), token_ids_N, reduction="none")


def chunked_token_logprobs(
    hidden_NH: Tensor, head_VH: Tensor, token_ids_N: Tensor, rows_at_once: int = ROWS_AT_ONCE
) -> Tensor:
    """token_logprobs(hidden @ head.T, tokens) without ever holding more than `rows_at_once` rows of logits.

    With gradients, each chunk's logits are computed again in the backward pass.
    """

    def of_chunk(chunk_hidden_NH: Tensor, chunk_ids_N: Tensor) -> Tensor:
        return token_logprobs(torch.nn.functional.linear(chunk_hidden_NH, head_VH), chunk_ids_N)

    chunks = zip(hidden_NH.split(rows_at_once), token_ids_N.split(rows_at_once), strict=True)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(of_chunk, h, ids, use_reentrant=False) for h, ids in chunks])  # type: ignore[misc]
    return torch.cat([of_chunk(h, ids) for h, ids in chunks])


def next_token_logprobs(logits_BTV: Tensor, token_ids_BT: Tensor) -> Tensor:
    """log p(x_t+1 | x_<=t) for t = 0 .. T-2, of shape (B, T-1)."""
    B, T = token_ids_BT.shape
    flat = token_logprobs(logits_BTV[:, :-1].flatten(0, 1), token_ids_BT[:, 1:].flatten())
    return flat.view(B, T - 1)
