"""`align run`: choose a display, run, and end with what a person wants to know and where to look next."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from align import asked, credentials, lineage, runner, words
from align import plan as plans
from align.artifact.store import Store
from align.cli import gating
from align.cli.lines import Lines
from align.cli.live import LiveTable
from align.errors import Stopped
from align.plan import Plan
from align.recipe import Recipe
from align.runner import Choice, Outcome

Display = LiveTable | Lines


def run(recipe: Recipe, folder: str | None, choice: Choice, dry_run: bool, as_json: bool) -> None:
    store = lineage.store_at(folder, recipe)
    if dry_run:
        _dry_run(recipe, store, choice, as_json)
        return
    began = time.monotonic()
    display = open_display(as_json)
    try:
        with display:
            outcome = runner.run(recipe, store, choice, display)
    except BaseException as error:
        _told_failure(display, store, error)
        raise
    chosen = choice.names(recipe)
    if as_json:
        print(json.dumps(_json(outcome, display, time.monotonic() - began)))
    else:
        own = recipe.store if "store" in recipe.model_fields_set else None
        _end(outcome, chosen, display, words.Commands(recipe.path, recipe.overrides, folder or own))
    gating.finish(recipe, outcome.gates)


def open_display(as_json: bool) -> Display:
    from align.cli import terminal

    console = terminal.console()
    if not as_json and console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console)
    return Lines(sys.stderr if as_json else sys.stdout)


def _dry_run(recipe: Recipe, store: Store, choice: Choice, as_json: bool) -> None:
    names = choice.names(recipe)
    plan = plans.make(recipe, store, frozenset(names if choice.force else ()), choice.strict_code)
    asked.check(plan)
    if as_json:
        whole = plan.to_json()
        print(json.dumps({**whole, "steps": [s for s in whole["steps"] if s["name"] in names]}))
        return
    from align.cli import plan_table

    plan_table.show(plan, names)
    print("  Nothing was run (--dry-run).")


def _json(outcome: Outcome, display: Display, seconds: float) -> dict[str, Any]:
    whole = outcome.plan.to_json()
    steps = [
        {**told, "metrics": outcome.plan.steps[told["name"]].about, "ran": told["name"] in outcome.ran}
        for told in whole["steps"]
    ]
    return {**whole, "steps": steps, "ran": outcome.ran, "seconds": round(seconds, 3), "gates": outcome.gates.to_json()}


def _told_failure(display: Display, store: Store, error: BaseException) -> None:
    """Where the log of the failed step is; the error itself is told where every error is."""
    failed = next((p.step for p in display.steps.values() if p.state == "failed" and not p.refused), None)
    log = store.partial(failed.kind, failed.key) / "log.txt" if failed else None
    if log and log.is_file() and log.stat().st_size and not isinstance(error, (Stopped, KeyboardInterrupt)):
        print(f"log: {_near(str(log))}", file=sys.stderr)


def _near(path: str) -> str:
    """A path as seen from here, when that is shorter."""
    return min(path, os.path.relpath(path), key=len)


def _end(outcome: Outcome, chosen: list[str], display: Display, commands: words.Commands) -> None:
    plan, name = outcome.plan, outcome.plan.recipe.name
    if not outcome.ran:
        steps = "its only step is" if len(chosen) == 1 else f"all {len(chosen)} steps are"
        print(f"  {name}: nothing to do, {steps} sealed.")
    for step in (plan.steps[n] for n in chosen if plan.steps[n].kind == "compare" and plan.steps[n].artifact):
        _compare(step.artifact, step.name)
    _gates(outcome)
    _notes(display)
    if outcome.ran and (why := credentials.wandb_off(plan.recipe.tracking)):
        print(f"\n  {why}. Curves: metrics.jsonl in each artifact.")
    print(f"\n  more: {commands.of('show', name)}{_talk(plan, chosen, commands)}")
    print(f"  report: {commands.line('report')}")
    waiting = [n for n in plan.steps if plan.steps[n].action == "run"]
    if waiting:
        print(f"  still to run: {words.listed(waiting) if len(waiting) < 4 else words.plural(len(waiting), 'step')}")


def _compare(artifact: Path | None, title: str) -> None:
    from align.cli import comparison, terminal

    if artifact and (report := lineage.report(artifact)):
        print()
        comparison.show(terminal.console(), report, title)


def _gates(outcome: Outcome) -> None:
    from align.cli import terminal

    if outcome.plan.recipe.gates:
        print()
        gating.show(terminal.console(), outcome.gates)


def _notes(display: Display) -> None:
    """Notes under the table; plain lines told them when they came."""
    if isinstance(display, LiveTable):
        told: dict[str, list[str]] = {}
        for progress in display.steps.values():
            for note in progress.notes:
                told.setdefault(note, []).append(progress.step.name)
        if told:
            from align.cli import terminal

            print("\n  notes")
        for note, steps in told.items():
            print(terminal.hung("    ", f"{words.listed(steps)}: {note}"))


def _talk(plan: Plan, chosen: list[str], commands: words.Commands) -> str:
    models = [n for n in chosen if plan.steps[n].artifact and plan.steps[n].spec.writes == "model"]
    return f"   talk to it: {commands.of('chat', f'{plan.recipe.name}:{models[-1]}')}" if models else ""
