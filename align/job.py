"""What a child process is told about the step it carries out: plain values only, so that it can cross any border."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from align.artifact import digests
from align.plan import Plan, Step
from align.specs import STEPS


@dataclass(frozen=True)
class Job:
    recipe: str
    step: str
    kind: str
    spec: dict[str, Any]
    seed: int | None
    key: str
    edges: dict[str, dict[str, Any]]  # input name -> {"name", "kind", "key", "part"} or {"source": {...}}
    store: str
    tracking: dict[str, Any]
    group: str
    row_type: str | None = None
    rebuild: bool = False  # a sealed artifact with this key is there and is to be replaced

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def job_of(plan: Plan, step: Step, store: str) -> Job:
    edges: dict[str, dict[str, Any]] = {}
    for name, edge in step.edges.items():
        if edge.source:
            edges[name] = {"source": asdict(edge.source)}
        elif edge.step:
            parent = plan.steps[edge.step]
            edges[name] = {"name": edge.step, "kind": parent.kind, "key": parent.key, "part": edge.part}
    spec = step.spec.model_dump(by_alias=True, mode="json")
    return Job(
        recipe=plan.recipe.name,
        step=step.name,
        kind=step.kind,
        spec=spec,
        seed=step.seed,
        key=step.key,
        edges=edges,
        store=store,
        tracking=plan.recipe.tracking.model_dump(),
        group=f"{plan.recipe.name}-{digests.of_value([s.key for s in plan.steps.values()])[:8]}",
        row_type=getattr(step.spec, "as_", None),
        rebuild=step.sealed,
    )


def spec_of(job: Job) -> Any:
    """The job's settings as its stage reads them, the seed filled in."""
    return STEPS[job.kind].model_validate({**job.spec, "seed": job.seed})
