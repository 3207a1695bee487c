"""A sweep: one recipe run with some of its settings varied, and what was measured of every variant side by side.

`stages.ppo.kl_coef=0.01,0.05 stages.dpo.beta=0.1,0.3` are two axes; the variants are their product. What two variants share is
made once, since a step's key knows nothing of sweeps: the six evaluations above come from two PPO and two DPO runs.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align import plan as plans
from align import shipped
from align.artifact.store import Store
from align.errors import UserError
from align.plan import Plan, Step
from align.recipe import Recipe, load
from align.report.frontier import Place, Reading
from align.specs import EvaluateSpec


@dataclass(frozen=True)
class Axis:
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """One recipe of a sweep, under a name of its own, with the values that it has on each axis."""

    number: int
    settings: dict[str, str]
    recipe: Recipe

    @property
    def told(self) -> str:
        return ", ".join(f"{short(key, self.settings)}={value}" for key, value in self.settings.items())


@dataclass
class Point:
    """One measured model: its name in the recipe, the settings that made it what it is, and its suites' estimates."""

    model: str
    settings: dict[str, str]
    key: str
    variant: Variant
    values: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        told = ", ".join(f"{short(k, self.variant.settings)}={v}" for k, v in self.settings.items())
        return f"{self.model} {told}".strip()


def split_arguments(arguments: list[str]) -> tuple[list[str], list[Axis]]:
    """Plain overrides, and the axes: arguments whose value has a comma outside brackets and quotes.

    Raises UserError where there is no axis at all, or one stands twice.
    """
    overrides: list[str] = []
    axes: list[Axis] = []
    for argument in arguments:
        key, _, text = argument.partition("=")
        values = _split(text)
        if len(values) < 2:
            overrides.append(argument)
            continue
        if key in {a.key for a in axes}:
            raise UserError(argument, f"{key} is varied twice", "", "give all its values once, separated by commas")
        axes.append(Axis(key, tuple(dict.fromkeys(values))))
    if not axes:
        raise UserError("sweep", "nothing is varied", "expected KEY=A,B,...", "e.g. stages.dpo.beta=0.05,0.1,0.3")
    return overrides, axes


def axes_of(overrides: list[str]) -> list[Axis]:
    """The settings that have several values; none where nothing is varied."""
    return split_arguments(overrides)[1] if any(len(_split(o.partition("=")[2])) > 1 for o in overrides) else []


def is_seed(key: str) -> bool:
    return key == "seed" or key.endswith(".seed")


def seeded(given: str, overrides: list[str]) -> list[Variant]:
    """The recipe with each of the seeds given. Raises UserError where anything but a seed is varied."""
    plain, axes = split_arguments(overrides)
    other = next((axis.key for axis in axes if not is_seed(axis.key)), None)
    if other:
        raise UserError(
            other, "gates are judged over seeds, and this is none", "expected several seeds, e.g. seed=0,1,2",
            f"Other settings make another recipe: align sweep {given} {' '.join(overrides)}",
        )  # fmt: skip
    return variants(shipped.find(given)[0], plain, axes)


