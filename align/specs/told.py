"""Metrics that steps are known to tell, by kind: only so that a misspelt one in a gate is told before it has run.

The lists need not be whole: what is not in them is refused only where it is nearly one of them.
"""

from __future__ import annotations

import difflib

_TRAINED = (
    "loss", "entropy", "grad_norm", "learning_rate", "mean_token_accuracy", "num_tokens", "steps", "tokens",
    "tokens_per_second", "rows.dropped", "rows.truncated", "sequences", "documents",
)  # fmt: skip
_RANKED = ("pairs", "rankings", "rankings.cut", "rankings.largest")
_SIDES = ("rewards.chosen", "rewards.rejected", "logps.chosen", "logps.rejected", "logits.chosen", "logits.rejected")
_ROWS = (
    "rows.train", "rows.holdout", "rows.read", "rows.kept", "rows.dropped", "rows.expanded", "rows.joined", "rows.ties",
    "rows.cut", "copies.rows", "copies.prompts", "copies.ids", "sources", "sources.largest",
)  # fmt: skip
TOLD: dict[str, tuple[str, ...]] = {
    "prepare": (
        *_ROWS, "duplicates.exact", "duplicates.near", "duplicates.prompts", "duplicates.near_prompts",
        "health.against_margin", "health.chosen_longer", "health.contradictory", "health.cycles", "health.label_noise",
        "health.length_gap", "characters.answer.mean", "characters.answer.p95", "characters.prompt.mean",
        "characters.prompt.p95", "leakage.rows", "leakage.exact", "leakage.ngram", "leakage.near",
    ),
    "mix": _ROWS,
    "select": _ROWS,
    "pretrain": _TRAINED,
    "sft": _TRAINED,
    "dpo": (*_TRAINED, *_RANKED, *_SIDES, "rewards.accuracies", "rewards.margins"),
    "reward": (
        *_TRAINED, *_RANKED, "accuracy", "accuracy.length_matched", "margin", "ece", "length_correlation", "max_reward",
        "mean_reward", "min_reward", "demonstrations", "demonstrations.bias", "demonstrations.deviation",
    ),
    "ppo": (
        "kl", "kl_coef", "approx_kl", "clip_fraction", "distinct_2", "drift", "entropy", "episodes", "explained_variance",
        "grad_norm.policy", "grad_norm.value", "learning_rate", "length_reward_correlation", "optimizer_steps",
        "policy_loss", "value_loss", "ratio", "rewards.all_episodes", "rewards.gold", "rewards.mean", "rewards.std",
        "rows.samples", "seconds.rollout", "seconds.scoring", "seconds.update", "stops", "tokens", "tokens.mean",
        "tokens_per_second", "updates",
    ),
}  # fmt: skip
OPEN = ("dropped", "slices", "axes", "leakage", "mixed", "repeated", "perplexity", "reward")  # whose names data give
NEAR = 0.8


def is_told(kind: str, metric: str) -> bool:
    """Whether a step of this kind is known to tell a metric (its dots stand for slashes), held out or not."""
    return metric.removeprefix("eval_") in TOLD.get(kind, ())


def meant(kind: str, metric: str) -> str | None:
    """The known metric that a misspelt one nearly is; None where it is known, or like nothing that is."""
    if is_told(kind, metric) or metric.split(".")[0] in OPEN:
        return None
    known = [name for each in TOLD.get(kind, ()) for name in (each, f"eval_{each}")]
    return next(iter(difflib.get_close_matches(metric, known, 1, NEAR)), None)
