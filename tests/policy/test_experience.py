"""From scores and logprobs to advantages and returns, by hand."""

from __future__ import annotations

import pytest
import torch

from align.objectives.advantages import generalized_advantages
from align.objectives.whitening import whiten
from align.policy.experience import Looked, Rollout, experience, padded
from tests.rewarding import completions, settings

ROLLOUT = Rollout([[2], [3]], completions([5, 1], [6, 7, 8]))
MASK = torch.tensor([[True, True, False], [True, True, True]])
LOGPROBS = torch.tensor([[-1.0, -2.0, 0.0], [-1.0, -1.0, -3.0]])
REFERENCE = torch.tensor([[-1.5, -2.0, 0.0], [-1.0, -2.0, -2.0]])
VALUES = torch.tensor([[0.5, 1.0, 0.0], [0.0, 1.0, 2.0]])
LOOKED = Looked(MASK, LOGPROBS, REFERENCE, VALUES, torch.ones(2, 3))

# score 3 and 4, kl_coef 0.1, log-ratios (0.5, 0) and (0, 1, -1)
REWARDS = torch.tensor([[-0.05, 3.0, 0.0], [0.0, -0.1, 4.1]])


def test_rewards_hold_the_price_of_kl_and_the_score_on_the_last_token() -> None:
    """lambda 1, gamma 1: returns are sums of rewards to the end."""
    spec = settings(gae_lambda=1.0, whiten_advantages=False)
    learnt = experience(LOOKED, ROLLOUT, [3.0, 4.0], 0.1, spec)
    torch.testing.assert_close(learnt.returns_BT, torch.tensor([[2.95, 3.0, 0.0], [4.0, 4.0, 4.1]]))
    torch.testing.assert_close(learnt.advantages_BT, torch.tensor([[2.45, 2.0, 0.0], [4.0, 3.0, 2.1]]))
    assert torch.equal(learnt.logprobs_BT, LOGPROBS) and torch.equal(learnt.values_BT, VALUES)


@pytest.mark.parametrize("rewards", [False, True])
def test_rewards_are_whitened_before_and_advantages_after_the_estimate(rewards: bool) -> None:
    spec = settings(gamma=0.9, gae_lambda=0.8, whiten_rewards=rewards)
    learnt = experience(LOOKED, ROLLOUT, [3.0, 4.0], 0.1, spec)
    used = whiten(REWARDS, MASK, shift_mean=False) if rewards else REWARDS
    advantages, returns = generalized_advantages(used, VALUES, MASK, 0.9, 0.8)
    torch.testing.assert_close(learnt.advantages_BT, whiten(advantages, MASK))
    torch.testing.assert_close(learnt.returns_BT, returns)


def test_kl_is_summed_over_tokens_and_averaged_over_sequences() -> None:
    """(0.5 + 0) and (0 + 1 - 1): mean 0.25."""
    assert LOOKED.kl() == 0.25 and LOOKED.entropy() == 1.0


def test_padding_puts_tokens_where_the_mask_says() -> None:
    assert padded(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), MASK).tolist() == [[1, 2, 0], [3, 4, 5]]
    assert ROLLOUT.mask(torch.device("cpu")).tolist() == MASK.tolist()
    assert ROLLOUT.lengths([1, 0]) == [4, 3]
