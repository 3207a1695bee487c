"""The table of a `compare` report: models side by side, every value with its interval, at any width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from align import cells, words
from align.cli import ledger

MARGIN = 4


def show(console: Console, report: dict[str, Any], title: str) -> None:
    """Prints the report. `*` marks what differs from the baseline beyond the 95 % interval of the paired difference."""
    left_out = len(report["rows"])
    report = {**report, "rows": cells.telling(report["rows"])}
    rows = report["rows"]
    left_out -= len(rows)
    counts = {cells.row_count(r) for r in rows} - {None}
    lone = counts.pop() if len(counts) == 1 else None
    head = f"{title}, n = {lone:,}" if lone else title
    for models in _fitting(report, console.width - (0 if lone else 8), head):
        console.print(_table(report, models, head, lone is None))
    if any(cells.beyond(r, m) for r in rows for m in report["models"]):
        console.print(Text(f"  ± half the 95 % interval   * differs from {report['baseline']} beyond it", "dim"))
    elif any(cells.half_width(v) for r in rows for v in r["values"].values()):
        console.print(Text("  ± half the 95 % interval", "dim"))
    if left_out:
        console.print(
            Text(f"  {words.plural(left_out, 'more row')}, by slice and axis too: align report, or --json", "dim")
        )
    ledger.show(console, report.get("ledger", []))


def _fitting(report: dict[str, Any], width: int, head: str) -> Iterator[list[str]]:
    """The models in groups that fit the width, the baseline first in each."""
    label = max([len(head), *(len(_label(r)) + 2 for r in report["rows"])]) + MARGIN
    widths = {m: max([len(m), *(len(starred(report, r, m)) for r in report["rows"])]) + 2 for m in report["models"]}
    base, rest = report["baseline"], [m for m in report["models"] if m != report["baseline"]]
    group = [base] if base in widths else []
    for model in rest:
        if len(group) > 1 and label + sum(widths[m] for m in group) + widths[model] > width:
            yield [m for m in report["models"] if m in group]
            group = [base] if base in widths else []
        group.append(model)
    yield [m for m in report["models"] if m in group]


def _table(report: dict[str, Any], models: list[str], head: str, counts: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column(head, no_wrap=True)
    for model in models:
        table.add_column(model, justify="right", no_wrap=True)
    if counts:
        table.add_column("n", justify="right", style="dim", no_wrap=True)
    suite = None
    for row in report["rows"]:
        if row["suite"] != suite:
            suite = row["suite"]
            table.add_row("", Text(suite, "bold"))
        told = [Text(starred(report, row, m), _style(row, m)) for m in models]
        table.add_row(
            "",
            f"  {_label(row)}",
            *told,
            *([f"{cells.row_count(row) or '':,}" if cells.row_count(row) else ""] * counts),
        )
    return table


def _label(row: dict[str, Any]) -> str:
    metric = words.LABELS.get(row["metric"], row["metric"].replace("_", " "))
    part = row.get("slice") or "all"
    return str(metric) if part == "all" else f"{metric}, {part.replace('_', ' ')}"


def starred(report: dict[str, Any], row: dict[str, Any], model: str) -> str:
    """The cell with its mark, in a column of its own width so that the numbers stay under one another."""
    marks = any(cells.beyond(r, m) for r in report["rows"] for m in report["models"])
    return cells.cell(row, model) + ("*" if cells.beyond(row, model) else " " * marks)


def _style(row: dict[str, Any], model: str) -> str:
    """Green where surely better than the baseline, red where surely worse."""
    side = cells.beyond(row, model) * {"higher": 1, "lower": -1}.get(row.get("better") or "", 0)
    return {1: "green", -1: "red"}.get(side, "")
