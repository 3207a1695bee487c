"""What a report shows of each step, read from the store: manifest, curves and report. Pure: it reads, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from align import lineage
from align.artifact import points
from align.artifact.manifest import Manifest
from align.artifact.points import Point
from align.artifact.store import Sealed, Store
from align.plan import Plan, Step


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
    return Seen(step, sealed, points.read(sealed.path / "metrics.jsonl"), lineage.report(sealed.path))
