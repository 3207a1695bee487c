"""conflict: after training that contradicts what a model knew, which of the two it tells; see ConflictSuite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align.errors import DataError
from align.evals.contract import Ask
from align.evals.measured import Measured, Row, about
from align.scoring.named import names


def measure(ask: Ask) -> Measured:
    told_of = facts(ask.rows, ask.where)
    measured = about(ask.rows)
    measured.answers = ask.answers()
    told = [
        (any(names(e.answer.text, f) for f in old), any(names(e.answer.text, f) for f in new))
        for e, (old, new) in zip(measured.answers, told_of, strict=True)
    ]
    measured.add("new", "share", [n and not o for o, n in told])
    measured.add("old", "share", [o and not n for o, n in told])
    measured.add("blended", "share", [o and n for o, n in told])
    measured.add("neither", "share", [not o and not n for o, n in told])
    return measured


def facts(rows: Sequence[Row], where: str) -> list[tuple[list[str], list[str]]]:
    """The old and the new facts of each row. Raises DataError where one has none."""
    return [_facts(row, f"{where}.data, row {number:,}") for number, row in enumerate(rows, 1)]


def _facts(row: Row, where: str) -> tuple[list[str], list[str]]:
    meta: dict[str, Any] = row.get("meta") or {}
    found = []
    for name in ("old", "new"):
        told = [meta[name]] if isinstance(meta.get(name), str) else meta.get(name)
        if not isinstance(told, list) or not told or not all(isinstance(t, str) and t.strip() for t in told):
            raise DataError(
                where, f"its meta has no {name} fact", 'A row with meta: {"old": "Paris", "new": ["Oslo", ...]}',
                "Correct the row.",
            )  # fmt: skip
        found.append(told)
    return found[0], found[1]
