"""The update of PPO: epochs x minibatches optimizer steps on one rollout.

    loss = policy loss + vf_coef * value loss - entropy_coef * entropy

each summed over tokens and divided by the completion tokens of the whole minibatch, over all micro batches and processes.
Axes: B sequences, T completion tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from align.errors import TrainingError
from align.objectives.clipped import policy_loss, ratio_sums, value_loss
from align.objectives.masked import masked_sum
from align.policy.draws import permutation, seed_of
from align.policy.experience import Experience, padded, split
from align.policy.models import ActorCritic
from align.policy.ranks import sum_gradients, summed

# Mean |logprob - old logprob| of the first minibatch, before anything was learnt: beyond it the numbers cannot be trusted.
DRIFT = {torch.float32: 1e-4, torch.bfloat16: 0.02}


@dataclass
class Tally:
    """Sums over the tokens of an update, and what they come to."""

    tokens: Tensor | float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    norms: dict[str, float] = field(default_factory=dict)
    drift: float | None = None

    def add(self, tokens: Tensor, sums: dict[str, Tensor]) -> None:
        self.tokens = self.tokens + tokens
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()

    def means(self) -> dict[str, float]:
        total = summed(torch.as_tensor(self.tokens))
        return {name: float(summed(value) / total) for name, value in self.sums.items()}


def minibatches(rows: int, count: int, seed: int, epoch: int) -> list[list[int]]:
    """The rows of each minibatch. The first epoch goes in the order of the rollout, later ones in an order drawn from `seed`.

    The prompts of a rollout are shuffled already, and with the order unchanged the first pass repeats the look at the old
    policy batch by batch.
    """
    order = list(range(rows))
    if epoch:
        order = permutation(rows, seed_of(seed, "minibatches", epoch))
    size = rows // count
    return [order[i * size : (i + 1) * size] for i in range(count)]


def update(
    model: ActorCritic,
    optimizer: torch.optim.Optimizer,
    learnt: Experience,
    spec: Any,
    seed: int,
    limits: tuple[int, int | None],
    autocast: torch.dtype,
) -> Tally:
    """All steps on one rollout. Raises TrainingError where a gradient is not finite, before it is applied."""
    tally = Tally()
    for epoch in range(spec.epochs):
        of_epoch = Tally()
        for rows in minibatches(len(learnt.rollout), spec.minibatches, seed, epoch):
            accumulate(model, learnt, rows, spec, limits, autocast, of_epoch)
            if tally.drift is None:
                tally.drift = _checked_drift(of_epoch, autocast)
            tally.norms = step(model, optimizer, spec.max_grad_norm)
            tally.steps += 1
        tally.add(torch.as_tensor(of_epoch.tokens), of_epoch.sums)
        if spec.kl_stop is not None and of_epoch.means()["approx_kl"] > spec.kl_stop:
            break
    return tally


def accumulate(
    model: ActorCritic,
    learnt: Experience,
    rows: Sequence[int],
    spec: Any,
    limits: tuple[int, int | None],
    autocast: torch.dtype,
    tally: Tally,
) -> None:
    """Adds the gradient of one minibatch; the same however it is split."""
    mine = learnt.mask_BT[list(rows)].sum()
    tokens = summed(mine)
    if not tokens:
        raise TrainingError(
            "update", "a minibatch has no completion tokens", "At least one", "Lower minibatches, or raise batch_size."
        )
    with model.packed():
        for micro in split(learnt.rollout, [rows], limits):
            tally.add(learnt.mask_BT[micro].sum(), {})
            for part in (policy_sums, value_sums) if model.value_body is not None else (joint_sums,):
                with torch.autocast(model.device.type, torch.bfloat16, autocast is torch.bfloat16):
                    sums = part(model, learnt, micro, spec)
                weights = {"policy_loss": 1.0, "value_loss": spec.vf_coef, "entropy": -spec.entropy_coef}
                loss = torch.stack([weight * sums[name] for name, weight in weights.items() if name in sums]).sum()
                (loss / tokens).backward()
                tally.add(torch.zeros_like(mine), sums)


Sums = dict[str, Tensor]  # losses and diagnostics of a micro batch, summed over its completion tokens


def policy_sums(model: ActorCritic, learnt: Experience, rows: list[int], spec: Any) -> Sums:
    return _of_policy(model, learnt, rows, spec)[0]


def value_sums(model: ActorCritic, learnt: Experience, rows: list[int], spec: Any) -> Sums:
    """Of a value model with a body of its own: asked for by itself, so that its activations never stand beside the policy's."""
    return _of_values(model.values(learnt.rollout.packed(rows, model.device, model.packing)), learnt, rows, spec)


