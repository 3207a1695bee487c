"""What is told of every update, and when an update is called a collapse.

Masks are built into what comes in: every number here is over real tokens or over episodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from align.errors import TrainingError
from align.rollout.engine import Completion

EQUAL_UPDATES = 5  # so many updates in a row on which all rewards are the same
LEAST_ENTROPY = 1e-4  # nats a token
MISMATCH_TOLD, MISMATCH_REFUSED = 1.02, 1.1  # mean exp |logprob of the engine - ours|


def of_completions(completions: Sequence[Completion]) -> dict[str, float]:
    """tokens/mean, the share that stops, distinct_2."""
    return {
        "tokens/mean": float(np.mean([len(c.token_ids) for c in completions])),
        "stops": float(np.mean([c.stopped for c in completions])),
        "distinct_2": distinct([c.token_ids for c in completions], 2),
    }


def distinct(rows: Sequence[Sequence[int]], n: int) -> float:
    """Distinct n-grams over all n-grams (Li et al. 2016, 1510.03055); 1 where there are none."""
    grams = [tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def length_reward_correlation(completions: Sequence[Completion], rewards: Sequence[float]) -> float:
    """Pearson's r of length and reward; 0 where either does not vary."""
    lengths = np.array([len(c.token_ids) for c in completions], dtype=float)
    scores = np.array(rewards, dtype=float)
    if lengths.std() == 0 or scores.std() == 0:
        return 0.0
    return float(np.corrcoef(lengths, scores)[0, 1])


def mismatch(completions: Sequence[Completion], logprobs: Sequence[Sequence[float]]) -> float | None:
    """Mean exp |engine's logprob - ours| over tokens; None where the engine gave none. 1 = the engine sampled the policy."""
    pairs = [
        (a, b)
        for c, ours in zip(completions, logprobs, strict=True)
        for a, b in zip(c.logprobs or (), ours, strict=False)
    ]
    return float(np.mean([math.exp(min(abs(a - b), 20.0)) for a, b in pairs])) if pairs else None


def check_mismatch(value: float | None, note: Any) -> None:
    """Tells an engine that samples another policy than the one trained, and refuses one that is far off."""
    if value is None or value <= MISMATCH_TOLD:
        return
    if value > MISMATCH_REFUSED:
        raise TrainingError(
            "rollout", f"the engine's logprobs are off by a factor of {value:.3f} on average", f"At most {MISMATCH_REFUSED}",
            "It samples another policy than the one that is trained. Set engine: portable.",
        )  # fmt: skip
    note(f"the engine's logprobs were off by a factor of {value:.3f} on average (up to {MISMATCH_TOLD} is usual)")


@dataclass
class Watch:
    """Tripwires over the updates; `equal` counts updates in a row without any difference between rewards."""

    kl_bound: float
    equal: int = 0

    def check(self, update: int, told: Mapping[str, float], rewards: Sequence[float]) -> None:
        """Raises TrainingError at a collapse, before anything is learnt from it."""
        where = f"update {update}"
        for name, value in told.items():
            if not math.isfinite(value):
                raise _collapse(where, f"{name} is {value}", "A finite number", "Lower learning_rate.")
        self.equal = self.equal + 1 if len(rewards) > 1 and max(rewards) == min(rewards) else 0
        if self.equal >= EQUAL_UPDATES:
            raise _collapse(
                where, f"all rewards were {rewards[0]:g} in {self.equal} updates in a row", "Rewards that differ",
                "There is nothing to learn from. Look at the samples: either the reward cannot tell them apart, or it is "
                "met in full and fewer episodes are enough.",
            )  # fmt: skip
        if abs(told["kl"]) > self.kl_bound:
            raise _collapse(
                where, f"the policy is {told['kl']:.1f} nats a sequence from the reference", f"At most {self.kl_bound:g}",
                "Raise kl_coef, lower learning_rate, or raise kl_bound where so much is meant.",
            )  # fmt: skip
        if told["entropy"] < LEAST_ENTROPY:
            raise _collapse(
                where, f"the policy's entropy is {told['entropy']:.2g} nats a token: it says one thing only",
                f"At least {LEAST_ENTROPY:g}", "Raise kl_coef or entropy_coef, or lower learning_rate.",
            )  # fmt: skip


def _collapse(where: str, found: str, expected: str, remedy: str) -> TrainingError:
    return TrainingError(where, found, expected, remedy)
