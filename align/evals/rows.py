"""What suites need of their rows, looked at before any model is asked: what lacks is told before training, not after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from align.evals.measured import Row
from align.evals.suites import conflict, format, instruction, safety, transfer
from align.scoring.named import SCORERS, Answer, agrees
from align.specs.asking import Suite, scorers_of

NEEDS: dict[str, Callable[[Any, Sequence[Row], str], object]] = {
    "instruction": lambda suite, rows, where: instruction.instructions(rows, where),
    "conflict": lambda suite, rows, where: conflict.facts(rows, where),
    "format": format.declared,
    "safety": safety.harmful_rows,
    "transfer": transfer.check_slices,
}


def check(suite: Suite, rows: Sequence[Row], row_type: str, where: str) -> None:
    """Raises DataError where the rows are not such as the suite asks about."""
    if suite.kind in NEEDS:
        NEEDS[suite.kind](suite, rows, where)
    for row in rows if "prompt" in rows[0] else ():
        nothing = Answer(row["prompt"], "", 0, False, row.get("reference"))
        for scorer in scorers_of(suite):
            SCORERS[scorer](nothing)
        if suite.kind == "retention" and row_type == "prompt":
            agrees(nothing, "exact")
