"""What looking through rows costs: at a quarter of the number and at all of it, so that growth is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from align.bench.measure import child
from align.bench.plans import Contender
from align.errors import UserError

WORKS = ("dedup",)
QUESTIONS = 5000


def bench(work: str, rows: int, starting: Callable[[str], None]) -> list[dict[str, Any]]:
    """What the workload told, the smaller size first. Raises UserError where it could not be carried out."""
    found = []
    for count in (max(1, rows // 4), rows):
        starting(f"{count:,} rows")
        told = child(Contender("align", work, work, {"rows": count, "questions": QUESTIONS}))
        if isinstance(told, str):
            raise UserError("bench", f"{work} of {count:,} rows: {told}", "", "Try fewer --rows.")
        found.append(told)
    return found
