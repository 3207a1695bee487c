"""What was found in a source, as plain values (--json), and as findings in words."""

from __future__ import annotations

from typing import Any

from align import words
from align.data import card, pair_health
from align.data.pair_health import PairHealth
from align.findings import Finding
from align.inspection.measures import Repetitions
from align.inspection.survey import Survey

REPEATED = 0.01  # of rows
TRAINED_AGAIN = "Each counts as one more epoch of itself."
ASKED_AGAIN = "Each weighs its question once more in every mean; intervals take the rows of one prompt as one cluster."


def of_survey(found: Survey) -> dict[str, Any]:
    """The survey's numbers. Rows of a reason are told by their numbers, with the text of each among the problems."""
    form = found.format
    used = _used(found)
    return {
        "as": form.row_type,
        "detected": form.told,
        "columns_to_say": dict(found.guess.columns),
        "whole": found.whole,
        "broken": found.broken,
        "rows": {"read": found.read, "kept": found.kept, "dropped": found.dropped, "expected": found.expected},
        "columns": [
            {
                "name": name, "rows": column.rows, "kinds": dict(column.kinds.most_common()), "example": column.example,
                "used": name in used,
            }
            for name, column in found.columns.items()
        ],
        "problems": [_problem(found, reason, count) for reason, count in _by_count(found)],
        "lengths": found.lengths(),
        "words": found.words,
        "sampled": len(found.sample.items),
    }  # fmt: skip


def _problem(found: Survey, reason: str, count: int) -> dict[str, Any]:
    kept = found.problems[reason]
    examples = [{"where": p.where, "row": p.row, "message": p.message, "text": text} for p, text in kept]
    return {"reason": reason, "rows": count, "examples": examples}


def _by_count(found: Survey) -> list[tuple[str, int]]:
    return sorted(found.counts.items(), key=lambda item: -item[1])


def _used(found: Survey) -> set[str]:
    """Columns that enter a row: what the converter did not report as unused."""
    return {name for name in found.columns if not found.format.unused.get(name)}


def findings(found: Survey, subject: str, drop_budget: float = 0.001, only_asked: bool = False) -> list[Finding]:
    """What a person should know of the rows before training on them, or before asking them (`only_asked`)."""
    told: list[Finding] = []
    if found.broken:
        told.append(Finding("problem", subject, found.broken))
    if found.guess.columns:
        names = ", ".join(f"{ours}: {theirs}" for ours, theirs in found.guess.columns.items())
        said = "no column has our name for it; read by likely names"
        told.append(Finding("note", subject, said, f"In a recipe say columns: {{{names}}}"))
    for name, column in found.columns.items():
        if column.answers and name not in _used(found):
            said = f"the column {name} holds answers ({column.answers}) that are not read: only the requests are"
            told.append(
                Finding("note", subject, said, "To train on them, write each as a row of prompt and completion.")
            )
    if found.dropped:
        over = found.dropped > drop_budget * found.read
        share = _percent(found.dropped / found.read)
        said = f"{found.dropped:,} of {found.read:,} rows ({share}) are not {found.format.row_type} rows"
        remedy = "Correct them, or leave them out knowingly: drop_budget." if over else ""
        told.append(Finding("problem" if over else "warning", subject, f"{said}: {_reasons(found)}", remedy))
    if found.left_out:
        gone = ", ".join(f"{reason} {rows:,}" for reason, rows in found.left_out.most_common())
        told.append(
            Finding("note", subject, f"{words.plural(found.left_out.total(), 'row')} left out as asked: {gone}")
        )
    if found.format.ties:
        said = f"{words.plural(found.format.ties, 'pair')} left out: both answers were judged alike"
        told.append(Finding("note", subject, said))
    told += repetitions(found.repetitions, found.kept, subject, only_asked) + health(found.health, subject)
    if found.format.row_type != "tokens":
        told += [Finding("warning", subject, said) for said in card.huge(*found.longest, "characters")]
    return told + _imbalance(found, subject)


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.99 else f"{share * 100:.0f} %"


def _reasons(found: Survey) -> str:
    told = []
    for reason, count in _by_count(found):
        problem, _ = found.problems[reason][0]
        told.append(f"{count:,} such as row {problem.row:,} ({problem.message.split('. ')[0].removesuffix('.')})")
    return "; ".join(told)


def repetitions(found: Repetitions, rows: int, subject: str, only_asked: bool = False) -> list[Finding]:
    """Rows, prompts and ids met twice. `only_asked`: nothing is trained on them."""
    told = []
    if found.rows:
        state = "warning" if found.rows > REPEATED * rows else "note"
        told.append(
            Finding(
                state, subject, f"{found.rows:,} of {rows:,} rows repeat an earlier one ({_rows(found, 'repeated')})",
                ASKED_AGAIN if only_asked else TRAINED_AGAIN,
            )
        )  # fmt: skip
    if found.prompts:
        told.append(Finding("note", subject, f"{found.prompts:,} of {rows:,} rows ask what an earlier row asked too"))
    if found.ids:
        said = f"{found.ids:,} of {rows:,} rows have an id that came before ({_rows(found, 'ids')})"
        told.append(Finding("note", subject, said))
    return told


def health(found: PairHealth | None, subject: str) -> list[Finding]:
    """What is wrong with pairs that are each well-formed; how often the longer answer is chosen, whatever it is."""
    told = found.report() if found else None
    if not told or not told["pairs"]:
        return []
    wrong = [Finding("warning", subject, said, remedy) for said, remedy in pair_health.concerns(told)]
    longer = told["length"]["chosen_longer"]
    if not longer["n"] or pair_health.length_concern(told):
        return wrong
    return [*wrong, Finding("note", subject, f"the chosen answer is the longer one in {longer['value']:.0%} of pairs")]


def _imbalance(found: Survey, subject: str) -> list[Finding]:
    shares = {name: {"share": rows / found.kept} for name, rows in found.sources.most_common()}
    return [Finding("warning", subject, said) for said in pair_health.imbalance(shares)]


def _rows(found: Repetitions, name: str) -> str:
    numbers = ", ".join(f"{n:,}" for n in found.examples[name])
    many = len(found.examples[name])
    return f"row{'s' if many > 1 else ''} {numbers}{' ...' if many == 5 else ''}"
