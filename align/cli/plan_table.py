"""The plan as a table: step, kind, action, why, and what is known of its outcome or its time."""

from __future__ import annotations

from rich.text import Text

from align import words
from align.cli import terminal
from align.plan import Plan, Step, spoken

STYLE = {"run": "bold yellow", "reuse": "dim"}


def show(plan: Plan, names: list[str]) -> None:
    """Prints the chosen steps of a plan."""
    steps = [plan.steps[n] for n in names]
    columns = ("step", "kind", "action", "why", "about")[: 5 if any(map(about, steps)) else 4]
    table = terminal.table(*columns, right=("about",), wraps=("why",))
    for step in steps:
        cells = (step.name, step.kind, Text(step.action, STYLE[step.action]), step.reason, about(step))
        table.add_row("", *cells[: len(columns)])
    console = terminal.console()
    console.out(f"  {headline(plan, steps)}\n")
    console.print(table)
    console.print()


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
