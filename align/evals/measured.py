"""What a suite finds, row by row, and the estimates that follow from it.

What is measured per row is kept, so that two models can be compared on the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from align.artifact.digests import of_value
from align.estimates import LIMITS, Scale
from align.evals import statistics
from align.evals.statistics import Estimate
from align.scoring.episode import Episode

Row = dict[str, Any]
ROUNDING = 1e-9


class Progress(Protocol):
    """Hears how far a pass over rows is; what was remembered is not `fresh`, and says nothing of how long things take."""

    def __call__(self, done: int, total: int, fresh: bool = True) -> None: ...


@dataclass
class Measured:
    """Per row: values by metric, the weight each value is divided by (tokens, bytes; 1 for a plain mean; 0 where the metric
    does not apply to the row), the cluster (rows of one prompt), slice and axis, and for generations the answer.

    `scales` say of each metric what it can be, whatever was seen of it: that decides what interval it gets.

    `whole`: estimates that are no mean over rows, such as the difference of two slices.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    clusters: list[str] = field(default_factory=list)
    slices: list[str | None] = field(default_factory=list)
    axes: list[str | None] = field(default_factory=list)
    answers: list[Episode] = field(default_factory=list)
    whole: dict[str, Estimate] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what a person should know beside the numbers

    def add(self, metric: str, scale: Scale, values: Sequence[float], weights: Sequence[float] | None = None) -> None:
        """Raises ValueError where a value is not on its scale: bounds would be drawn where it cannot be."""
        self.scales[metric] = scale
        self.values[metric] = [float(v) for v in values]
        if weights is not None:
            self.weights[metric] = [float(w) for w in weights]
        least, most = LIMITS[scale]
        for v, w in zip(values, [1.0] * len(values) if weights is None else weights, strict=True):
            if w and not least - ROUNDING <= v / w <= most + ROUNDING:
                raise ValueError(f"{metric} is a {scale}, and a row of it is {v} of {w}")

    def groups(self) -> dict[str, list[int]]:
        """Row numbers by part: `all`, each slice, and each axis as `axis_NAME` where there are several."""
        groups: dict[str, list[int]] = {"all": list(range(len(self.clusters)))}
        several = len(set(self.axes)) > 1
        for index, (part, axis) in enumerate(zip(self.slices, self.axes or self.slices, strict=True)):
            if part is not None:
                groups.setdefault(part, []).append(index)
            if several and axis is not None:
                groups.setdefault(f"axis_{axis}", []).append(index)
        return groups

    def estimate(self, metric: str, rows: Sequence[int]) -> Estimate | None:
        """The mean over those of the rows that the metric applies to; None where it applies to none."""
        weights = self.weights.get(metric)
        rows = [i for i in rows if weights is None or weights[i]]
        if not rows:
            return None
        scale = self.scales[metric]
        values, clusters = [self.values[metric][i] for i in rows], [self.clusters[i] for i in rows]
        if weights is None or all(weights[i] == 1 for i in rows):
            return statistics.mean(values, clusters, scale)
        divisors = [weights[i] for i in rows]
        if scale == "share" and _are_counts(values, divisors):
            return statistics.mean(*_one_by_one(values, divisors, clusters), scale)
        return statistics.ratio(values, divisors, clusters, scale)


def _are_counts(values: Sequence[float], weights: Sequence[float]) -> bool:
    """Whether each row of a share tells how many of its `weight` things are so, and not parts of one."""
    return all(v.is_integer() and w.is_integer() for v, w in zip(values, weights, strict=True))


def _one_by_one(
    values: Sequence[float], weights: Sequence[float], clusters: Sequence[str]
) -> tuple[list[float], list[str]]:
    """Rows of counts as yes and no for each thing counted."""
    told = zip(values, weights, clusters, strict=True)
    each = [(answer, c) for v, w, c in told for answer in [1.0] * int(v) + [0.0] * int(w - v)]
    return [answer for answer, _ in each], [c for _, c in each]


def about(rows: list[Row]) -> Measured:
    """Nothing measured yet of these rows."""
    clusters = [of_value(r.get("prompt") or r.get("messages") or r.get("text"))[:16] for r in rows]
    return Measured(clusters=clusters, slices=[r.get("slice") for r in rows], axes=[r.get("axis") for r in rows])


def summarize(measured: Measured) -> dict[str, Any]:
    """Estimates by metric, overall (`all`), by slice and by axis where rows have them."""
    groups = measured.groups()
    out: dict[str, Any] = {}
    for metric in measured.values:
        found = {part: measured.estimate(metric, rows) for part, rows in groups.items()}
        if told := {part: estimate.to_json() for part, estimate in found.items() if estimate}:
            out[metric] = told
    return out | {metric: {"all": estimate.to_json()} for metric, estimate in measured.whole.items()}


def report_of(measured: Measured) -> dict[str, Any]:
    """The estimates and, in `rows`, all that they were made from."""
    rows = {
        "values": measured.values,
        "weights": measured.weights,
        "scales": measured.scales,
        "clusters": measured.clusters,
        "slices": measured.slices,
        "axes": measured.axes,
    }
    return {"metrics": summarize(measured), "rows": rows}
