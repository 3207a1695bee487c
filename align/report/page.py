"""The report as one HTML file: no network, no other file, and a policy under which only what was written here runs."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import align
from align import words
from align.artifact.store import Store
from align.gates import Judgement, written
from align.plan import Plan, spoken
from align.report import accounting, curves, graph, lineage_facts, tables, verdicts
from align.report.collect import Seen

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("page.js", "diff.js", "reader.js", "vote.js")
TRAINED = ("pretrain", "sft", "reward", "dpo", "ppo")


@dataclass(frozen=True)
class OverSeeds:
    """What runs with these seeds say together: a report as `compare` makes it, for each evaluate stage."""

    seeds: tuple[int, ...] = ()
    reports: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def write(
    plan: Plan,
    seen: dict[str, Seen],
    store: Store,
    commands: words.Commands,
    generations: str = "",
    judgement: Judgement | None = None,
    over_seeds: OverSeeds | None = None,
) -> str:
    """The whole page, with `generations` as they were packed."""
    over_seeds = over_seeds or OverSeeds()
    judgement = judgement or Judgement()
    style, script = _asset("report.css"), "\n".join(map(_asset, SCRIPTS))
    told: dict[str, Any] = {
        "plan": plan,
        "name": plan.recipe.name,
        "seen": seen,
        "states": {name: state(s) for name, s in seen.items()},
        "summary": [*summary(seen), *filter(None, [verdicts.counted(judgement)])],
        "gates": verdicts.gates(judgement),
        "levels": written.levels(judgement),
        "ledger": verdicts.ledger(seen),
        "tables": _tables(seen),
        "seeds": over_seeds.seeds,
        "seeded": [(stage, tables.comparison_tables(report)) for stage, report in over_seeds.reports.items()],
        "rewards": {n: tables.reward(s.report) for n, s in seen.items() if s.step.kind == "reward" and s.report},
        "drawing": graph.draw(plan),
        "generations": generations,
        "charts": {n: c for n, s in seen.items() if s.step.kind in TRAINED and (c := curves.charts(s.points))},
        "entries": accounting.entries(seen),
        "losses": accounting.losses(seen),
        "artifacts": [lineage_facts.about(s, store) for s in seen.values() if s.sealed],
        "versions": lineage_facts.versions(seen),
        "commands": commands,
        "recipe_text": Path(plan.recipe.path).read_text(encoding="utf-8"),
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "version": align.__version__,
        "style": Markup(style),
        "script": Markup(script),
        "policy": _policy(style, script),
        "G": graph,
        "C": curves,
        "T": tables,
    }
    return _templates().get_template("page.html").render(told)


def state(seen: Seen) -> str:
    """sealed, interrupted, or to run."""
    if seen.sealed:
        return "sealed"
    return "interrupted" if "interrupted" in seen.step.reason else "to run"


def summary(seen: dict[str, Seen]) -> list[str]:
    """What a reader wants to know first: how much is done, when, and how long it took."""
    done = [s.manifest for s in seen.values() if s.manifest]
    left = len(seen) - len(done)
    told = [f"{words.plural(len(seen), 'step')}, {f'{left} to run' if left else 'all sealed'}"]
    if done:
        told.append(f"{spoken(sum(m.seconds for m in done))} of work")
        told.append(f"last begun {max(m.started for m in done).replace('T', ' ').removesuffix('Z')[:16]} UTC")
    return told


def _tables(seen: dict[str, Seen]) -> list[tuple[str, list[tables.Table]]]:
    """Comparisons; and measured models of which there is no comparison yet."""
    joined = {e.step for s in seen.values() if s.step.kind == "compare" and s.report for e in s.step.edges.values()}
    made = [(n, tables.comparison_tables(s.report)) for n, s in seen.items() if s.step.kind == "compare" and s.report]
    alone = [(n, s.report) for n, s in seen.items() if s.step.kind == "measure" and s.report and n not in joined]
    return made + [(n, tables.comparison_tables(tables.single(r["model"], r))) for n, r in alone]


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere, and no other script or style than these two is obeyed."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8").strip("\n")


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"clock": words.clock, "number": words.number, "size": words.size, "short_list": words.listed}
    made.globals["telling"] = words.telling
    return made
