"""The console that tables are drawn on: colours only on a terminal, and lines not broken where a machine may read them."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from align.errors import wrapped

PIPED_WIDTH = 120


def console(stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def hung(head: str, text: str) -> str:
    """Text behind a head; further lines stand below the text."""
    lines = wrapped(text, max(20, console().width - len(head))).splitlines() or [""]
    return "\n".join([head + lines[0], *(" " * len(head) + line for line in lines[1:])])


def table(*columns: str, right: tuple[str, ...] = (), wraps: tuple[str, ...] = ()) -> Table:
    """A table without lines: a dim head, two spaces in front and between. Only columns in `wraps` may break a line."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    made.add_column("")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name not in wraps, overflow="fold")
    return made


def fits(made: Table, console: Console) -> bool:
    """Whether no line of a table has to be broken."""
    return Measurement.get(console, console.options.update(width=10_000), made).maximum <= console.width
