"""`align doctor`: the findings as a table, and a verdict."""

from __future__ import annotations

import json
import sys

from rich.text import Text

from align import doctor as doctors
from align import lineage
from align.cli import terminal

MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "bold red")}


def doctor(folder: str | None, as_json: bool) -> int:
    """Prints what was found; returns 2 when something keeps align from working."""
    store = lineage.store_at(folder)
    if sys.stderr.isatty():
        print("checking ...", end="\r", file=sys.stderr, flush=True)
    findings = doctors.examine(store.root)
    state, sentence = doctors.verdict(findings)
    if as_json:
        whole = {"state": state, "verdict": sentence, "checks": [f.to_json() for f in findings]}
        print(json.dumps(whole))
        return 2 if state == "problem" else 0
    console = terminal.console()
    table = terminal.table("check", "", "found", wraps=("found",))
    for finding in findings:
        mark, style = MARKS[finding.state]
        table.add_row("", finding.check, Text(mark, style), finding.found)
        if finding.hint:
            table.add_row("", "", "", Text(finding.hint, "dim"))
    console.print(table)
    console.print(Text(f"\n  {sentence}", MARKS[state][1]))
    return 2 if state == "problem" else 0
