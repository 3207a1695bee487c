"""Whitening over the positions that count. Axes: B sequences, T positions.

Statistics are those of the whole rollout: pass `summed` to add them up over all processes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from align.objectives.masked import masked_sum

Summed = Callable[[Tensor], Tensor]  # a tensor -> its sum over all processes

EPSILON = 1e-8


def masked_moments(values_BT: Tensor, mask_BT: Tensor, summed: Summed = lambda x: x) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of the values that count, in two passes so that a large mean costs no digits."""
    count = summed(mask_BT.sum().to(values_BT.dtype)).clamp(min=1)
    mean = summed(masked_sum(values_BT, mask_BT)) / count
    variance = summed(masked_sum((values_BT - mean).square(), mask_BT)) / count
    return mean, variance


def whiten(values_BT: Tensor, mask_BT: Tensor, shift_mean: bool = True, summed: Summed = lambda x: x) -> Tensor:
    """(x - mean) / std, 0 off the mask; without `shift_mean` the mean is put back, so that only the scale changes.

    Values that are all equal have no scale: they become 0 (or the mean).
    """
    mean, variance = masked_moments(values_BT, mask_BT, summed)
    white_BT = (values_BT - mean) * torch.rsqrt(variance + EPSILON)
    if not shift_mean:
        white_BT = white_BT + mean
    return torch.where(mask_BT.bool(), white_BT, white_BT.new_zeros(()))
