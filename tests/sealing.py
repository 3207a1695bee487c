"""Sealed artifacts without training: what a plan sees when steps are done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from align.artifact.manifest import Manifest, Parent
from align.artifact.store import Sealed, Store
from align.plan import Plan, Step


def seal_step(
    store: Store,
    plan: Plan,
    name: str,
    content: str = "weights",
    metrics: dict[str, float] | None = None,
    report: dict[str, Any] | None = None,
    also: Callable[[Path], None] = lambda folder: None,
) -> Sealed:
    """Seals what step `name` would have made: a model of `content`, or a report; and what `also` writes beside it."""
    step = plan.steps[name]
    partial = store.partial(step.kind, step.key)
    partial.mkdir(parents=True)
    if report is None:
        (partial / "model").mkdir()
        (partial / "model" / "model.safetensors").write_text(content)
    else:
        (partial / "report.json").write_text(json.dumps(report))
    also(partial)
    store.remember(plan.recipe.name, name, step.kind, step.key)
    return store.seal(
        Manifest(
            kind=step.kind,
            name=f"{plan.recipe.name}:{name}",
            key=step.key,
            stage_version=step.spec.version,
            spec=step.spec.identity(),
            seed=step.seed,
            parents={field: parent_of(store, plan, step, field) for field in step.edges},
            files={},
            digest="",
            row_type=getattr(step.spec, "as_", None),
            rows={"train": 3},
            metrics=metrics or {"loss": 1.5},
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            seconds=1.0,
        )
    )


def parent_of(store: Store, plan: Plan, step: Step, field: str) -> Parent:
    """What a sealed step's manifest says of one of its inputs."""
    edge = step.edges[field]
    if edge.source:
        return Parent(edge.source.digest, edge.source.kind, source=edge.source.location)
    parent = plan.steps[edge.step or ""]
    sealed = store.find(parent.kind, parent.key)
    assert sealed
    return Parent(sealed.manifest.digest, parent.kind, key=parent.key, part=edge.part)
