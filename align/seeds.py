"""Several training seeds of one recipe: figures over seeds, which are what another training run may give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from align import lineage
from align import plan as plans
from align.artifact.store import Store
from align.estimates import Estimate, Sample, Seeds, over_seeds, seeds_of
from align.gates.figures import ALL, read_report, sample_of
from align.plan import Plan
from align.recipe import Recipe
from align.specs import EvaluateSpec
from align.sweep import Point, is_seed

Name = tuple[str, str, str]  # suite, metric, part


@dataclass(frozen=True)
class Seeded:
    """The points that differ in nothing but their seed, and their figures summarised."""

    label: str
    model: str
    settings: dict[str, str]
    count: int
    figures: dict[Name, Seeds]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model, "settings": self.settings, "seeds": self.count,
            "values": [
                {
                    "suite": suite, "metric": metric, "slice": part, "values": list(s.values),
                    "over_seeds": s.over.to_json(), "within_seeds": s.within.to_json(),
                }
                for (suite, metric, part), s in self.figures.items()
            ],
        }  # fmt: skip


def summarised(points: list[Point], store: Store) -> list[Seeded]:
    """Every group of at least two models that differ in seeds alone, with each figure that is a mean over rows."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Point]] = {}
    for point in points:
        others = {k: v for k, v in point.settings.items() if not is_seed(k)}
        groups.setdefault((point.model, tuple(others.items())), []).append(point)
    found = []
    for (model, settings), group in groups.items():
        if len(group) > 1 and len({_model(point, store) for point in group}) > 1:
            told = ", ".join(f"{k.rpartition('.')[2]}={v}" for k, v in settings)
            label = " ".join(filter(None, [model, told])) + f", {len(group)} seeds"
            found.append(Seeded(label, model, dict(settings), len(group), _figures(group, store)))
    return found


def _model(point: Point, store: Store) -> str:
    """What was measured: one model under several seeds says nothing of another training run."""
    sealed = store.find("measure", point.key)
    parent = sealed.manifest.parents["model"] if sealed else None
    return (parent.key or parent.digest) if parent else ""


def _figures(group: list[Point], store: Store) -> dict[Name, Seeds]:
    """Figures whose rows every seed was asked alike."""
    sealed = [store.find("measure", point.key) for point in group]
    reports = [read_report(s.path)["suites"] for s in sealed if s]
    found: dict[Name, Seeds] = {}
    for suite, body in reports[0].items() if len(reports) == len(group) else ():
        same = all(r[suite]["data"] == body["data"] for r in reports)
        for metric in body["metrics"] if same else ():
            samples = [sample_of(r[suite]["rows"], metric, ALL) for r in reports]
            rows = [s for s in samples if s and len(s.values)]
            if len(rows) == len(group) and all(list(s.clusters) == list(rows[0].clusters) for s in rows):
                found[suite, metric, ALL] = over_seeds(rows)
    return found


def runs(recipe: Recipe, store: Store) -> dict[int, Plan]:
    """The recipe under each seed that something in the store was made with, where all that it measures is sealed."""
    tried = sorted(
        {m.seed for sealed in lineage.artifacts(store) if (m := sealed.manifest).seed is not None} | {recipe.seed}
    )
    made = {seed: plans.make(recipe.model_copy(update={"seed": seed}), store) for seed in tried}
    return {
        seed: plan
        for seed, plan in made.items()
        if all(step.artifact for step in plan.steps.values() if step.kind in ("measure", "compare"))
    }


def comparisons(found: Mapping[int, Plan]) -> dict[str, dict[str, Any]]:
    """By evaluate stage: its models side by side in the form of a `compare` report, each figure over several seeds.

    Intervals are for a new seed and new prompts. Nothing is told of a stage whose models no seed changes.
    """
    told: dict[str, dict[str, Any]] = {}
    for stage, spec in next(iter(found.values())).recipe.stages.items() if len(found) > 1 else ():
        if isinstance(spec, EvaluateSpec) and any(_trained_apart(found, f"{stage}.{model}") for model in spec.models):
            told[stage] = _compared(stage, spec, list(found.values()))
    return {stage: report for stage, report in told.items() if report["rows"]}


def _trained_apart(found: Mapping[int, Plan], step: str) -> bool:
    edges = [plan.steps[step].edges["model"] for plan in found.values()]
    keys = {plan.steps[edge.step].key for plan, edge in zip(found.values(), edges, strict=True) if edge.step}
    return len(keys) == len(found)


def _compared(stage: str, spec: EvaluateSpec, each: list[Plan]) -> dict[str, Any]:
    baseline = spec.baseline or spec.models[0]
    reports = {model: [_report(plan, f"{stage}.{model}")["suites"] for plan in each] for model in spec.models}
    rows = []
    for row in _report(each[0], stage)["rows"]:
        suite, metric = row["suite"], row["metric"]
        values: dict[str, Any] = {}
        for model, bodies in reports.items() if row["slice"] == ALL else ():
            if mean := _over(bodies, suite, metric):
                values[model] = _json(mean)
                if model != baseline and (less := _over(bodies, suite, metric, reports[baseline])):
                    values[model]["difference"] = _json(less)
        if values:
            rows.append(row | {"values": values})
    return {"baseline": baseline, "models": list(spec.models), "rows": rows}


def _report(plan: Plan, step: str) -> dict[str, Any]:
    artifact = plan.steps[step].artifact
    assert artifact is not None
    return read_report(artifact)


def _over(
    bodies: Sequence[Mapping[str, Any]], suite: str, metric: str, less: Sequence[Mapping[str, Any]] | None = None
) -> Seeds | None:
    """A figure over runs that were asked the same rows; with `less`, its difference, which needs the rows of both."""
    told = [body[suite] for body in [*bodies, *(less or ())]]
    if len({body["data"] for body in told}) > 1 or not all(ALL in body["metrics"].get(metric, {}) for body in told):
        return None
    samples = [sample_of(body["rows"], metric, ALL) for body in told]
    rows: list[Sample] = [sample for sample in samples if sample and len(sample.values)]
    if len(rows) == len(told) and all(list(sample.clusters) == list(rows[0].clusters) for sample in rows):
        return over_seeds(rows[: len(bodies)], rows[len(bodies) :] or None)
    return None if less else seeds_of([Estimate.from_json(body["metrics"][metric][ALL]) for body in told])


def _json(found: Seeds) -> dict[str, Any]:
    low, high = found.bounds()  # of one prompt alone there are none
    return replace(found.within, value=found.over.value, low=low, high=high).to_json()
