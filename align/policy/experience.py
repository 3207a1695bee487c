"""From completions to what PPO learns from: old logprobs, the reference's, values, rewards, advantages, returns.

Axes: B sequences, T completion tokens (right-padded, mask_BT is 1 on real ones), N real tokens in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from align.errors import TrainingError
from align.objectives.advantages import generalized_advantages
from align.objectives.clipped import mean_entropy, sequence_kl
from align.objectives.kl import clamped_log_ratio, token_rewards
from align.objectives.whitening import whiten
from align.policy.models import ActorCritic, Reference
from align.policy.ranks import summed
from align.rollout.engine import Completion
from align.rollout.packing import Packed, micro_batches, pack


@dataclass(frozen=True)
class Rollout:
    """Prompts and their completions, in tokens."""

    prompts: list[list[int]]
    completions: list[Completion]

    def __len__(self) -> int:
        return len(self.prompts)

    def mask(self, device: torch.device) -> Tensor:
        lengths_B = torch.tensor([len(c.token_ids) for c in self.completions], device=device)
        return torch.arange(int(lengths_B.max()), device=device) < lengths_B[:, None]

    def lengths(self, rows: Sequence[int]) -> list[int]:
        return [len(self.prompts[i]) + len(self.completions[i].token_ids) for i in rows]

    def packed(self, rows: Sequence[int], device: torch.device, packing: bool) -> Packed:
        sequences = [self.prompts[i] + self.completions[i].token_ids for i in rows]
        return pack(sequences, [len(self.completions[i].token_ids) for i in rows], device, packing)


@dataclass(frozen=True)
class Experience:
    """A rollout with all that its updates need; every tensor is (B, T) and 0 off the mask."""

    rollout: Rollout
    mask_BT: Tensor
    logprobs_BT: Tensor
    values_BT: Tensor
    advantages_BT: Tensor
    returns_BT: Tensor


@dataclass(frozen=True)
class Looked:
    """What the models say of a rollout before it is learnt from."""

    mask_BT: Tensor
    logprobs_BT: Tensor
    reference_BT: Tensor
    values_BT: Tensor
    entropies_BT: Tensor

    def log_ratio(self) -> Tensor:
        return clamped_log_ratio(self.logprobs_BT, self.reference_BT)

    def kl(self) -> float:
        """Nats a sequence from the reference."""
        return float(sequence_kl(self.log_ratio(), self.mask_BT))

    def entropy(self) -> float:
        return float(mean_entropy(self.entropies_BT, self.mask_BT))


def checked(prompts: list[list[int]], completions: list[Completion]) -> Rollout:
    """A rollout, or a TrainingError where the engine gave too few completions or one without any token."""
    if len(completions) != len(prompts):
        raise TrainingError(
            "rollout", f"{len(completions)} completions came back", f"{len(prompts)}, one a prompt",
            "The engine failed; training goes on from the last checkpoint. Try engine: portable.",
        )  # fmt: skip
    empty = [i for i, c in enumerate(completions) if not c.token_ids]
    if empty:
        raise TrainingError(
            "rollout", f"completion {empty[0] + 1} has no token, not even a stop token", "At least one token",
            "The engine failed; try engine: portable.",
        )  # fmt: skip
    return Rollout(prompts, completions)


@torch.no_grad()
def look(
    rollout: Rollout,
    model: ActorCritic,
    reference: Reference,
    minibatches: Sequence[Sequence[int]],
    limits: tuple[int, int | None],
    autocast: torch.dtype,
) -> Looked:
    """Logprobs, the reference's, entropies and values of every completion token.

    In the very micro batches of the first epoch (`minibatches`, `limits` on tokens and rows), so that with nothing learnt in
    between the first ratio is exactly 1.
    """
    mask_BT = rollout.mask(model.device)
    found: list[list[Tensor]] = []
    with model.packed(), torch.autocast(model.device.type, torch.bfloat16, autocast is torch.bfloat16):
        for rows in split(rollout, minibatches, limits):
            packed = rollout.packed(rows, model.device, model.packing)
            logprobs_N, entropies_N, values_N = model.terms(packed)
            found.append([logprobs_N, reference.logprobs(packed), values_N, entropies_N])
    looked = (padded(torch.cat(part), mask_BT) for part in zip(*found, strict=True))
    return Looked(mask_BT, *looked)


def split(rollout: Rollout, minibatches: Sequence[Sequence[int]], limits: tuple[int, int | None]) -> list[list[int]]:
    """Rows of each micro batch, minibatch by minibatch."""
    return [
        [rows[i] for i in micro]
        for rows in minibatches
        for micro in micro_batches(rollout.lengths(rows), limits[0], limits[1])
    ]


def padded(values_N: Tensor, mask_BT: Tensor) -> Tensor:
    """(N,) -> (B, T), 0 off the mask."""
    return values_N.new_zeros(mask_BT.shape).masked_scatter(mask_BT, values_N)


def experience(looked: Looked, rollout: Rollout, scores: list[float], kl_coef: float, spec: Any) -> Experience:
    """Rewards with the price of KL in them, whitened where asked, then advantages and returns."""
    mask_BT = looked.mask_BT
    scores_B = torch.tensor(scores, device=mask_BT.device)
    rewards_BT = token_rewards(scores_B, looked.log_ratio(), mask_BT, kl_coef)
    if spec.whiten_rewards:
        rewards_BT = whiten(rewards_BT, mask_BT, shift_mean=False, summed=summed)
    advantages_BT, returns_BT = generalized_advantages(
        rewards_BT, looked.values_BT, mask_BT, spec.gamma, spec.gae_lambda
    )
    if spec.whiten_advantages:
        advantages_BT = whiten(advantages_BT, mask_BT, summed=summed)
    return Experience(rollout, mask_BT, looked.logprobs_BT, looked.values_BT, advantages_BT, returns_BT)
