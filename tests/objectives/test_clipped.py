"""PPO's losses and diagnostics by hand."""

from __future__ import annotations

import math

import pytest
import torch

from align.objectives import clipped

NAN = math.nan


def logs(*ratios: float) -> torch.Tensor:
    return torch.tensor([[math.log(r) for r in ratios]])


def test_policy_loss_takes_the_larger_of_the_two() -> None:
    """clip 0.2. A = 1: ratio 1.5 -> -1.2 (cut), 0.5 -> -0.5. A = -1: ratio 1.5 -> 1.5, 0.5 -> 0.8 (cut)."""
    advantages = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    new, old = logs(1.5, 0.5, 1.5, 0.5), torch.zeros(1, 4)
    loss = clipped.policy_loss(new, old, advantages, torch.ones(1, 4), 0.2)
    torch.testing.assert_close(loss, torch.tensor([[-1.2, -0.5, 1.5, 0.8]]))


def test_policy_loss_has_no_gradient_where_the_clip_cut_it_off() -> None:
    advantages = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    new = logs(1.5, 0.5, 1.5, 0.5).requires_grad_()
    clipped.policy_loss(new, torch.zeros(1, 4), advantages, torch.ones(1, 4), 0.2).sum().backward()
    torch.testing.assert_close(new.grad, torch.tensor([[0.0, -0.5, 1.5, 0.0]]))


def test_dual_clip_bounds_the_loss_of_bad_tokens_only() -> None:
    """d = 3. A = -1: ratio 10 -> 3, not 10; ratio 2 -> 2. A = 1, ratio 10 -> -1.2 as before."""
    advantages = torch.tensor([[-1.0, -1.0, 1.0]])
    loss = clipped.policy_loss(logs(10, 2, 10), torch.zeros(1, 3), advantages, torch.ones(1, 3), 0.2, dual_clip=3.0)
    torch.testing.assert_close(loss, torch.tensor([[3.0, 2.0, -1.2]]))


def test_losses_are_zero_off_the_mask_and_pass_no_nan_back() -> None:
    mask = torch.tensor([[1, 0]])
    new = torch.tensor([[0.0, NAN]], requires_grad=True)
    old, advantages = torch.tensor([[0.0, NAN]]), torch.tensor([[2.0, NAN]])
    assert clipped.policy_loss(new, old, advantages, mask, 0.2).tolist() == [[-2.0, 0.0]]
    assert clipped.value_loss(new, old, advantages, mask, 0.2).tolist() == [[0.5 * 4, 0.0]]


def test_value_loss_is_half_the_larger_squared_error() -> None:
    """clip 0.2, V_old = 0. V = 1, R = 1: max(0, (0.2 - 1)^2) / 2 = 0.32. V = 0.1, R = 1: 0.405. V = -1, R = 1: 2."""
    values, returns = torch.tensor([[1.0, 0.1, -1.0]]), torch.ones(1, 3)
    loss = clipped.value_loss(values, torch.zeros(1, 3), returns, torch.ones(1, 3), 0.2)
    torch.testing.assert_close(loss, torch.tensor([[0.32, 0.405, 2.0]]))
    free = clipped.value_loss(values, torch.zeros(1, 3), returns, torch.ones(1, 3), None)
    torch.testing.assert_close(free, torch.tensor([[0.0, 0.405, 2.0]]))


def test_ratio_sums_count_real_tokens_only() -> None:
    """Ratios 1.5, 0.5, 1 and one off the mask. k3 of old against new: r - 1 - log r."""
    mask = torch.tensor([[1, 1, 1, 0]])
    new = torch.cat([logs(1.5, 0.5, 1.0), torch.tensor([[9.0]])], 1)
    advantages = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
    sums = clipped.ratio_sums(new, torch.zeros(1, 4), advantages, mask, 0.2)
    assert sums["ratio"].item() == pytest.approx(3.0)
    assert sums["clip_fraction"].item() == 1.0  # 0.5 is out of range on the side where the clip does not act
    assert sums["approx_kl"].item() == pytest.approx(0.5 - math.log(1.5) - 0.5 - math.log(0.5))


def test_ratio_is_one_and_approx_kl_zero_where_nothing_changed() -> None:
    same = torch.randn(2, 3)
    sums = clipped.ratio_sums(same, same, torch.ones(2, 3), torch.ones(2, 3), 0.2)
    assert sums["ratio"] == 6 and sums["approx_kl"] == 0 and sums["clip_fraction"] == 0


def test_a_runaway_ratio_is_clamped_not_infinite() -> None:
    loss = clipped.policy_loss(torch.zeros(1, 1), torch.full((1, 1), -500.0), -torch.ones(1, 1), torch.ones(1, 1), 0.2)
    assert loss.item() == pytest.approx(math.exp(20), rel=1e-5)


def test_explained_variance_is_masked_one_when_right_and_zero_for_a_constant() -> None:
    returns, mask = torch.tensor([[1.0, 2.0, 3.0, 50.0]]), torch.tensor([[1, 1, 1, 0]])
    assert clipped.explained_variance(torch.tensor([[1.0, 2.0, 3.0, -9.0]]), returns, mask) == 1
    assert clipped.explained_variance(torch.tensor([[2.0, 2.0, 2.0, 7.0]]), returns, mask) == pytest.approx(0)
    assert clipped.explained_variance(torch.randn(1, 4), torch.ones(1, 4), mask) == 0  # nothing to explain


def test_sequence_kl_sums_over_tokens_and_averages_over_sequences() -> None:
    """(0.5 + 0.25) and 1, the rest off the mask: mean 0.875."""
    ratio = torch.tensor([[0.5, 0.25, NAN], [1.0, NAN, NAN]])
    assert clipped.sequence_kl(ratio, torch.tensor([[1, 1, 0], [1, 0, 0]])).item() == 0.875


def test_entropy_is_a_mean_over_real_tokens() -> None:
    assert clipped.mean_entropy(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[1, 1, 0]])).item() == 2
