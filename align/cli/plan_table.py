"""The plan as a table: step, kind, action, why, and what is known of its outcome or its time."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from align import words
from align.cli import terminal
from align.plan import OTHER_CODE, Plan, Step, spoken

STYLE = {"run": "bold yellow", "reuse": "dim"}


def show(plan: Plan, names: list[str]) -> None:
    """Prints the chosen steps of a plan. Where that leaves every line whole, the kind of a step is left out."""
    steps = [plan.steps[n] for n in names]
    console = terminal.console()
    console.out(f"  {headline(plan, steps)}\n")
    whole, narrow = _table(steps), _table(steps, leave_out="kind")
    console.print(narrow if terminal.fits(narrow, console) and not terminal.fits(whole, console) else whole)
    console.print()
    if any(not step.key for step in steps):
        console.out("  a hub id is looked up when it first runs, and stays at the commit it has then\n")
    if old := sum(step.reason.endswith(OTHER_CODE) for step in steps):
        console.out(
            f"  align has changed since {words.plural(old, 'step')} ran; align run --strict-code runs them again\n"
        )


def _table(steps: list[Step], leave_out: str = "") -> Table:
    columns = [n for n in ("step", "kind", "action", "why", "about") if n != leave_out]
    if not any(map(about, steps)):
        columns.remove("about")
    table = terminal.table(*columns, right=("about",), wraps=("why",))
    for step in steps:
        action, why = Text(step.action, STYLE[step.action]), step.reason.removesuffix(OTHER_CODE)
        cells = {"step": step.name, "kind": step.kind, "action": action, "why": why, "about": about(step)}
        table.add_row("", *(cells[name] for name in columns))
    return table


def headline(plan: Plan, steps: list[Step]) -> str:
    """`smollm2 · 7 steps · 2 to run, about 8 min`."""
    to_run = [s for s in steps if s.action == "run"]
    told = [plan.recipe.name, words.plural(len(steps), "step"), f"{len(to_run)} to run" if to_run else "nothing to run"]
    known = [s.seconds for s in to_run if s.seconds is not None]
    if to_run and len(known) == len(to_run):
        told[-1] += f", about {spoken(sum(known))}"
    return " · ".join(told)


def about(step: Step) -> str:
    """One number of a finished step; the time that one took which is to run."""
    if step.action == "run":
        return f"~ {spoken(step.seconds)}" if step.seconds is not None else ""
    return next(iter(words.telling(step.kind, step.about, 1)), "")
