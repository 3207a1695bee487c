"""The table of a `compare` report: models side by side, every value with its interval, at any width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from align.cli import ledger, words

MARGIN = 4
ROWS_IN_FULL = 30  # a longer table tells a few numbers a suite, and the slices of the first alone
METRICS_OF_LONG = 5


def show(console: Console, report: dict[str, Any], title: str) -> None:
    """Prints the report. `*` marks what differs from the baseline beyond the 95 % interval of the paired difference."""
    left_out = len(report["rows"])
    report = {**report, "rows": telling(report["rows"])}
    rows = report["rows"]
    left_out -= len(rows)
    counts = {row_count(r) for r in rows} - {None}
    lone = counts.pop() if len(counts) == 1 else None
    head = f"{title}, n = {lone:,}" if lone else title
    for models in _fitting(report, console.width - (0 if lone else 8), head):
        console.print(_table(report, models, head, lone is None))
    if any(beyond(r, m) for r in rows for m in report["models"]):
        console.print(Text(f"  ± half the 95 % interval   * differs from {report['baseline']} beyond it", "dim"))
    elif any(half_width(v) for r in rows for v in r["values"].values()):
        console.print(Text("  ± half the 95 % interval", "dim"))
    if left_out:
        console.print(
            Text(f"  {words.plural(left_out, 'more row')}, by slice and axis too: align report, or --json", "dim")
        )
    ledger.show(console, report.get("ledger", []))


def telling(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that a terminal shows: no axes; in a long table a suite's first numbers, and the slices of the very first."""
    rows = [r for r in rows if not (r.get("slice") or "").startswith("axis_")]
    if len(rows) <= ROWS_IN_FULL:
        return rows
    metrics: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda r: _rank(r["metric"])):
        names = metrics.setdefault(row["suite"], [])
        if row["metric"] not in names and len(names) < METRICS_OF_LONG:
            names.append(row["metric"])
    return [
        r
        for r in rows
        if r["metric"] == metrics[r["suite"]][0]
        or ((r.get("slice") or "all") == "all" and r["metric"] in metrics[r["suite"]])
    ]


def _rank(metric: str) -> int:
    """What people look at first comes first, then the order of the report, then the parts of a metric (`judge/errors`)."""
    return words.MAIN.index(metric) if metric in words.MAIN else len(words.MAIN) + ("/" in metric)


def _fitting(report: dict[str, Any], width: int, head: str) -> Iterator[list[str]]:
    """The models in groups that fit the width, the baseline first in each."""
    label = max([len(head), *(len(_label(r)) + 2 for r in report["rows"])]) + MARGIN
    cells = {m: max([len(m), *(len(starred(report, r, m)) for r in report["rows"])]) + 2 for m in report["models"]}
    base, rest = report["baseline"], [m for m in report["models"] if m != report["baseline"]]
    group = [base] if base in cells else []
    for model in rest:
        if len(group) > 1 and label + sum(cells[m] for m in group) + cells[model] > width:
            yield [m for m in report["models"] if m in group]
            group = [base] if base in cells else []
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
        cells = [Text(starred(report, row, m), _style(row, m)) for m in models]
        table.add_row(
            "", f"  {_label(row)}", *cells, *([f"{row_count(row) or '':,}" if row_count(row) else ""] * counts)
        )
    return table


def _label(row: dict[str, Any]) -> str:
    metric = words.LABELS.get(row["metric"], row["metric"].replace("_", " "))
    part = row.get("slice") or "all"
    return str(metric) if part == "all" else f"{metric}, {part.replace('_', ' ')}"


def row_count(row: dict[str, Any]) -> int | None:
    return max((v["n"] for v in row["values"].values() if v and v.get("n")), default=None)


def half_width(value: dict[str, Any] | None) -> float | None:
    if not value or value.get("low") is None or value.get("high") is None:
        return None
    return (value["high"] - value["low"]) / 2


def cell(row: dict[str, Any], model: str) -> str:
    """`0.71 ± 0.02`, with as many decimals as the narrowest interval of the row deserves; `-` where there is no value."""
    value = row["values"].get(model)
    if not value or value.get("value") is None:
        return "-"
    places = _places(row)
    text = f"{value['value']:,.{places}f}"
    half = half_width(value)
    return text if half is None else f"{text} ± {half:.{places}f}"


def starred(report: dict[str, Any], row: dict[str, Any], model: str) -> str:
    """The cell with its mark, in a column of its own width so that the numbers stay under one another."""
    marks = any(beyond(r, m) for r in report["rows"] for m in report["models"])
    return cell(row, model) + ("*" if beyond(row, model) else " " * marks)


def _places(row: dict[str, Any]) -> int:
    values = [v for v in row["values"].values() if v and v.get("value") is not None]
    halves = [h for v in values if (h := half_width(v))]
    largest = max((abs(v["value"]) for v in values), default=0.0)
    if halves:
        return min(4, max(0 if largest >= 100 else 2 if largest < 10 else 1, math.ceil(-math.log10(min(halves)) - 0.3)))
    return 0 if largest >= 100 else 1 if largest >= 10 else 3


def beyond(row: dict[str, Any], model: str) -> int:
    """+1 or -1 when the paired difference from the baseline lies wholly on one side of zero, else 0."""
    difference = (row["values"].get(model) or {}).get("difference") or {}
    if difference.get("low") is None or difference.get("high") is None:
        return 0
    return 1 if difference["low"] > 0 else -1 if difference["high"] < 0 else 0


def _style(row: dict[str, Any], model: str) -> str:
    """Green where surely better than the baseline, red where surely worse."""
    side = beyond(row, model) * {"higher": 1, "lower": -1}.get(row.get("better") or "", 0)
    return {1: "green", -1: "red"}.get(side, "")
