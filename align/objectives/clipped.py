"""Losses of proximal policy optimization (Schulman et al. 2017, 1707.06347). Axes: B sequences, T completion tokens.

Losses come per token, 0 off the mask: whoever trains sums them and divides by the tokens of the whole minibatch over all
micro batches and processes, so that the gradient does not depend on how a minibatch was split.
"""

from __future__ import annotations

import torch
from torch import Tensor

from align.objectives.kl import clamped_log_ratio, k3
from align.objectives.masked import masked_mean, masked_sum
from align.objectives.whitening import masked_moments


def policy_loss(
    logprobs_BT: Tensor,
    old_logprobs_BT: Tensor,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    clip_range: float,
    dual_clip: float | None = None,
) -> Tensor:
    """max(-A r, -A clip(r, 1 - c, 1 + c)) with r = pi / pi_old (their equation 7), a token each.

    `dual_clip` d > 1 bounds the loss at -d A where A < 0 (Ye et al. 2020, 1912.09729, equation 5): a token that became much
    likelier although it was bad no longer outweighs the rest.
    """
    ratio_BT = torch.exp(clamped_log_ratio(logprobs_BT, old_logprobs_BT))
    clipped_BT = ratio_BT.clamp(1 - clip_range, 1 + clip_range)
    loss_BT = torch.maximum(-advantages_BT * ratio_BT, -advantages_BT * clipped_BT)
    if dual_clip is not None:
        loss_BT = torch.where(advantages_BT < 0, torch.minimum(loss_BT, -dual_clip * advantages_BT), loss_BT)
    return torch.where(mask_BT.bool(), loss_BT, 0.0)


def value_loss(
    values_BT: Tensor, old_values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor, value_clip_range: float | None
) -> Tensor:
    """1/2 max((V - R)^2, (V_old + clip(V - V_old, -c, c) - R)^2), a token each; not clipped where c is None."""
    squared_BT = (values_BT - returns_BT).square()
    if value_clip_range is not None:
        near_BT = old_values_BT + (values_BT - old_values_BT).clamp(-value_clip_range, value_clip_range)
        squared_BT = torch.maximum(squared_BT, (near_BT - returns_BT).square())
    return torch.where(mask_BT.bool(), 0.5 * squared_BT, 0.0)


@torch.no_grad()
def ratio_sums(
    logprobs_BT: Tensor, old_logprobs_BT: Tensor, advantages_BT: Tensor, mask_BT: Tensor, clip_range: float
) -> dict[str, Tensor]:
    """Sums over tokens of what tells how far an update went: approx_kl (k3 of old against new), ratio, clip_fraction.

    clip_fraction counts tokens whose gradient the clip cut off: the ratio left the range on the side the advantage pushes to.
    """
    log_ratio_BT = clamped_log_ratio(logprobs_BT, old_logprobs_BT)
    ratio_BT = log_ratio_BT.exp()
    cut_BT = ((ratio_BT > 1 + clip_range) & (advantages_BT > 0)) | ((ratio_BT < 1 - clip_range) & (advantages_BT < 0))
    return {
        "approx_kl": masked_sum(k3(-log_ratio_BT), mask_BT),
        "ratio": masked_sum(ratio_BT, mask_BT),
        "clip_fraction": masked_sum(cut_BT.to(ratio_BT.dtype), mask_BT),
    }


@torch.no_grad()
def explained_variance(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> float:
    """1 - Var(R - V) / Var(R) over real tokens: 1 = the value model foresees all, 0 = nothing; NaN-free (0 at no variance)."""
    _, of_returns = masked_moments(returns_BT, mask_BT)
    _, of_errors = masked_moments(returns_BT - values_BT, mask_BT)
    return float(1 - of_errors / of_returns) if of_returns > 0 else 0.0


def sequence_kl(log_ratio_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over sequences of the sum of log-ratios of their tokens: the KL from the reference, in nats a sequence."""
    return masked_sum(log_ratio_BT, mask_BT, dim=1).mean()


def mean_entropy(entropy_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over real tokens, in nats."""
    return masked_mean(entropy_BT, mask_BT)
