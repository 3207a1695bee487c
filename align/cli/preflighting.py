"""`align check`: the child that tries a recipe, and its findings as a table."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from align import lineage, runner, words
from align import plan as plans
from align.artifact.inputs import SourceInput
from align.cli import terminal
from align.cli.inspecting import Waiting
from align.cli.inspection_page import MARKS
from align.cli.talking import printable
from align.errors import UserError
from align.job import job_of
from align.launch.service import Service
from align.plan import Plan
from align.recipe import Recipe

CHILD, READER = "align.preflight.service", "align.inspection.plain"
TARGET_ROWS = 500
LONGEST_TOLD = 3
VERBS_SHOWN, PLACES_SHOWN = 10, 5
VERDICTS = {"ok": "ready to run", "warning": "it will run; look at the warnings first", "problem": "do not run it yet"}


def check(recipe: Recipe, given: str, target: str | None, static: bool, folder: str | None, as_json: bool) -> int:
    """Tries, prints, and returns 2 where there is a problem."""
    store = lineage.store_at(folder, recipe)
    wanted = _requests(target) if target else []
    runner.resolve_pins(recipe, store)
    plan = plans.make(recipe, store)
    jobs = [job_of(plan, step, str(store.root)).to_json() for step in plan.steps.values()]
    request = {
        "do": "check", "recipe": recipe.name, "jobs": jobs,
        "to_run": [step.name for step in plan.to_run()], "store": str(store.root), "target": wanted, "static": static,
    }  # fmt: skip
    findings: list[dict[str, Any]] = []
    told: dict[str, Any] = {}
    with Service(CHILD) as service, Waiting() as waiting:
        for event in service.ask(request):
            if event["event"] == "progress":
                waiting.told(event["what"], 0, 0)
            elif event["event"] == "finding":
                findings.append(event["finding"])
            elif event["event"] in ("coverage", "checked"):
                told |= event
    told.pop("event")
    if as_json:
        print(json.dumps({"recipe": recipe.name, "findings": findings, **told}))
    else:
        _show(plan, findings, told, given)
    return 2 if told["state"] == "problem" else 0


def _requests(target: str) -> list[str]:
    """The requests of a target sample: a file of rows of any type that asks something."""
    path = Path(target).expanduser()
    if not path.exists():
        raise UserError(
            "--target", f"{target} does not exist", "expected a file of requests, e.g. jsonl with a column prompt"
        )
    source = SourceInput("folder" if path.is_dir() else "file", str(path.absolute()), None, None, "")
    request = {"do": "inspect", "source": vars(source), "name": target, "as": "prompt", "samples": TARGET_ROWS}
    with Service(READER) as service:
        report = next(event["report"] for event in service.ask(request) if event["event"] == "inspected")
    rows = [row["values"]["prompt"] for row in report["samples"]]
    return [next(turn["content"] for turn in turns if turn["role"] == "user") for turns in rows]


def _show(plan: Plan, findings: list[dict[str, Any]], told: dict[str, Any], given: str) -> None:
    console = terminal.console()
    table = terminal.table("", "about", "found", wraps=("found",))
    order = ("problem", "warning", "note", "ok")
    subjects = list(dict.fromkeys(finding["subject"] for finding in findings))
    for finding in sorted(findings, key=lambda f: (subjects.index(f["subject"]), order.index(f["state"]))):
        mark, style = MARKS[finding["state"]]
        table.add_row("", Text(mark, style), finding["subject"], printable(finding["found"]))
        if finding["remedy"]:
            table.add_row("", "", "", Text(finding["remedy"], "dim"))
    console.print(table)
    _coverage(console, told.get("table", {}))
    _costs(console, plan, told["cost"])
    count = {state: sum(f["state"] == state for f in findings) for state in order}
    said = (
        ", ".join(words.plural(count[state], state) for state in ("problem", "warning") if count[state])
        or "all is well"
    )
    style = MARKS[told["state"]][1]
    console.print(Text(f"\n  {said}: {VERDICTS[told['state']]} ({_times(told)})", style))
    if told["state"] != "problem":
        print(f"  run it: align run {given}")


def _coverage(console: Console, table: dict[str, dict[str, int]]) -> None:
    """The most frequent verbs that training asks by, against the domains or sources that do; where there are several."""
    total: Counter[str] = Counter()
    for rows in table.values():
        total.update(rows)
    places = [place for place, _ in total.most_common(PLACES_SHOWN)]
    if len(places) < 2:
        return
    drawn = terminal.table("asked to", *map(printable, places), right=tuple(map(printable, places)))
    for verb, rows in list(table.items())[:VERBS_SHOWN]:
        drawn.add_row("", verb, *(f"{rows[place]:,}" if place in rows else "-" for place in places))
    console.print()
    console.print(drawn)
    more = {"more verb": len(table) - VERBS_SHOWN, "more place": len(total) - PLACES_SHOWN}
    if said := " and ".join(words.plural(left, what) for what, left in more.items() if left > 0):
        console.print(Text(f"  {said}: --json", "dim"))


def _times(told: dict[str, Any]) -> str:
    """`checked in 1 min 13 s, of it 25 s trying ppo ...`: what took longest first."""
    longest = sorted(told["parts"].items(), key=lambda part: -part[1])[:LONGEST_TOLD]
    parts = ", ".join(f"{words.clock(seconds)} {what}" for what, seconds in longest if seconds >= 1)
    return f"checked in {words.clock(told['seconds'])}{f', of it {parts}' if parts else ''}"


def _costs(console: Console, plan: Plan, cost: dict[str, Any]) -> None:
    """What each step that would run takes, as measured on its trial."""
    if not cost["steps"]:
        return
    columns = ("time", "parameters", "trained", "memory", "on disk")
    table = terminal.table("step", *columns, right=columns)
    for name, numbers in cost["steps"].items():
        table.add_row(
            "", name, f"~ {words.clock(max(1, round(numbers['seconds'])))}",
            *(words.short(numbers[key]) if numbers.get(key) else "" for key in ("parameters", "trained")),
            *(words.size(numbers[key]) if numbers.get(key) else "" for key in ("memory", "bytes")),
        )  # fmt: skip
    console.print()
    console.print(table)
    about = words.clock(max(1, round(cost["seconds"])))
    steps = words.plural(len(plan.to_run()), "step")
    print(f"\n  about {about} for {steps}, up to {words.size(cost['bytes'])} on disk while it runs", file=sys.stdout)
