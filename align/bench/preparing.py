"""How fast rows are prepared, at two sizes: their cost must grow as they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from align.bench.measure import child
from align.bench.plans import Contender
from align.errors import AlignError

SMALLER = 5  # the smaller size is a fifth


@dataclass(frozen=True)
class Prepared:
    """`peak_mb`: of the whole process, its libraries (`before_mb`) included."""

    rows: int
    bytes: int
    seconds: float
    processor_seconds: float
    peak_mb: float
    before_mb: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def bench(rows: int) -> list[Prepared]:
    """The smaller size, then the one asked for, each in a process of its own."""
    return [_measured(size) for size in (max(1, rows // SMALLER), rows)]


def growth(smaller: Prepared, larger: Prepared) -> float:
    """Processor time a row at the larger size over that at the smaller one: 1 where the cost is linear."""
    return larger.processor_seconds / larger.rows / (smaller.processor_seconds / smaller.rows)


def _measured(rows: int) -> Prepared:
    told: Any = child(Contender("align", "preparing", "chats", {"rows": rows}))
    if isinstance(told, str):
        raise AlignError(f"preparing {rows:,} rows failed: {told}")
    return Prepared(**{name: told[name] for name in Prepared.__dataclass_fields__})
