"""One update of PPO after another: sample, score, look, learn, tell.

Knows neither files nor conversations: prompts are token ids, and whoever calls says how completions are scored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import get_scheduler

from align.errors import ResourceError
from align.objectives.clipped import explained_variance
from align.objectives.kl import AdaptiveKL, FixedKL
from align.policy import health
from align.policy.draws import seed_of
from align.policy.experience import Experience, Looked, Rollout, checked, experience, look
from align.policy.models import ActorCritic, Reference
from align.policy.state import Progress
from align.policy.update import Tally, minibatches, update
from align.rollout.engine import Engine, Sampling

KL_HORIZON = 10_000  # episodes over which the adaptive coefficient moves by its error (Ziegler et al. 2019)
ADAM_EPSILON = 1e-5

# (rollout) -> rewards, and further numbers to tell
Scoring = Callable[[Rollout], tuple[list[float], dict[str, float]]]


@dataclass(frozen=True)
class Means:
    """How forward passes are split and computed. `tokens`, `rows`: at most so many in one pass."""

    tokens: int = 8192
    rows: int | None = None
    autocast: torch.dtype = torch.float32

    @property
    def limits(self) -> tuple[int, int | None]:
        return self.tokens, self.rows


class Learner:
    """A policy under training with all that changes as it learns."""

    def __init__(
        self, model: ActorCritic, engine: Engine, spec: Any, means: Means, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self.model, self.engine, self.spec, self.means, self.note = model, engine, spec, means, note
        self.reference = Reference(model, means.autocast)
        self.optimizer = optimizer_of(model, spec)
        warmup = int(spec.warmup * spec.updates) if spec.warmup < 1 else int(spec.warmup)
        self.scheduler = get_scheduler(spec.scheduler, self.optimizer, warmup, spec.updates)
        self.progress = Progress(kl_coef=spec.kl_coef)
        self._clock: dict[str, float] = {}

    def learn(self, prompts: list[list[int]], scoring: Scoring) -> dict[str, float]:
        """One update; returns what is to be told of it. Raises TrainingError at a collapse, ResourceError out of memory."""
        number, spec = self.progress.updates, self.spec
        seed = seed_of(spec.seed or 0, "update", number)
        controller = self._controller()
        with self._timed("rollout"):
            rollout = self._rollout(prompts, seed)
        with self._timed("scoring"):
            rewards, told = scoring(rollout)
        with self._timed("update"):
            first = minibatches(len(rollout), spec.minibatches, seed, 0)
            looked = look(rollout, self.model, self.reference, first, self.means.limits, self.means.autocast)
            told |= self._about(rollout, looked, rewards)
            watch = health.Watch(spec.kl_bound, self.progress.equal)
            watch.check(number + 1, told, rewards)
            learnt = experience(looked, rollout, rewards, controller.coefficient, spec)
            tally = update(self.model, self.optimizer, learnt, spec, seed, self.means.limits, self.means.autocast)
        told |= self._of_update(tally, learnt, rollout)
        self.scheduler.step()
        controller.update(told["kl"], len(rollout))
        progress = self.progress
        progress.updates, progress.equal, progress.kl_coef = number + 1, watch.equal, controller.coefficient
        progress.optimizer_steps += tally.steps
        progress.tokens += sum(len(c.token_ids) for c in rollout.completions)
        progress.saw(rewards)
        return told | {"optimizer_steps": float(progress.optimizer_steps), "tokens": float(progress.tokens)}

    def generate(self, prompts: list[list[int]], seed: int) -> Rollout:
        """Completions of the policy as it stands."""
        sampling = Sampling(self.spec.max_new_tokens, self.spec.temperature, seed, logprobs=self.progress.updates == 0)
        device = self.model.device.type
        with torch.autocast(device, torch.bfloat16, self.means.autocast is torch.bfloat16):
            return checked(prompts, self.engine.generate(prompts, sampling, lambda done, total: None))

    def _rollout(self, prompts: list[list[int]], seed: int) -> Rollout:
        return self.generate(prompts, seed_of(seed, "rollout"))

    def _controller(self) -> FixedKL | AdaptiveKL:
        if self.spec.kl == "adaptive":
            return AdaptiveKL(self.progress.kl_coef, self.spec.kl_target, KL_HORIZON)
        return FixedKL(self.progress.kl_coef)

    def _about(self, rollout: Rollout, looked: Looked, rewards: list[float]) -> dict[str, float]:
        """Numbers of a rollout, before anything is learnt from it."""
        scores = torch.tensor(rewards, dtype=torch.float64)
        ours = [row[mask].tolist() for row, mask in zip(looked.logprobs_BT, looked.mask_BT, strict=True)]
        off = health.mismatch(rollout.completions, ours)
        health.check_mismatch(off, self.note)
        return {
            "rewards/mean": float(scores.mean()),
            "rewards/std": float(scores.std(correction=0)),
            "kl": looked.kl(),
            "kl_coef": self.progress.kl_coef,
            "entropy": looked.entropy(),
            "length_reward_correlation": health.length_reward_correlation(rollout.completions, rewards),
            **health.of_completions(rollout.completions),
            **({} if off is None else {"engine_mismatch": off}),
        }

    def _of_update(self, tally: Tally, learnt: Experience, rollout: Rollout) -> dict[str, float]:
        means = tally.means()
        seconds = {f"seconds/{name}": value for name, value in self._clock.items()}
        tokens = sum(rollout.lengths(range(len(rollout))))
        return {
            **{n: means[n] for n in ("policy_loss", "value_loss", "approx_kl", "ratio", "clip_fraction")},
            "explained_variance": explained_variance(learnt.values_BT, learnt.returns_BT, learnt.mask_BT),
            "drift": tally.drift or 0.0,
            "grad_norm/policy": tally.norms["policy"],
            "grad_norm/value": tally.norms["value"],
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **seconds,
            "tokens_per_second": tokens / max(1e-9, sum(self._clock.values())),
        }

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        """Counts a phase's seconds, and says what to lower where the memory ran out in it."""
        started = time.perf_counter()
        knob = {"rollout": "rollout_batch_size", "scoring": "micro_batch_size", "update": "micro_batch_size"}[phase]
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"update {self.progress.updates + 1}, {phase}", "the GPU's memory ran out", "",
                f"Set a lower {knob}; training goes on from the last checkpoint with the same result.",
            ) from error  # fmt: skip
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
        self._clock[phase] = time.perf_counter() - started


def optimizer_of(model: ActorCritic, spec: Any) -> torch.optim.Optimizer:
    """AdamW without decay, eps 1e-5 (2403.17031); policy and value model have learning rates of their own."""
    groups = [
        {"params": model.policy_parameters(), "lr": spec.learning_rate},
        {"params": model.value_parameters(), "lr": spec.value_learning_rate or spec.learning_rate},
    ]
    return torch.optim.AdamW(groups, eps=ADAM_EPSILON, weight_decay=0.0, fused=model.device.type == "cuda")
