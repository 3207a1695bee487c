"""Which row type a source is of when nobody says, and which of its columns stand for ours under other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from align.data.formats import Format, detect, first_of_most
from align.data.forms import Raw
from align.data.known_formats import FORMS
from align.errors import DataError

# The types a row may be read as, the one that uses most of it first: a preference row has a prompt too.
ORDER = ("preference", "ranking", "scored_generation", "unpaired_preference", "messages", "prompt", "text", "tokens")
# Names that people give to our columns; the first that is there is proposed, never taken in a recipe without being written.
ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("question", "query", "instruction", "input", "problem", "request", "user"),
    "completion": ("answer", "response", "output", "solution", "completion", "target", "reply", "assistant"),
    "chosen": ("preferred", "accepted", "winner", "better", "positive"),
    "rejected": ("dispreferred", "refused", "loser", "worse", "negative", "rejected_response"),
    "text": ("content", "body", "document", "story", "passage", "sentence"),
    "messages": ("conversation", "dialogue", "dialog", "chat", "turns"),
}


@dataclass(frozen=True)
class Guess:
    """The format taken, its row type, and the `columns:` that a recipe has to say for it (empty: none)."""

    format: Format
    columns: Mapping[str, str]


def recognise(
    rows: Sequence[Raw], row_type: str | None, columns: Mapping[str, str], where: str, name: str | None = None
) -> Guess:
    """The format of the first rows. Without a row type all are tried; then again with columns under likely names.

    Raises DataError, of detect() where a row type was given, where none fits.
    """
    types = [row_type] if row_type else [name for name in ORDER if name in FORMS]
    if row_type and name:
        return Guess(detect(rows, row_type, columns, where, name), {})
    fitting = [found for wanted in types if (found := _fitting(rows, wanted, columns))]
    if fitting:
        # Nearly any row fits a prompt: where some are broken or formats are mixed, what more than half have comes first.
        counts = [sum(map(found.fits, rows)) for found in fitting]
        return Guess(fitting[first_of_most(counts, len(rows), counts.index(max(counts)))], {})
    if not columns:
        for wanted in types:
            if (likely := likely_columns(rows, wanted)) and (found := _fitting(rows, wanted, likely)):
                return Guess(found, likely)
    if row_type:
        detect(rows, row_type, columns, where)
    there = ", ".join(dict.fromkeys(name for row in rows for name in row)) or "none"
    raise DataError(
        where, f"its columns ({there}) are not those of any row type", f"Rows of {', '.join(types)}",
        "Say which column is which: --as messages --columns prompt=THEIRS --columns completion=THEIRS",
    )  # fmt: skip


def likely_columns(rows: Sequence[Raw], row_type: str) -> dict[str, str]:
    """Our columns that a row type needs and that stand there under another likely name; empty where some have none."""
    there = set().union(*(row.keys() for row in rows)) if rows else set()
    for form in FORMS[row_type]:
        names = {need: _alias(need, there) for need in form.needs}
        taken = [name for name in names.values() if name]
        if all(names.values()) and len(set(taken)) == len(taken):
            return {ours: theirs for ours, theirs in names.items() if theirs and ours != theirs}
    return {}


def _alias(need: str, there: set[str]) -> str | None:
    if need in there:
        return need
    folded = {name.casefold(): name for name in there}
    return next((folded[name] for name in (need, *ALIASES.get(need, ())) if name in folded), None)


def _fitting(rows: Sequence[Raw], row_type: str, columns: Mapping[str, str]) -> Format | None:
    try:
        return detect(rows, row_type, columns)
    except DataError:
        return None
