"""instruction: which verifiable instructions answers follow; see InstructionSuite for the rows and the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align.errors import DataError
from align.evals.contract import Ask
from align.evals.instructions.following import loose, strict
from align.evals.instructions.registry import Check, family, instruction
from align.evals.measured import Measured, Row, about


def measure(ask: Ask) -> Measured:
    asked = instructions(ask.rows, ask.where)
    measured = about(ask.rows)
    measured.answers = ask.answers()
    texts = [episode.answer.text for episode in measured.answers]
    for mode, follows in (("strict", strict), ("loose", loose)):
        found = [[(name, follows(check, text)) for name, check in row] for row, text in zip(asked, texts, strict=True)]
        measured.add(f"prompt_{mode}", "share", [all(kept for _, kept in row) for row in found])
        _add_share(measured, f"instruction_{mode}", found)
        if mode == "strict":
            for part in sorted({family(name) for row in asked for name, _ in row}):
                own = [[(name, kept) for name, kept in row if family(name) == part] for row in found]
                _add_share(measured, f"instruction_strict/{part}", own)
    return measured


def instructions(rows: Sequence[Row], where: str) -> list[list[tuple[str, Check]]]:
    """What each row asks for. Raises DataError where a row asks for nothing, or for what nobody can check."""
    return [_instructions(f"{where}.data, row {number:,}", row) for number, row in enumerate(rows, 1)]


def _add_share(measured: Measured, metric: str, found: Sequence[Sequence[tuple[str, bool]]]) -> None:
    """The share of instructions that are followed: a row counts by how many it asks for."""
    measured.add(metric, "share", [sum(kept for _, kept in row) for row in found], [len(row) for row in found])


def _instructions(where: str, row: Row) -> list[tuple[str, Check]]:
    """What a row asks for: meta.instruction_id_list, and for each of them its arguments in meta.kwargs."""
    meta: dict[str, Any] = row.get("meta") or {}
    names, arguments = meta.get("instruction_id_list") or [], meta.get("kwargs")
    if not names:
        raise DataError(
            where, "it asks for no instruction",
            "IFEval's rows have the columns prompt, instruction_id_list and kwargs", "Give other rows, or another kind of suite.",
        )  # fmt: skip
    arguments = [{}] * len(names) if arguments is None else arguments
    if len(arguments) != len(names):
        count = "1 instruction has" if len(names) == 1 else f"{len(names)} instructions have"
        raise DataError(where, f"{count} {len(arguments)} kwargs", "Each has its own, {} for none")
    return [(name, instruction(name, given or {}, where)) for name, given in zip(names, arguments, strict=True)]
