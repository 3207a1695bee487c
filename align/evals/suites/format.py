"""format: whether answers have their form, whatever they say; see FormatSuite for the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align.errors import DataError
from align.evals.contract import Ask
from align.evals.measured import Measured, Row, about
from align.evals.structure import STRUCTURES, matches, other_turn, spelled_special
from align.scoring.episode import Episode
from align.specs.suites import FormatSuite


def measure(ask: Ask) -> Measured:
    tokenizer = ask.subject.tokenizer
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special} | set(
        tokenizer.all_special_ids
    )
    names = {str(t) for t in tokenizer.all_special_tokens}
    wanted = declared(ask.suite, ask.rows, ask.where)
    measured = about(ask.rows)
    measured.answers = ask.answers()
    checks = [_checks(e, special, names, w) for e, w in zip(measured.answers, wanted, strict=True)]
    measured.add("format", "share", [all(found.values()) for found in checks])
    for metric in ("stops", "turn_taking", "clean", "nonempty"):
        measured.add(metric, "share", [found[metric] for found in checks])
    if any(wanted):
        measured.add(
            "structure", "share", [found.get("structure", False) for found in checks], [bool(w) for w in wanted]
        )
    return measured


def _checks(episode: Episode, special: set[int], names: set[str], wanted: dict[str, str]) -> dict[str, bool]:
    ids, text = episode.completion.token_ids, episode.answer.text
    inside = ids[:-1] if episode.completion.stopped else ids
    found = {
        "stops": episode.completion.stopped,
        "turn_taking": not other_turn(text),
        "clean": not special & set(inside) and not spelled_special(text, names),
        "nonempty": bool(text.strip()),
    }
    return found | ({"structure": matches(text, **wanted)} if wanted else {})


def declared(suite: FormatSuite, rows: Sequence[Row], where: str) -> list[dict[str, str]]:
    """The form of each row's answer. Raises DataError where a row says one that is not known."""
    return [_declared(suite, row, f"{where}.data, row {number:,}") for number, row in enumerate(rows, 1)]


def _declared(suite: FormatSuite, row: Row, where: str) -> dict[str, str]:
    """{"structure": ...} or {"pattern": ...}: the row's own, else the suite's, else nothing."""
    meta: dict[str, Any] = row.get("meta") or {}
    own = {name: meta[name] for name in ("structure", "pattern") if meta.get(name)}
    if own.get("structure") not in (None, *STRUCTURES):
        raise DataError(
            where, f"meta.structure is {own['structure']!r}",
            f"One of {', '.join(STRUCTURES)}", "Correct the row, or give a pattern instead.",
        )  # fmt: skip
    suites = {"structure": suite.structure, "pattern": suite.pattern}
    return own or {name: value for name, value in suites.items() if value}
