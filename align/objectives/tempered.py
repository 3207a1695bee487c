"""Log-probabilities and entropies of a policy that is sampled at temperature T: softmax(logits / T) is the policy, everywhere.

Axes: N completion tokens, H hidden width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from align.objectives.logprobs import token_logprobs

LOGITS_AT_ONCE = 1 << 27  # numbers of the (N, V) logits that are held at a time: half a GiB in float32


def tempered_terms(
    logits_NV: Tensor, token_ids_N: Tensor, temperature: float, entropy_trained: bool = False
) -> tuple[Tensor, Tensor]:
    """(log pi(token), entropy of pi) with pi = softmax(logits / T), in float32 and nats.

    The entropy carries a gradient, and costs its memory, only where `entropy_trained`.
    """
    logits_NV = logits_NV.float() / temperature
    with torch.set_grad_enabled(entropy_trained and torch.is_grad_enabled()):
        entropy_N = torch.logsumexp(logits_NV, -1) - (logits_NV.softmax(-1) * logits_NV).sum(-1)
    return token_logprobs(logits_NV, token_ids_N), entropy_N


def chunked_tempered_terms(
    hidden_NH: Tensor,
    head_VH: Tensor,
    token_ids_N: Tensor,
    temperature: float,
    entropy_trained: bool = False,
    at_once: int = LOGITS_AT_ONCE,
) -> tuple[Tensor, Tensor]:
    """tempered_terms(hidden @ head.T, ...) without ever holding more than `at_once` logits.

    With gradients and more than one chunk, each chunk's logits are computed again in the backward pass. The numbers are the
    same either way.
    """
    rows = max(1, at_once // head_VH.shape[0])

    def of_chunk(chunk_hidden_NH: Tensor, chunk_ids_N: Tensor) -> tuple[Tensor, Tensor]:
        logits_NV = torch.nn.functional.linear(chunk_hidden_NH, head_VH)
        return tempered_terms(logits_NV, chunk_ids_N, temperature, entropy_trained)

    chunks = list(zip(hidden_NH.split(rows), token_ids_N.split(rows), strict=True))
    if torch.is_grad_enabled() and len(chunks) > 1:
        terms = [checkpoint(of_chunk, h, ids, use_reentrant=False) for h, ids in chunks]
    else:
        terms = [of_chunk(h, ids) for h, ids in chunks]
    logprobs, entropies = zip(*terms, strict=True)  # type: ignore[misc]
    return torch.cat(logprobs), torch.cat(entropies)
