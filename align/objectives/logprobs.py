"""Log-probabilities of given tokens.

Axes: B sequences, T positions, N tokens of all sequences together, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor


def token_logprobs(logits_NV: Tensor, token_ids_N: Tensor) -> Tensor:
    """log softmax(logits)[token] = logit[token] - log sum_v exp(logit[v]), in float32."""
    return -torch.nn.functional.cross_entropy(logits_NV.float(), token_ids_N, reduction="none")


def next_token_logprobs(logits_BTV: Tensor, token_ids_BT: Tensor) -> Tensor:
    """log p(x_t+1 | x_<=t) for t = 0 .. T-2, of shape (B, T-1)."""
    B, T = token_ids_BT.shape
    flat = token_logprobs(logits_BTV[:, :-1].flatten(0, 1), token_ids_BT[:, 1:].flatten())
    return flat.view(B, T - 1)
