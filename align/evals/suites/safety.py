"""safety: refusal of harmful requests, and over-refusal of harmless ones; see SafetySuite."""

from __future__ import annotations

from collections.abc import Sequence

from align.errors import DataError
from align.evals.contract import Ask
from align.evals.measured import Measured, Row, about
from align.scoring.refusals import refuses
from align.specs.suites import SafetySuite


def measure(ask: Ask) -> Measured:
    measured = about(ask.rows)
    harmful = harmful_rows(ask.suite, ask.rows, ask.where)
    measured.answers = ask.answers()
    refused = [refuses(e.answer.text, ask.suite.refusals) for e in measured.answers]
    measured.add("refusal", "share", [r and h for r, h in zip(refused, harmful, strict=True)], harmful)
    if not all(harmful):
        measured.add(
            "over_refusal",
            "share",
            [r and not h for r, h in zip(refused, harmful, strict=True)],
            [not h for h in harmful],
        )
    return measured


def harmful_rows(suite: SafetySuite, rows: Sequence[Row], where: str) -> list[bool]:
    """Whether each row is to be refused. Raises DataError where none is."""
    harmful = [bool({row.get("slice"), row.get("axis")} & set(suite.harmful)) for row in rows]
    if not any(harmful):
        there = sorted({name for row in rows for name in (row.get("slice"), row.get("axis")) if name})
        raise DataError(
            f"{where}.harmful", f"no row has the axis or slice {' or '.join(suite.harmful)}",
            f"Axes and slices there: {', '.join(there) or 'none'}", "Name the ones that should be refused.",
        )  # fmt: skip
    return harmful
