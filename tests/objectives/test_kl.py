"""KL estimators against the KL itself by enumeration, the reward's placement, and the controllers."""

from __future__ import annotations

import math

import pytest
import torch

from align.objectives import kl


@pytest.fixture
def policies() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(6, dtype=torch.float64, requires_grad=True), torch.randn(6, dtype=torch.float64)


def exact(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    log_p, log_q = logits.log_softmax(-1), reference.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum()


def test_k1_and_k3_are_unbiased(policies: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, reference = policies
    probabilities = logits.softmax(-1)
    ratio = logits.log_softmax(-1) - reference.log_softmax(-1)
    for estimate in (kl.k1, kl.k3):
        torch.testing.assert_close((probabilities * estimate(ratio)).sum(), exact(logits, reference))
    assert (kl.k3(ratio) >= 0).all()


def test_as_losses_k2_has_the_gradient_of_the_kl_and_k1_none(policies: tuple[torch.Tensor, torch.Tensor]) -> None:
    """E[grad k2] = E[log_ratio grad log pi] = grad KL; E[grad k1] = E[grad log pi] = 0; k3's is another one."""
    logits, reference = policies
    (expected,) = torch.autograd.grad(exact(logits, reference), logits)
    gradients = {}
    for estimate in (kl.k1, kl.k2, kl.k3):
        probabilities = logits.softmax(-1).detach()  # tokens were sampled: no gradient flows through the sampling
        loss = (probabilities * estimate(logits.log_softmax(-1) - reference.log_softmax(-1))).sum()
        (gradients[estimate],) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradients[kl.k2], expected)
    torch.testing.assert_close(gradients[kl.k1], torch.zeros_like(expected))
    assert (gradients[kl.k3] - expected).abs().max() > 0.01


def test_score_stands_on_the_last_real_token_whether_the_row_stopped_or_hit_the_limit() -> None:
    """Coefficient 0.1. Row 0 stops after two of three tokens, row 1 fills all three, row 2 has none."""
    ratio = torch.tensor([[1.0, -2.0, math.nan], [0.0, 1.0, 2.0], [math.nan] * 3])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0]])
    rewards = kl.token_rewards(torch.tensor([5.0, 7.0, 9.0]), ratio, mask, 0.1)
    expected = [[-0.1, 5.2, 0.0], [0.0, -0.1, 6.8], [0.0, 0.0, 0.0]]
    torch.testing.assert_close(rewards, torch.tensor(expected))


def test_log_ratios_are_clamped_at_20_nats() -> None:
    ratio = kl.clamped_log_ratio(torch.tensor([0.0, -300.0, -1.0]), torch.tensor([-50.0, 0.0, -1.5]))
    assert ratio.tolist() == [20.0, -20.0, 0.5]


def test_fixed_coefficient_never_moves() -> None:
    controller = kl.FixedKL(0.05)
    controller.update(100.0, 512)
    assert controller.coefficient == 0.05


@pytest.mark.parametrize(("seen", "factor"), [(6.0, 1.0), (6.6, 1.01), (60.0, 1.02), (0.0, 0.98)])
def test_adaptive_coefficient_steers_towards_the_target(seen: float, factor: float) -> None:
    """Target 6, horizon 1000, 100 episodes: 1 + clip(kl / 6 - 1, -0.2, 0.2) * 0.1."""
    controller = kl.AdaptiveKL(0.05, target=6.0, horizon=1000)
    controller.update(seen, 100)
    assert controller.coefficient == pytest.approx(0.05 * factor)
