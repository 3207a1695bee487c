"""compare: the reports of several models side by side, every number with its interval.

Reads one report per model, measured on the same rows; writes report.json with one row per suite, metric and slice, and for
each model its estimate and its paired difference from the baseline on the same rows (positive: more than the baseline),
with the p of an exact or permutation test of no difference. Retention suites get a `drop` from the baseline where they name
no model of their own to be held against, and a ledger: what each step of the chain forgot, and all steps together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from align.artifact.digests import write_json
from align.artifact.inputs import Inputs
from align.evals import forgetting
from align.evals.statistics import paired_difference, paired_test
from align.gates.figures import scale_of
from align.scoring.named import BETTER
from align.specs.evaluate import CompareSpec
from align.specs.suites import SUITES
from align.tracking import Tracker

Report = dict[str, Any]
COLUMNS = (
    "suite",
    "metric",
    "slice",
    "model",
    "value",
    "low",
    "high",
    "n",
    "difference",
    "difference_low",
    "difference_high",
)


def run(spec: CompareSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    reports = {name: _read(inputs, f"reports.{i}") for i, name in enumerate(spec.names)}
    base = reports[spec.baseline or spec.names[0]]
    expected = sum(len(parts) for suite in base["suites"].values() for parts in suite["metrics"].values())
    rows: list[Report] = []
    for row in (row for suite in base["suites"] for row in _suite_rows(suite, reports, base)):
        rows.append(row)
        tracker.progress(len(rows), max(expected, len(rows)))
    told: Report = {"baseline": spec.baseline or spec.names[0], "models": spec.names, "rows": rows}
    told["ledger"] = forgetting.ledger(reports, spec.parents)
    write_json(out / "report.json", told)
    tracker.table(0, "comparison", COLUMNS, list(_table(rows)))
    return {
        f"{name}/{row['suite']}/{row['metric']}": value["value"]
        for row in rows
        if row["slice"] == "all"
        for name, value in row["values"].items()
    }


def _table(rows: list[Report]) -> Iterator[list[Any]]:
    """One line per suite, metric, slice and model, as a tracking service shows it."""
    for row in rows:
        for name, value in row["values"].items():
            difference = value.get("difference") or {}
            told = [value.get(k) for k in ("value", "low", "high", "n")] + [
                difference.get(k) for k in ("value", "low", "high")
            ]
            yield [row["suite"], row["metric"], row["slice"], name, *told]


def _suite_rows(suite: str, reports: dict[str, Report], base: Report) -> Iterator[Report]:
    """One row per metric and slice that any of the models has; a model that lacks it is left out of the row."""
    bodies = {name: report["suites"][suite] for name, report in reports.items()}
    baseline = base["suites"][suite]
    metrics = {m: list(parts) for body in bodies.values() for m, parts in body["metrics"].items()}
    told = list(SUITES[baseline["kind"]].metrics) if baseline["kind"] in SUITES else []
    metrics = {m: metrics[m] for m in [*(m for m in told if m in metrics), *(m for m in metrics if m not in told)]}
    dropped = forgetting.metric_of(baseline)
    if dropped and "drop" not in metrics:
        yield from (_drop_row(suite, bodies, baseline, dropped, part) for part in baseline["metrics"][dropped])
    for metric, parts in metrics.items():
        for part in parts:
            values = {
                name: _value(body, baseline, metric, part)
                for name, body in bodies.items()
                if part in body["metrics"].get(metric, {})
            }
            yield _row(suite, baseline["kind"], metric, part, values)


def _row(suite: str, kind: str, metric: str, part: str, values: dict[str, Any]) -> Report:
    own = SUITES[kind].metrics if kind in SUITES else {}
    better = own[metric] if metric in own else BETTER.get(metric)
    return {"suite": suite, "metric": metric, "slice": part, "better": better, "values": values}


def _drop_row(suite: str, bodies: dict[str, Report], baseline: Report, metric: str, part: str) -> Report:
    rows = _rows_of(baseline, part)
    found = {n: forgetting.drop(b, baseline, metric, rows).to_json() for n, b in bodies.items() if b is not baseline}
    return _row(suite, baseline["kind"], "drop", part, found)


def _value(ours: Report, theirs: Report, metric: str, part: str) -> Report:
    estimate = dict(ours["metrics"][metric][part])
    both = metric in ours["rows"]["values"] and metric in theirs["rows"]["values"]
    if ours is not theirs and both:
        chosen = [i for i in _rows_of(ours, part) if _counts(ours, metric, i) and _counts(theirs, metric, i)]
        clusters = [ours["rows"]["clusters"][i] for i in chosen]
        (values, weights), (base_values, base_weights) = _rows(ours, metric, chosen), _rows(theirs, metric, chosen)
        scale = scale_of(ours["rows"], metric)
        if chosen:
            told = paired_difference(values, base_values, clusters, scale, weights, base_weights).to_json()
            if not (weights or base_weights):
                told["p"], told["test"] = paired_test(values, base_values, clusters)
            estimate["difference"] = told
    return estimate


def _rows_of(suite: Report, part: str) -> list[int]:
    """Row numbers of a part: all, a slice, or axis_NAME."""
    slices = suite["rows"]["slices"]
    axes = suite["rows"].get("axes") or [None] * len(slices)
    return [i for i, (s, a) in enumerate(zip(slices, axes, strict=True)) if part in ("all", s, f"axis_{a}")]


def _counts(suite: Report, metric: str, row: int) -> bool:
    weights = suite["rows"]["weights"].get(metric)
    return weights is None or bool(weights[row])


def _rows(suite: Report, metric: str, chosen: list[int]) -> tuple[list[float], list[float] | None]:
    """Values and weights of some rows; weights that are all 1 are none."""
    values, weights = suite["rows"]["values"][metric], suite["rows"]["weights"].get(metric)
    kept = [weights[i] for i in chosen] if weights else None
    return [values[i] for i in chosen], None if kept is None or set(kept) == {1.0} else kept


def _read(inputs: Inputs, name: str) -> Report:
    return json.loads(inputs.report(name).path.read_text())
