"""What of a row is compared: all that it says, the question it asks, and what makes it another row than its like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from align.data.token_rows import as_words

_TURNS = ("prompt", "messages", "chosen", "rejected", "completion")
_JUDGEMENTS = ("label", "ranks")  # two people may judge the same answer, and not alike

Row = Mapping[str, Any]


def turns(row: Row) -> list[str]:
    """Every text of a row, one a turn."""
    if "input_ids" in row:
        return [as_words(row)]
    if "text" in row:
        return [row["text"]]
    lists = [row[name] for name in _TURNS if name in row] + list(row.get("completions", ()))
    return [message["content"] for messages in lists for message in messages]


def question(row: Row) -> str:
    """What the user says before the first answer; of a text row the text. System turns are left out: many rows share them."""
    if "input_ids" in row:
        return as_words(row)
    if "text" in row:
        return row["text"]
    return "\n".join(_asked(row["prompt"] if "prompt" in row else row["messages"]))


def judgement(row: Row) -> str:
    """What was thought of the answers, as text; empty where a row says nothing of it but by the order of its answers."""
    return " ".join(str(row[name]) for name in _JUDGEMENTS if name in row)


def _asked(messages: Iterable[Row]) -> Iterable[str]:
    for message in messages:
        if message["role"] == "assistant":
            return
        if message["role"] != "system":
            yield message["content"]
