"""Statistics over the positions that count.

Axes: B sequences, T positions. `mask_BT` is 1 where a position counts, else 0.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_sum(values_BT: Tensor, mask_BT: Tensor, dim: int | None = None) -> Tensor:
    """sum_t m_t x_t. What stands where the mask is 0 never matters, not even NaN."""
    kept = torch.where(mask_BT.bool(), values_BT, values_BT.new_zeros(()))
    return kept.sum() if dim is None else kept.sum(dim)


def masked_mean(values_BT: Tensor, mask_BT: Tensor, dim: int | None = None) -> Tensor:
    """sum_t m_t x_t / sum_t m_t, and 0 where nothing counts."""
    count = mask_BT.sum() if dim is None else mask_BT.sum(dim)
    return masked_sum(values_BT, mask_BT, dim) / count.clamp(min=1)