def joint_sums(model: ActorCritic, learnt: Experience, rows: list[int], spec: Any) -> Sums:
    sums, hidden_NH = _of_policy(model, learnt, rows, spec)
    return sums | _of_values(model.value_head(hidden_NH), learnt, rows, spec)


def _of_policy(model: ActorCritic, learnt: Experience, rows: list[int], spec: Any) -> tuple[Sums, Tensor]:
    mask_BT, old_BT, advantages_BT = learnt.mask_BT[rows], learnt.logprobs_BT[rows], learnt.advantages_BT[rows]
    packed = learnt.rollout.packed(rows, model.device, model.packing)
    logprobs_N, entropies_N, hidden_NH = model.policy_terms(packed, spec.entropy_coef > 0)
    new_BT = padded(logprobs_N, mask_BT)
    actor_BT = policy_loss(new_BT, old_BT, advantages_BT, mask_BT, spec.clip_range, spec.dual_clip)
    return {
        "policy_loss": masked_sum(actor_BT, mask_BT),
        "entropy": masked_sum(padded(entropies_N, mask_BT), mask_BT),
        "drift": masked_sum((new_BT.detach() - old_BT).abs(), mask_BT),
        **ratio_sums(new_BT, old_BT, advantages_BT, mask_BT, spec.clip_range),
    }, hidden_NH


def _of_values(values_N: Tensor, learnt: Experience, rows: list[int], spec: Any) -> Sums:
    mask_BT = learnt.mask_BT[rows]
    old_BT, returns_BT = learnt.values_BT[rows], learnt.returns_BT[rows]
    critic_BT = value_loss(padded(values_N, mask_BT), old_BT, returns_BT, mask_BT, spec.value_clip_range)
    return {"value_loss": masked_sum(critic_BT, mask_BT)}


def step(model: ActorCritic, optimizer: torch.optim.Optimizer, max_grad_norm: float) -> dict[str, float]:
    """One optimizer step; the gradients of policy and value model are clipped apart. Returns their norms before that."""
    groups = {"policy": model.policy_parameters(), "value": model.value_parameters()}
    sum_gradients([*groups["policy"], *groups["value"]])
    norms = {name: torch.nn.utils.clip_grad_norm_(group, max_grad_norm) for name, group in groups.items()}
    told = {name: float(norm) for name, norm in norms.items()}
    for name, norm in told.items():
        if norm - norm != 0:
            optimizer.zero_grad(set_to_none=True)
            raise TrainingError(
                "update", f"the gradient norm of the {name} model is {norm}", "A finite number",
                "Lower learning_rate or raise kl_coef; training goes on from the last checkpoint.",
            )  # fmt: skip
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return told


def _checked_drift(tally: Tally, autocast: torch.dtype) -> float:
    """How far the first minibatch's logprobs are from the old ones although nothing was learnt in between."""
    drift = tally.means()["drift"]
    if not drift <= DRIFT[autocast]:
        raise TrainingError(
            "update", f"old and new logprobs differ by {drift:.3g} nats a token before any learning",
            f"At most {DRIFT[autocast]:g}", "Set precision: float32, or give a fixed micro_batch_size.",
        )  # fmt: skip
    return drift
