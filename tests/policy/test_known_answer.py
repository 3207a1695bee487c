"""A task whose optimum is known in closed form: vocabulary 8, completions of two tokens, a planted gold reward.

The maximum of E[r] - beta KL(pi || pi_ref) over all policies is pi_ref exp(r / beta) / Z; the reward and KL of these optima,
beta from 0 to infinity, are the frontier that no policy lies beyond. All 64 completions can be enumerated, so that policies,
rewards and KLs are exact here and only the training samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from align.objectives import preference
from align.policy.learner import Learner, Means
from align.policy.models import ActorCritic, ValueHead
from align.rollout.engine import Completion, Sampling
from tests.rewarding import settings, tiny_llama

torch.set_num_threads(1)

VOCAB = 8
PROMPT = [
    3,
    5,
]  # two, so that no completion looks like the prompt: repeated, one token alone gives the same hidden state
BETAS = (0.3, 0.6, 1.2)
UPDATES = {0.3: 250, 0.6: 150, 1.2: 150}  # the further the optimum, the more
TOLERANCE = 0.02
GOLD_V2 = torch.randn(VOCAB * VOCAB, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
ALL_V2 = torch.cartesian_prod(torch.arange(VOCAB), torch.arange(VOCAB))


def model_of() -> Any:
    """A random model whose distributions are far from uniform."""
    model = tiny_llama(seed=1, vocab=VOCAB, layers=1, width=32).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(12)
    return model


def log_joint(model: Any) -> Tensor:
    """log p of each of the 64 completions."""
    ids = torch.cat([torch.tensor(PROMPT).expand(64, 2), ALL_V2], 1)
    logprobs = model(ids).logits.log_softmax(-1)
    return logprobs[:, 1].gather(1, ids[:, 2:3])[:, 0] + logprobs[:, 2].gather(1, ids[:, 3:])[:, 0]


def optimum(reference: Tensor, beta: float) -> Tensor:
    return (reference.double() + GOLD_V2 / beta).softmax(-1)


def distance(p: Tensor, q: Tensor) -> float:
    """Total variation."""
    return 0.5 * (p.double() - q.double()).abs().sum().item()


def reward_and_kl(p: Tensor, reference: Tensor) -> tuple[float, float]:
    p = p.double()
    kl = torch.where(p > 0, p * (p.clamp(min=1e-300).log() - reference.double()), 0.0).sum()
    return (p * GOLD_V2).sum().item(), kl.item()


def frontier(reference: Tensor, kl: float) -> float:
    """The highest reward at so much KL: that of the optimum whose KL it is, by bisection over beta."""
    low, high = 1e-3, 1e3
    for _ in range(200):
        beta = math.sqrt(low * high)
        if reward_and_kl(optimum(reference, beta), reference)[1] > kl:
            low = beta
        else:
            high = beta
    return reward_and_kl(optimum(reference, high), reference)[0]


class Enumerating:
    """An engine that samples exactly from the model's 64 probabilities."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def generate(
        self, prompts: Sequence[list[int]], sampling: Sampling, progress: Callable[[int, int], None]
    ) -> list[Completion]:
        with torch.no_grad():
            probabilities = log_joint(self.model).exp()
        generator = torch.Generator().manual_seed(sampling.seed)
        drawn = torch.multinomial(probabilities, len(prompts), replacement=True, generator=generator)
        return [Completion(row, False) for row in ALL_V2[drawn].tolist()]


def by_ppo(beta: float) -> tuple[Tensor, Tensor]:
    """(policy, reference) as log-probabilities after PPO with kl_coef = beta."""
    model, updates = model_of(), UPDATES[beta]
    reference = log_joint(model).detach()
    spec = settings(
        kl_coef=beta, episodes=256 * updates, batch_size=256, epochs=4, minibatches=1, learning_rate=5e-3,
        value_learning_rate=1e-2, whiten_advantages=False, max_new_tokens=2, kl_bound=1e3, gae_lambda=0.95,
    )  # fmt: skip
    actor_critic = ActorCritic(model, None, ValueHead(model.config.hidden_size), 1.0)
    actor_critic.packing = False  # all rows are of one length
    learner = Learner(actor_critic, Enumerating(model), spec, Means())
    for _ in range(updates):
        learner.learn([PROMPT] * 256, lambda rollout: ([_gold(c.token_ids) for c in rollout.completions], {}))
    return log_joint(model).detach(), reference


def by_dpo(beta: float, steps: int = 600) -> tuple[Tensor, Tensor]:
    """(policy, reference) after DPO on the expected loss over all pairs, preferences drawn by Bradley-Terry of the gold."""
    model = model_of()
    reference = log_joint(model).detach()
    prefers = torch.sigmoid(GOLD_V2[:, None] - GOLD_V2[None, :]).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rewards = preference.implicit_rewards(log_joint(model), reference, beta)
        loss = -(prefers * torch.nn.functional.logsigmoid(rewards[:, None] - rewards[None, :])).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return log_joint(model).detach(), reference


def best_of(n: int, reference: Tensor) -> Tensor:
    """The distribution of the best of n samples: P(r <= x)^n - P(r < x)^n, all rewards being different."""
    order = GOLD_V2.argsort()
    below = torch.cat([torch.zeros(1, dtype=torch.float64), reference.double().exp()[order].cumsum(0)])
    probabilities = torch.empty(64, dtype=torch.float64)
    probabilities[order] = below[1:] ** n - below[:-1] ** n
    return probabilities


def _gold(ids: list[int]) -> float:
    return GOLD_V2[ids[0] * VOCAB + ids[1]].item()


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("train", [by_ppo, by_dpo])
def test_ppo_and_dpo_come_to_the_closed_form_optimum(
    train: Callable[[float], tuple[Tensor, Tensor]], beta: float
) -> None:
    """Within total variation .02 of pi_ref exp(r / beta) / Z, from far away, and on the exact reward-KL frontier."""
    policy, reference = train(beta)
    target = optimum(reference, beta)
    assert distance(reference.exp(), target) > 0.15
    assert distance(policy.exp(), target) < TOLERANCE
    reward, kl = reward_and_kl(policy.exp(), reference)
    assert -1e-6 < frontier(reference, kl) - reward < 0.01


def test_best_of_n_lies_within_its_kl_bound_and_below_the_frontier() -> None:
    reference = log_joint(model_of()).detach()
    for n in (1, 2, 4, 8, 16):
        reward, kl = reward_and_kl(best_of(n, reference), reference)
        assert kl <= math.log(n) - (n - 1) / n + 1e-9
        assert reward <= frontier(reference, max(kl, 1e-12)) + 1e-6
    assert distance(best_of(1, reference), reference.exp()) < 1e-6


def test_the_closed_form_is_the_best_of_all_policies_nearby() -> None:
    reference = log_joint(model_of()).detach()
    target = optimum(reference, 0.6)

    def objective(p: Tensor) -> float:
        reward, kl = reward_and_kl(p, reference)
        return reward - 0.6 * kl

    for seed in range(20):
        noise = torch.randn(64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert objective((target.log() + 0.1 * noise).softmax(-1)) < objective(target)
