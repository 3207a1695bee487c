"""What a comparison will be able to show, told before it is run: the minimum detectable difference of each suite."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from align.artifact.store import Store
from align.errors import ArtifactError
from align.estimates import LIMITS, SHARE_SD, Estimate, Scale, detectable
from align.gates.figures import ALL
from align.plan import Plan, Step
from align.specs import MeasureSpec
from align.specs.asking import rank

SHARES = ("generation", "format", "preference", "instruction", "safety", "conflict")  # yes and no, mostly


@dataclass(frozen=True)
class Detectable:
    """The smallest paired difference that so many rows show four times in five; `metric` is None for shares in general.

    `difference` is None where none could be: one row alone shows nothing, and shares never differ by more than 1.
    """

    stage: str
    suite: str
    rows: int
    difference: float | None
    metric: str | None = None

    def __str__(self) -> str:
        what = self.metric or "a share"
        if self.difference is None:
            few = f"{self.rows:,} {'row is' if self.rows == 1 else 'rows are'}"
            return f"{self.suite}: {few} too few to show any difference in {what}; ask more rows, or read no difference from it"
        ground = "as it varied the last time" if self.metric else "if a quarter of the answers changes sides"
        return f"{self.suite}: {self.rows:,} rows can show a difference of {self.difference:.2g} in {what}, {ground}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def of_plan(plan: Plan, store: Store) -> list[Detectable]:
    """For every suite of models that are to be compared and are not measured yet."""
    found = [d for step in plan.steps.values() if step.action == "run" for d in of_step(plan, step, store)]
    return list(dict.fromkeys(found))


def of_step(plan: Plan, step: Step, store: Store) -> list[Detectable]:
    """For the suites of one model's measurement whose rows are counted already; empty where nothing is compared."""
    stage = step.name.rpartition(".")[0]
    if not isinstance(step.spec, MeasureSpec) or stage not in plan.steps or len(plan.steps[stage].edges) < 2:
        return []
    before = _last_report(plan.recipe.name, stage, store)
    told = []
    for name, suite in step.spec.suites.items():
        edge = step.edges.get(f"suites.{name}.data")
        rows = plan.steps[edge.step].about.get(f"rows/{edge.part}") if edge and edge.step else None
        if not rows:
            continue
        rows = min(int(rows), suite.limit or int(rows))
        metric, sd, scale = _spread(before, name)
        if metric or suite.kind in SHARES:
            least, most = detectable(rows, sd), LIMITS[scale][1]
            told.append(
                Detectable(stage, name, rows, least if least <= most and math.isfinite(least) else None, metric)
            )
    return told


def _last_report(recipe: str, stage: str, store: Store) -> Mapping[str, Any]:
    """The table of the stage's last run, under whatever settings: only the spread of its differences is asked."""
    kind, _, key = store.last_keys(recipe).get(stage, "").partition("-")
    try:
        sealed = store.find(kind, key) if key else None
        return json.loads(Path(sealed.path / "report.json").read_bytes()) if sealed else {}
    except (ArtifactError, OSError, ValueError):
        return {}  # only a guess is lost


def _spread(report: Mapping[str, Any], suite: str) -> tuple[str | None, float, Scale]:
    """The suite's most telling metric that models differed in, the standard deviation of a row's difference there, and what
    that difference can be: without one, what is known of shares.
    """
    rows = [r for r in report.get("rows", ()) if r["suite"] == suite and (r.get("slice") or ALL) == ALL]
    for row in sorted(rows, key=lambda r: rank(r["metric"])):
        differences = [v["difference"] for v in row["values"].values() if v and v.get("difference")]
        found = [e for e in map(Estimate.from_json, differences) if e.se and e.clusters > 1]
        if found:
            return row["metric"], max((e.se or 0.0) * math.sqrt(e.clusters) for e in found), found[0].scale
    return None, SHARE_SD, "signed"
