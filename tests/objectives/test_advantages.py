"""GAE against the definition in float64, and its two limits by hand."""

from __future__ import annotations

import pytest
import torch

from align.objectives.advantages import generalized_advantages


def by_definition(
    rewards: list[float], values: list[float], length: int, gamma: float, gae_lambda: float
) -> list[float]:
    """A_t = sum_l (gamma lambda)^l delta_t+l, each term written out: O(n^2), in Python's float64."""
    advantages = []
    for t in range(length):
        total = 0.0
        for k in range(t, length):
            following = values[k + 1] if k + 1 < length else 0.0
            total += (gamma * gae_lambda) ** (k - t) * (rewards[k] + gamma * following - values[k])
        advantages.append(total)
    return advantages


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 0.95), (0.9, 0.5), (0.99, 0.0), (1.0, 1.0)])
def test_gae_equals_its_definition_on_masked_rows(gamma: float, gae_lambda: float) -> None:
    torch.manual_seed(0)
    lengths = [7, 1, 4, 0]
    rewards, values = torch.randn(4, 7, dtype=torch.float64), torch.randn(4, 7, dtype=torch.float64)
    mask = torch.tensor([[float(t < n) for t in range(7)] for n in lengths])
    garbage = torch.where(mask.bool(), 0.0, float("nan")).double()
    advantages, returns = generalized_advantages(rewards + garbage, values + garbage, mask, gamma, gae_lambda)
    for row, length in enumerate(lengths):
        expected = by_definition(rewards[row].tolist(), values[row].tolist(), length, gamma, gae_lambda)
        torch.testing.assert_close(advantages[row, :length].tolist(), expected, rtol=0, atol=1e-12)
        assert advantages[row, length:].eq(0).all() and returns[row, length:].eq(0).all()
        torch.testing.assert_close(returns[row, :length], advantages[row, :length] + values[row, :length])


def test_lambda_zero_is_the_one_step_error_and_lambda_one_the_return_less_the_value() -> None:
    """rewards 1, 2, 4 and values 0.5, 1, 1.5 at gamma 0.5.

    lambda 0: 1 + 0.5 - 0.5 = 1; 2 + 0.75 - 1 = 1.75; 4 + 0 - 1.5 = 2.5 (bootstrap 0 after the end).
    lambda 1: returns 1 + 0.5 (2 + 0.5 * 4) = 3; 4; 4; less the values: 2.5, 3, 2.5.
    """
    rewards, values = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    mask = torch.ones(1, 3)
    assert generalized_advantages(rewards, values, mask, 0.5, 0.0)[0].tolist() == [[1.0, 1.75, 2.5]]
    advantages, returns = generalized_advantages(rewards, values, mask, 0.5, 1.0)
    assert advantages.tolist() == [[2.5, 3.0, 2.5]]
    assert returns.tolist() == [[3.0, 4.0, 4.0]]
