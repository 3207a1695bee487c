"""The forgetting ledger of a `compare` report: what each step of the chain lost, and all steps together."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from align import words


def show(console: Console, entries: list[dict[str, Any]]) -> None:
    """Prints the ledger; nothing where no suite has one. A drop beyond its interval is marked, for worse or better."""
    if not entries:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("", "forgotten (positive: worse)", "in this step", "since the start"):
        table.add_column(heading, justify="left" if heading == "" or "(" in heading else "right", no_wrap=True)
    suite = None
    for entry in entries:
        if entry["suite"] != suite:
            suite = entry["suite"]
            table.add_row(
                "", Text(f"{suite}, {words.LABELS.get(entry['metric'], entry['metric'].replace('_', ' '))}", "bold")
            )
        chained = entry["root"] != entry["parent"]
        total = _cell(entry["total"]) if chained else Text("")
        table.add_row("", f"  {entry['model']} from {entry['parent']}", _cell(entry["step"]), total)
    console.print()
    console.print(table)


def _cell(estimate: dict[str, Any]) -> Text:
    low, high = estimate["low"], estimate["high"]
    half = None if low is None or high is None else (high - low) / 2
    sure = low is not None and high is not None and (low > 0 or high < 0)
    text = f"{estimate['value']:+.3f}" + ("" if half is None else f" ± {half:.3f}") + ("*" if sure else " ")
    return Text(text, ("red" if estimate["value"] > 0 else "green") if sure else "")
