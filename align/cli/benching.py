"""`align bench`: ours and a peer side by side, and where the time went."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from align.bench import preparing
from align.bench.measure import Result, as_json, bench, ratio, require_figures
from align.bench.plans import Options
from align.cli import terminal


def run(
    work: str,
    size: str,
    peer_path: str | None,
    compiled: bool,
    batch: int | None,
    peer_dtype: str,
    alone: bool,
    as_js: bool,
) -> None:
    chosen: Any = {"work": work, "size": size, "compile": compiled, "batch": batch}
    options = Options(**chosen, peer_path=Path(peer_path) if peer_path else None, peer_dtype=peer_dtype, alone=alone)
    results = bench(options, starting)
    if as_js:
        print(json.dumps(as_json(options, results)))
    else:
        _show(options, results)
    require_figures(results)


def prepare(rows: int, as_js: bool) -> None:
    """Rows a second from a file to parquet, at two sizes."""
    starting(f"{rows:,} rows")
    smaller, larger = preparing.bench(rows)
    growth = preparing.growth(smaller, larger)
    if as_js:
        print(json.dumps({"work": "prepare", "results": [asdict(smaller), asdict(larger)], "growth": growth}))
        return
    heads = ["chats", "size", "time", "processor", "rows/s", "memory at most"]
    table = terminal.table(*heads, right=tuple(heads))
    for each in (smaller, larger):
        table.add_row(
            "", f"{each.rows:,}", f"{each.bytes / 1e6:,.0f} MB", f"{each.seconds:.1f} s", f"{each.processor_seconds:.1f} s",
            f"{each.rows_per_second:,.0f}", f"{each.peak_mb:,.0f} MB",
        )  # fmt: skip
    console = terminal.console()
    console.print(table)
    console.print(f"\n  Processor time a row at the larger size: {growth:.2f} x that at the smaller one (1 is linear).")


def starting(name: str) -> None:
    if sys.stderr.isatty():
        print(f"\033[Kmeasuring {name} ...", end="\r", file=sys.stderr, flush=True)


def _show(options: Options, results: list[Result]) -> None:
    console = terminal.console()
    console.print(Text(f"  {options.work}, {options.size}, {results[0].device or 'no device'}\n", "dim"))
    items = "episodes/s" if options.work == "ppo" else "pairs/s"
    heads = ["", "tokens/s", items, "MFU", "of floor", "memory", "step", "first", "align is"]
    table = terminal.table(*heads, right=tuple(heads[1:]))
    for result in results:
        times = None if result is results[0] else ratio(results[0], result)
        table.add_row("", result.name, *_figures(result), f"{times:.2f} x" if times else "")
    console.print(table)
    for result in results:
        if result.error:
            console.print(Text(f"  {result.name}: {result.error}", "yellow"))
    _show_phases(console, results)
    if options.work == "ppo" and not options.peer_path and not options.alone:
        console.print("\n  No peer: TRL has had no PPO since 1.12. Give its folder: --peer-path DIR")


def _figures(result: Result) -> list[str]:
    if not result.step_seconds:
        return [""] * 7
    return [
        f"{result.tokens_per_second:,.0f}",
        f"{result.items_per_second:.2f}" if result.items_per_second else "",
        f"{result.mfu:.1%}" if result.mfu is not None else "",
        f"{result.floor_share:.0%}" if result.floor_share is not None else "",
        f"{result.peak_gb:.1f} GB" if result.peak_gb else "",
        f"{result.step_seconds:.3g} s",
        f"{result.first_seconds:.3g} s",
    ]


def _show_phases(console: Any, results: list[Result]) -> None:
    names = list(dict.fromkeys(name for r in results for name in r.phases or {}))
    if not names:
        return
    table = terminal.table("seconds a step", *names, right=tuple(names))
    for result in results:
        if result.phases:
            cells = [f"{result.phases[n]:.3f}" if n in result.phases else "" for n in names]
            table.add_row("", result.name, *cells)
    console.print()
    console.print(table)
