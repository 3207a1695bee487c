"""The numbers that gates speak of: read from sealed steps, or from a stored baseline that was read from them once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from align.artifact import digests
from align.artifact.manifest import Manifest
from align.errors import ArtifactError, UserError
from align.estimates import Estimate, Sample, Scale
from align.gates.names import StepMetric, SuiteMetric, hint

SCHEMA = "align/baseline"
ALL = "all"


class Built(Protocol):
    """A step of a plan: the folder of its artifact where it is sealed, and the metrics it told."""

    @property
    def artifact(self) -> Path | None: ...
    @property
    def about(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Measured:
    """What one model did in one suite; `sample` holds the rows behind it, where the metric is a mean over rows."""

    estimate: Estimate
    sample: Sample | None
    data: str  # digest of the suite's rows
    prompts: tuple[str, ...]  # the cluster of every row of the suite


class Figures:
    """Metrics of steps, and reports of measure and compare steps, by step name."""

    def __init__(
        self, metrics: Mapping[str, Mapping[str, float]], reports: Mapping[str, dict[str, Any] | Path]
    ) -> None:
        self._metrics, self._reports = metrics, dict(reports)

    @classmethod
    def of(cls, steps: Mapping[str, Built]) -> Figures:
        """Of the steps that are sealed. Reports are read, and checked against their hash, when first asked for."""
        sealed = {name: step.artifact for name, step in steps.items() if step.artifact}
        reports = {name: path for name, path in sealed.items() if (path / "report.json").is_file()}
        return cls({name: steps[name].about for name in sealed}, reports)

    @classmethod
    def stored(cls, path: Path) -> Figures:
        """Of a baseline file. Raises UserError when it is none."""
        remedy = f"save one: align gate RECIPE --save-baseline {path}"
        try:
            told = json.loads(path.read_bytes())
            schema = told.get("schema") if isinstance(told, dict) else None
            if schema != SCHEMA:
                raise ValueError(f"its schema is {schema!r}, not {SCHEMA!r}")
            return cls(told["metrics"], told["reports"])
        except FileNotFoundError:
            raise UserError(str(path), "there is no such baseline", "", remedy) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(str(path), f"this is no baseline file: {error}", "", remedy) from None

    def has(self, steps: tuple[str, ...]) -> bool:
        return all(step in self._metrics for step in steps)

    def plain(self, figure: StepMetric) -> float:
        """A metric told by a step, or its sum. Raises LookupError when none of the steps told it."""
        told = {step: _by_dots(self._metrics.get(step, {})) for step in figure.steps}
        values = [metrics[figure.metric] for metrics in told.values() if figure.metric in metrics]
        if not values:
            who = "no data entry tells" if figure.summed else f"{figure.steps[0]} never told"
            known = sorted({name for metrics in told.values() for name in metrics})
            raise LookupError(f'{who} "{figure.metric}". {hint(figure.metric, known)}')
        return sum(values)

    def telling(self, figure: StepMetric) -> list[str]:
        """The steps that tell a metric."""
        return [s for s in figure.steps if figure.metric in _by_dots(self._metrics.get(s, {}))]

    def measured(self, figure: SuiteMetric) -> Measured:
        """A metric of a suite. Raises LookupError when neither the model's report nor the joint table has it."""
        body = self._report(figure.steps[0]).get("suites", {}).get(figure.suite, {})
        metrics = {m: dict(slices) for m, slices in body.get("metrics", {}).items()}
        joint = self._report(figure.stage).get("rows", ())
        for row in joint:
            value = row["values"].get(figure.model)
            if row["suite"] == figure.suite and value and value.get("value") is not None:
                metrics.setdefault(row["metric"], {}).setdefault(row.get("slice") or ALL, value)
        name, part = _metric_and_slice(figure, metrics)
        estimate = Estimate.from_json(metrics[name][part])
        rows = body.get("rows", {})
        return Measured(estimate, sample_of(rows, name, part), body.get("data", ""), tuple(rows.get("clusters", ())))

    def _report(self, step: str) -> dict[str, Any]:
        report = self._reports.get(step, {})
        if isinstance(report, Path):
            report = self._reports[step] = read_report(report)
        return report

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "metrics": {step: dict(metrics) for step, metrics in self._metrics.items()},
            "reports": {s: r for s in self._reports if (r := self._report(s)).keys() & {"suites", "models"}},
        }


def save_baseline(steps: Mapping[str, Built], path: Path) -> None:
    """Writes every metric and report of the sealed steps into one file, for later runs to be held against."""
    if not any(step.artifact for step in steps.values()):
        raise UserError(str(path), "no step of this recipe is sealed, so there is nothing to save", "", "run it first")
    digests.write_json(path, Figures.of(steps).to_json())


def read_report(artifact: Path) -> dict[str, Any]:
    """The report of a sealed artifact. Raises ArtifactError when it is not what was sealed."""
    path = artifact / "report.json"
    if digests.of_file(path) != Manifest.read(artifact).files["report.json"]["sha256"]:
        raise ArtifactError(
            str(path), "its content does not match the hash in the manifest", "", f"delete {artifact} and run again"
        )
    return json.loads(path.read_bytes())


def _metric_and_slice(figure: SuiteMetric, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    names = {name.replace("/", "."): name for name in metrics}
    if figure.metric in names:
        return names[figure.metric], ALL
    for dotted in sorted(names, key=len, reverse=True):
        if figure.metric.startswith(f"{dotted}."):
            part, slices = figure.metric.removeprefix(f"{dotted}."), metrics[names[dotted]]
            if part in slices:
                return names[dotted], part
            known = [s for s in slices if s != ALL]
            raise LookupError(
                f'{figure.suite} has no slice "{part}". {hint(part, known) or "Its rows have no slices."}'
            )
    raise LookupError(
        f'{figure.suite} did not measure "{figure.metric}" of {figure.model}. {hint(figure.metric, names)}'
    )


def sample_of(rows: Mapping[str, Any], metric: str, part: str) -> Sample | None:
    """The rows of a part (all, a slice, axis_NAME) that a metric applies to; None where it is no mean over rows."""
    values = rows.get("values", {}).get(metric)
    if values is None:
        return None
    nobody = [None] * len(values)
    weights, slices, axes = rows["weights"].get(metric), rows.get("slices") or nobody, rows.get("axes") or nobody
    parts = zip(slices, axes, strict=True)
    chosen = [i for i, (s, a) in enumerate(parts) if part in (ALL, s, f"axis_{a}") and (not weights or weights[i])]
    kept = [weights[i] for i in chosen] if weights else None
    clusters = [rows["clusters"][i] for i in chosen]
    kept = None if kept is None or set(kept) == {1.0} else kept
    return Sample([values[i] for i in chosen], kept, clusters, scale_of(rows, metric))


def scale_of(rows: Mapping[str, Any], metric: str) -> Scale:
    """What a metric can be, as its suite said. Reports of measure 5 and before say nothing: there yes/no answers are a share."""
    told: Mapping[str, Scale] | None = rows.get("scales")
    if told is not None:
        return told[metric]
    return "share" if set(rows["values"][metric]) <= {0.0, 1.0} else "real"


def _by_dots(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name.replace("/", "."): value for name, value in metrics.items()}
