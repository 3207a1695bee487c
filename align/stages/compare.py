"""compare: the reports of several models side by side, every number with its interval.

Reads one report per model, measured on the same rows; writes report.json with one row per suite, metric and slice, and for
each model its estimate and its paired difference from the baseline on the same rows (positive: more than the baseline).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from align.artifact.digests import write_json
from align.artifact.inputs import Inputs
from align.evals.statistics import paired_difference
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
    if report is not base and metric in theirs["metrics"] and not ours["rows"]["weights"].get(metric):
        chosen = [i for i, s in enumerate(ours["rows"]["slices"]) if part in ("all", s)]
        difference = paired_difference(
            [ours["rows"]["values"][metric][i] for i in chosen],
            [theirs["rows"]["values"][metric][i] for i in chosen],
            [ours["rows"]["clusters"][i] for i in chosen],
        )
        estimate["difference"] = difference.to_json()
    return estimate


def _read(inputs: Inputs, name: str) -> dict[str, Any]:
    return json.loads(inputs.report(name).path.read_text())
