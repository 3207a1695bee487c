"""Generalized advantage estimation (Schulman et al. 2015, 1506.02438). Axes: B sequences, T completion tokens.

A completion is an episode: token t is the action in state t, and after the last token nothing follows, whether the policy
stopped or the limit did (the value there is 0).
"""

from __future__ import annotations

import torch
from torch import Tensor


def generalized_advantages(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """(advantages, returns), both 0 off the mask.

    delta_t = r_t + gamma V_t+1 - V_t,  A_t = delta_t + gamma lambda A_t+1 (their equations 12 and 16),  R_t = A_t + V_t.
    The mask of each row is ones followed by zeros; what stands on the zeros never matters.
    """
    real_BT = mask_BT.bool()
    rewards_BT = torch.where(real_BT, rewards_BT, 0.0)
    values_BT = torch.where(real_BT, values_BT, 0.0)
    advantages_BT = torch.zeros_like(values_BT)
    following_B = next_value_B = values_BT.new_zeros(len(values_BT))
    for t in reversed(range(values_BT.shape[1])):
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        following_B = delta_B + gamma * gae_lambda * following_B
        advantages_BT[:, t] = following_B
        next_value_B = values_BT[:, t]
    advantages_BT = torch.where(real_BT, advantages_BT, 0.0)
    return advantages_BT, advantages_BT + values_BT
