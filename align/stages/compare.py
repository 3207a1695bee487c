"""compare: the reports of several models side by side, every number with its interval.

Reads one report per model, measured on the same rows; writes report.json with one row per suite, metric and slice, and for
each model its estimate and its paired difference from the baseline on the same rows (positive: more than the baseline),
with the p of an exact or permutation test of no difference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from align.artifact.digests import write_json
from align.artifact.inputs import Inputs
from align.evals.statistics import paired_difference, paired_test
from align.scoring.named import BETTER
from align.specs.evaluate import CompareSpec
from align.tracking import Tracker


def run(spec: CompareSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    reports = {name: _read(inputs, f"reports.{i}") for i, name in enumerate(spec.names)}
    baseline = spec.baseline or spec.names[0]
    rows = [
        {
            "suite": suite,
            "metric": metric,
            "slice": part,
            "better": BETTER.get(metric),
            "values": {
                name: _value(report, reports[baseline], suite, metric, part) for name, report in reports.items()
            },
        }
        for suite, body in reports[spec.names[0]]["suites"].items()
        for metric, by_slice in body["metrics"].items()
        for part in by_slice
    ]
    write_json(out / "report.json", {"baseline": baseline, "models": spec.names, "rows": rows})
    return {
        f"{name}/{row['suite']}/{row['metric']}": row["values"][name]["value"]
        for row in rows
        if row["slice"] == "all"
        for name in spec.names
    }


def _value(report: dict[str, Any], base: dict[str, Any], suite: str, metric: str, part: str) -> dict[str, Any]:
    ours, theirs = report["suites"][suite], base["suites"][suite]
    estimate = dict(ours["metrics"][metric][part])
    if report is not base and metric in theirs["metrics"]:
        chosen = [i for i, s in enumerate(ours["rows"]["slices"]) if part in ("all", s)]
        clusters = [ours["rows"]["clusters"][i] for i in chosen]
        (values, weights), (base_values, base_weights) = _rows(ours, metric, chosen), _rows(theirs, metric, chosen)
        told = paired_difference(values, base_values, clusters, weights, base_weights).to_json()
        if not (weights or base_weights):
            told["p"], told["test"] = paired_test(values, base_values, clusters)
        estimate["difference"] = told
    return estimate


def _rows(suite: dict[str, Any], metric: str, chosen: list[int]) -> tuple[list[float], list[float] | None]:
    values, weights = suite["rows"]["values"][metric], suite["rows"]["weights"].get(metric)
    return [values[i] for i in chosen], [weights[i] for i in chosen] if weights else None


def _read(inputs: Inputs, name: str) -> dict[str, Any]:
    return json.loads(inputs.report(name).path.read_text())
