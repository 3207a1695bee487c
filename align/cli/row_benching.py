"""`align bench dedup`: what looking for duplicates and leaks costs, at two sizes."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text

from align.bench import rows as measured
from align.cli import terminal
from align.cli.benching import starting


def run(work: str, rows: int, as_js: bool) -> None:
    results = measured.bench(work, rows, starting)
    if as_js:
        print(json.dumps({"work": work, "results": results}))
    else:
        _show(results)


def _show(results: list[dict[str, Any]]) -> None:
    console = terminal.console()
    last = results[-1]
    size = last["characters_per_row"]
    console.print(
        Text(f"  chats of {size:,.0f} characters; one process; duplicates with the words of each row\n", "dim")
    )
    heads = ["rows", "duplicates", "processor", "leaks", "processor", "memory", "sketch of a row"]
    table = terminal.table("", *heads, right=tuple(heads))
    for told in results:
        table.add_row("", "", *_figures(told))
    console.print(table)
    planted, found = last["planted"], last["found"]
    console.print(
        f"\n  of {last['rows']:,} rows: {planted.get('same', 0):,} copies planted, {found['duplicates/exact']:,.0f} found; "
        f"{planted.get('nearly', 0):,} near copies, {found['duplicates/near']:,.0f} found; {planted.get('leaked', 0):,} "
        f"leaks of {last['questions']:,} questions, {found['leakage/rows']:,.0f} found"
    )


def _figures(told: dict[str, Any]) -> list[str]:
    cells = [f"{told['rows']:,}"]
    for work in ("duplicates", "leaks"):
        cells += [f"{told[work]['seconds']:.1f} s", f"{told[work]['cpu_seconds']:.1f} s"]
    return [*cells, f"{told['peak_gib']:.2f} GiB", f"{told['bytes_per_row']:.0f} B"]
