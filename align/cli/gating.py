"""Gates in the terminal, and `align gate`: judge, tell, and write what a machine reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from align import gates, lineage, sweep, words
from align import plan as plans
from align.cli import opening, terminal
from align.errors import GateError, UserError
from align.gates import Judgement, seeds, written
from align.sweep import Variant

if TYPE_CHECKING:
    from align.recipe import Recipe

STYLE = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


def show(console: Console, judgement: Judgement) -> None:
    """Each gate with its mark, the figure with its interval, and what stands behind it: in a line where all of them fit."""
    rows = [
        (Text(f"  {written.MARKS[v.verdict]}", STYLE[v.verdict]), v.gate, written.figure(v), written.remark(v))
        for v in judgement.verdicts
    ]
    rows += [(Text("  ·", "dim"), w.gate, "", f"waits for {words.listed(w.steps)}") for w in judgement.waiting]
    if not rows:
        return
    table = terminal.table("gates", "found", "")
    for mark, gate, found, behind in rows:
        table.add_row(mark, gate, found, Text(behind, "dim"))
    console.print(table if terminal.fits(table, console) else _stacked(rows))
    if told := written.levels(judgement):
        console.print(Text(f"  each end of an interval holds with confidence {told}", "dim"))


def _stacked(rows: list[tuple[Text, str, str, str]]) -> Table:
    """Every gate on lines of its own, and what was found below it."""
    table = terminal.table("gates", wraps=("gates",))
    width = max(len(found) for _, _, found, _ in rows)
    for mark, gate, found, behind in rows:
        table.add_row(mark, gate)
        table.add_row("", Text.assemble(f"{found:<{width}}  " if found else "", (behind, "dim")))
    return table


def finish(recipe: Recipe, judgement: Judgement, waiting_is_wrong: bool = False, run: str = "") -> None:
    """Raises GateError when a gate blocks or could not be judged; all of them have been told before."""
    if judgement.problems:
        places = [f"line {p.line:<4}" if p.line else "override" for p in judgement.problems]
        told = "".join(f"\n  {at} {p.key}   {p.message}" for at, p in zip(places, judgement.problems, strict=True))
        count = words.plural(len(judgement.problems), "gate")
        raise GateError(f"{recipe.path}: {count} could not be judged:{told}", 2)
    if judgement.blocking:
        count = words.plural(len(recipe.gates), "gate")
        raise GateError(f"{recipe.path}: {len(judgement.blocking)} of {count} did not pass.")
    if judgement.waiting and waiting_is_wrong:
        count = words.plural(len(judgement.waiting), "gate")
        steps = words.listed(dict.fromkeys(s for w in judgement.waiting for s in w.steps))
        remedy = f"Run it: {run or f'align run {recipe.path}'}"
        raise GateError(f"{recipe.path}: {count} cannot be judged before {steps}. {remedy}.", 2)


@dataclass(frozen=True)
class Files:
    """What is written beside what is told."""

    junit: str | None = None
    markdown: str | None = None
    baseline: str | None = None


def gate(given: str, overrides: list[str], folder: str | None, files: Files, as_json: bool) -> None:
    """Judges a recipe's gates from what is sealed; nothing is run. A seed with several values judges them together."""
    axes = sweep.axes_of(overrides)
    recipe = opening.recipe(given, [o for o in overrides if not any(o.startswith(f"{a.key}=") for a in axes)], as_json)
    if not recipe.gates and not files.baseline:
        example = "add lines such as: gates: [dpo.preference.accuracy > 0.55]"
        raise UserError(recipe.path, "the recipe has no gates", "", example)
    if axes:
        judgement = over_seeds(recipe, sweep.seeded(given, overrides), folder, files)
        _finish(recipe, judgement, files, as_json, words.Commands(given, tuple(overrides), folder).line("sweep"))
        return
    plan = plans.make(recipe, lineage.store_at(folder, recipe))
    if files.baseline:
        gates.save_baseline(plan.steps, Path(files.baseline))
    command = words.Commands(given, tuple(overrides), folder).line("run")
    _finish(recipe, gates.judge(recipe, plan.steps), files, as_json, command)


def over_seeds(recipe: Recipe, variants: list[Variant], folder: str | None, files: Files) -> Judgement:
    if files.baseline:
        raise UserError("--save-baseline", "a baseline is of one run, and several seeds are given", "", "give one seed")
    store = lineage.store_at(folder, recipe)
    return seeds.judge(recipe, {v.told: plans.make(v.recipe, store).steps for v in variants})


def _finish(recipe: Recipe, judgement: Judgement, files: Files, as_json: bool, run: str = "") -> None:
    """Writes and tells what was judged."""
    baseline = files.baseline
    for target, text in ((files.junit, written.junit), (files.markdown, written.markdown)):
        if target:
            _write(Path(target), text(recipe.name, judgement))
    if as_json:
        wrong = bool(judgement.blocking or judgement.waiting or judgement.problems)
        told = {"recipe": recipe.name, "passed": not wrong, "gates": judgement.to_json()}
        print(json.dumps(told | ({"baseline": baseline} if baseline else {})))
    else:
        show(terminal.console(), judgement)
        if baseline:
            print(
                f"  Wrote {baseline}. Hold later runs against it: baseline: {baseline} in the recipe, then gates such as"
            )
            print("    dpo.preference.accuracy - baseline.dpo.preference.accuracy > -0.01")
    finish(recipe, judgement, waiting_is_wrong=True, run=run)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(str(path), f"it cannot be written ({error.strerror})") from None
