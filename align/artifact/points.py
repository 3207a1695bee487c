"""The logged points of an artifact's metrics.jsonl, and which of their curves say most."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

Point = dict[str, float]
Values = list[tuple[float, float]]  # (step, value)

# The metrics that are shown first, in this order.
TELLING = (
    "loss", "accuracy", "rewards/accuracies", "rewards/mean", "rewards/gold", "kl", "margin", "rewards/margins",
    "rewards/chosen", "rewards/rejected", "entropy", "tokens/mean", "stops", "mean_token_accuracy", "grad_norm",
)  # fmt: skip
LEFT_OUT = ("step", "time", "epoch", "num_tokens", "total_flos")
LEFT_OUT += ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second")


def read(path: Path) -> list[Point]:
    """The points of a file in order; none where there is no file."""
    return points(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else []


def points(lines: Iterable[str]) -> list[Point]:
    """The logged points in order; of a step that a resumed run logged again the last line counts."""
    by_step: dict[float, Point] = {}
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue  # torn by a kill; the point was logged again
        numbers = {name: value for name, value in told.items() if isinstance(value, (int, float))}
        step = numbers.get("step")
        if step is not None:
            by_step[step] = by_step.get(step, {}) | numbers
    return [by_step[step] for step in sorted(by_step)]


def curves(points: list[Point]) -> dict[str, dict[str, Values]]:
    """Metric -> its curves in training and, under `eval_METRIC`, on held-out rows; the most telling metric first.

    A metric with a single finite value is no curve.
    """
    names = [n for n in dict.fromkeys(n for p in points for n in p) if n not in LEFT_OUT]
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.removeprefix("eval_"), []).append(name)

    def rank(metric: str) -> tuple[int, int]:
        return TELLING.index(metric) if metric in TELLING else len(TELLING), names.index(groups[metric][0])

    found = {m: {n: _values(points, n) for n in sorted(groups[m], key=len)} for m in sorted(groups, key=rank)}
    return {m: {n: v for n, v in of.items() if v} for m, of in found.items() if max(map(len, of.values())) > 1}


def _values(points: list[Point], name: str) -> Values:
    return [(p["step"], p[name]) for p in points if name in p and math.isfinite(p[name])]
