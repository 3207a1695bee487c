"""KL(policy || reference) from sampled tokens, and its coefficient.

log_ratio = log pi(token) - log pi_ref(token), of tokens sampled from pi. Estimators (Schulman 2020):

    k1 = log_ratio                          unbiased, the one that goes into the reward
    k2 = log_ratio^2 / 2                    as a loss it has the on-policy gradient of the KL
    k3 = exp(-log_ratio) - 1 + log_ratio    unbiased and never negative, for telling; as a loss its gradient is biased

k1 as a loss has zero expected gradient, which is why it stands in the reward (2506.09477, 2512.21852).
Axes: B sequences, T completion tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOG_RATIO_BOUND = 20.0  # beyond it exp is useless and one token would decide the batch


def clamped_log_ratio(logprobs_BT: Tensor, other_BT: Tensor) -> Tensor:
    """log p - log q within +-20 nats a token."""
    return (logprobs_BT - other_BT).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)


def k1(log_ratio_BT: Tensor) -> Tensor:
    return log_ratio_BT


def k2(log_ratio_BT: Tensor) -> Tensor:
    return 0.5 * log_ratio_BT.square()


def k3(log_ratio_BT: Tensor) -> Tensor:
    return torch.exp(-log_ratio_BT) - 1 + log_ratio_BT


def token_rewards(scores_B: Tensor, log_ratio_BT: Tensor, mask_BT: Tensor, kl_coef: float) -> Tensor:
    """r_t = -kl_coef log_ratio_t, and the completion's score on its last real token (Stiennon et al. 2020, 2009.01325).

    The last real token is the stop token where the policy stopped, else the token at the limit. A row whose mask is empty
    has no token to put a score on and gets none.
    """
    rewards_BT = torch.where(mask_BT.bool(), -kl_coef * k1(log_ratio_BT), 0.0)
    lengths_B = mask_BT.sum(1).long()
    real_B = lengths_B > 0
    last_B = (lengths_B - 1).clamp(min=0)
    added_B = torch.where(real_B, scores_B.to(rewards_BT.dtype), 0.0)
    return rewards_BT.scatter_add(1, last_B[:, None], added_B[:, None])


@dataclass
class FixedKL:
    """The coefficient that was set."""

    coefficient: float

    def update(self, kl: float, episodes: int) -> None:
        """Nothing to do; the same face as AdaptiveKL."""


@dataclass
class AdaptiveKL:
    """A coefficient that steers the KL of a sequence towards `target` (Ziegler et al. 2019, 1909.08593, section 2.2).

    coefficient *= 1 + clip(kl / target - 1, -0.2, 0.2) * episodes / horizon. The coefficient is checkpoint state.
    """

    coefficient: float
    target: float
    horizon: float

    def update(self, kl: float, episodes: int) -> None:
        """Learn of the mean KL (nats a sequence) of so many episodes."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.coefficient *= 1 + error * episodes / self.horizon
