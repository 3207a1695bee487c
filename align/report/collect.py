"""What a report shows of each step, read from the store: manifest, curves and report. Pure: it reads, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from align import lineage
from align.artifact.manifest import Manifest
from align.artifact.store import Sealed, Store
from align.plan import Plan, Step

Point = dict[str, float]


@dataclass(frozen=True)
class Seen:
    """One step of a plan with what its artifact holds; `sealed` is None where it is still to run."""

    step: Step
    sealed: Sealed | None = None
    points: list[Point] = field(default_factory=list)
    report: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def manifest(self) -> Manifest | None:
        return self.sealed.manifest if self.sealed else None


def collect(plan: Plan, store: Store) -> dict[str, Seen]:
    """Every step of a plan, in its order."""
    return {name: _seen(step, store) for name, step in plan.steps.items()}


def _seen(step: Step, store: Store) -> Seen:
    sealed = store.find(step.kind, step.key) if step.artifact else None
    if sealed is None:
        return Seen(step)
    path = sealed.path / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return Seen(step, sealed, points(lines), lineage.report(sealed.path))


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
