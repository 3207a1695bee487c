"""What was forgotten, from the reports of several models: drops from the baseline, and the ledger along the chain.

A drop is how much worse, on the same rows: bits per byte and losses count upwards, accuracies downwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align.estimates import Estimate, Sample, difference
from align.gates.figures import scale_of

WORSE = {"bits_per_byte": 1.0, "loss": 1.0, "accuracy": -1.0}  # sign that makes more of the metric a drop
Report = dict[str, Any]


def metric_of(suite: Mapping[str, Any]) -> str | None:
    """The metric that a retention suite's drop is taken in; None for suites of another kind."""
    return next((m for m in WORSE if m in suite["metrics"]), None) if suite["kind"] == "retention" else None


def drop(ours: Mapping[str, Any], theirs: Mapping[str, Any], metric: str, rows: list[int] | None = None) -> Estimate:
    """How much worse one measured suite is than another measured on the same rows (`rows`: on these alone)."""
    first, second = _sample(ours, metric, rows), _sample(theirs, metric, rows)
    return difference(first, second) if WORSE[metric] > 0 else difference(second, first)


def ledger(reports: Mapping[str, Report], parents: Mapping[str, str]) -> list[dict[str, Any]]:
    """One entry per retention suite and model that grew from another: what this step cost, and all steps together."""
    told = []
    for suite, body in next(iter(reports.values()))["suites"].items():
        metric = metric_of(body)
        for model, parent in parents.items() if metric else ():
            assert metric
            of = {name: report["suites"][suite] for name, report in reports.items()}
            root = _root(parent, parents)
            entry = {"suite": suite, "metric": metric, "model": model, "parent": parent, "root": root}
            entry["step"] = drop(of[model], of[parent], metric).to_json()
            entry["total"] = drop(of[model], of[root], metric).to_json()
            told.append(entry)
    return told


def _root(model: str, parents: Mapping[str, str]) -> str:
    while model in parents:
        model = parents[model]
    return model


def _sample(suite: Mapping[str, Any], metric: str, rows: list[int] | None) -> Sample:
    kept = suite["rows"]
    weights = kept["weights"].get(metric)
    chosen = range(len(kept["clusters"])) if rows is None else rows
    chosen = [i for i in chosen if weights is None or weights[i]]
    return Sample(
        [kept["values"][metric][i] for i in chosen],
        [weights[i] for i in chosen] if weights else None,
        [kept["clusters"][i] for i in chosen],
        scale_of(kept, metric),
    )
