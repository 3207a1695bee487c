"""safety: refusal of harmful requests, and over-refusal of harmless ones; see SafetySuite."""

from __future__ import annotations

from align.errors import DataError
from align.evals.contract import Ask
from align.evals.measured import Measured, about
from align.scoring.refusals import refuses


def measure(ask: Ask) -> Measured:
    measured = about(ask.rows)
    about_rows = zip(measured.slices, measured.axes, strict=True)
    harmful = [bool({part, axis} & set(ask.suite.harmful)) for part, axis in about_rows]
    if not any(harmful):
        there = sorted({name for name in (*measured.slices, *measured.axes) if name})
        raise DataError(
            f"{ask.where}.harmful", f"no row has the axis or slice {' or '.join(ask.suite.harmful)}",
            f"Axes and slices there: {', '.join(there) or 'none'}", "Name the ones that should be refused.",
        )  # fmt: skip
    measured.answers = ask.answers()
    refused = [refuses(e.answer.text, ask.suite.refusals) for e in measured.answers]
    measured.add("refusal", [r and h for r, h in zip(refused, harmful, strict=True)], harmful)
    if not all(harmful):
        measured.add(
            "over_refusal", [r and not h for r, h in zip(refused, harmful, strict=True)], [not h for h in harmful]
        )
    return measured