def _split(text: str) -> list[str]:
    """The parts of a value between its outermost commas."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def variants(path: Path, overrides: list[str], axes: list[Axis]) -> list[Variant]:
    """Every combination as a checked recipe, `NAME-sweep-1` and on. Raises RecipeError for the first that is not sound."""
    name = load(path, overrides).name
    made = []
    for number, values in enumerate(itertools.product(*(axis.values for axis in axes)), 1):
        settings = {axis.key: value for axis, value in zip(axes, values, strict=True)}
        written = [*overrides, *(f"{key}={value}" for key, value in settings.items()), f"name={name}-sweep-{number}"]
        made.append(Variant(number, settings, load(path, written)))
    return made


def frontier_settings(path: Path, overrides: list[str], best_of: str | None) -> list[str]:
    """Overrides that give every frontier suite of the recipe its best_of. Raises UserError where it has no such suite."""
    stages = load(path, overrides).stages
    suites = [
        f"stages.{stage}.suites.{name}"
        for stage, spec in stages.items()
        if isinstance(spec, EvaluateSpec)
        for name, suite in spec.suites.items()
        if suite.kind == "frontier"
    ]
    if not suites:
        raise UserError(
            "sweep", "the recipe has no frontier suite", "One harness for all points",
            "add to its evaluate stage, e.g.: suites: {frontier: {data: PROMPTS, against: sft, proxy: reward}}",
        )  # fmt: skip
    return [f"{suite}.best_of=[{best_of}]" for suite in suites] if best_of else []


def to_run(planned: list[Plan]) -> tuple[list[Step], int]:
    """The steps that no artifact spares, each once however many variants share it; and how many steps there are in all."""
    steps = {
        (step.kind, step.key or (index, step.name)): step
        for index, plan in enumerate(planned)
        for step in plan.steps.values()
    }
    return [step for step in steps.values() if step.action == "run"], len(steps)


def measured(variant: Variant, store: Store, points: dict[str, Point]) -> None:
    """Adds what a finished variant measured to `points`, which are known by the key of their measure step."""
    plan = plans.make(variant.recipe, store)
    for step in plan.steps.values():
        if step.kind != "compare" or step.artifact is None:
            continue
        report = json.loads((step.artifact / "report.json").read_text())
        for model, edge in zip(report["models"], step.edges.values(), strict=True):
            source = plan.steps[edge.step or ""]
            point = points.setdefault(source.key, Point(model, dict(variant.settings), source.key, variant))
            for row in report["rows"]:
                if row["values"].get(model):
                    point.values[row["suite"], row["metric"], row["slice"]] = row["values"][model]


def places(points: list[Point]) -> dict[str, list[Place]]:
    """By frontier suite: where each point lies, and best-of-n of the reference as a family of its own."""
    found: dict[str, list[Place]] = {}
    for point in points:
        for suite in dict.fromkeys(s for s, metric, _ in point.values if metric == "kl"):
            kinds = dict.fromkeys(
                m.rpartition("_")[0] for s, m, _ in point.values if s == suite and m.endswith("_proxy")
            )
            for prefix in ("", *(f"{kind}_" for kind in kinds)):
                proxy, kl = (_reading(point, suite, f"{prefix}{metric}") for metric in ("proxy", "kl"))
                if proxy and kl:
                    told = prefix.replace("_", " ").strip()
                    place = Place(
                        "best of n" if prefix else point.model,
                        told or point.label,
                        kl,
                        proxy,
                        _reading(point, suite, f"{prefix}gold"),
                    )
                    found.setdefault(suite, []).append(place)
    return found


def _reading(point: Point, suite: str, metric: str) -> Reading | None:
    told = point.values.get((suite, metric, "all"))
    if not told:
        return None
    low, high = told.get("low"), told.get("high")
    return Reading(told["value"], 0.0 if low is None or high is None else (high - low) / 2)


def labelled(points: dict[str, Point], finished: list[Variant], store: Store) -> list[Point]:
    """The points with only those settings that matter to them: an axis whose change alone makes another model of it."""
    keys = {v.number: _measure_keys(plans.make(v.recipe, store)) for v in finished}
    for point in points.values():
        matter = {
            axis
            for a, b in itertools.combinations(finished, 2)
            if len(changed := [k for k in a.settings if a.settings[k] != b.settings[k]]) == 1
            and keys[a.number].get(point.model) != keys[b.number].get(point.model)
            for axis in changed
        }
        point.settings = {k: v for k, v in point.settings.items() if k in matter}
    order = {name: index for index, name in enumerate(dict.fromkeys(p.model for p in points.values()))}
    return sorted(points.values(), key=lambda p: (order[p.model], p.variant.number))


def _measure_keys(plan: Plan) -> dict[str, str]:
    return {step.name.rpartition(".")[2]: step.key for step in plan.steps.values() if step.kind == "measure"}


def short(key: str, among: dict[str, str]) -> str:
    """`stages.ppo.kl_coef` as `kl_coef`, or as `ppo.kl_coef` where another axis ends in the same word."""
    parts = key.split(".")
    alike = [other for other in among if other.split(".")[-1] == parts[-1]]
    return parts[-1] if len(alike) < 2 else ".".join(parts[-2:])
