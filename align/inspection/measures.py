"""What is counted while rows stream by: lengths, columns, repetitions. Each holds little, whatever the number of rows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from align.data.split import TRAIN, normalised
from align.data.token_rows import as_words

PERCENTILES = (5, 25, 50, 75, 95, 99)
SAMPLE = 4000  # rows kept for percentiles and for what a model would see
EXCERPT = 60
ANSWER_KEYS = ("output", "answer", "response", "completion", "target")

T = TypeVar("T")
Row = Mapping[str, Any]


class Reservoir(Generic[T]):
    """A uniform sample of a stream (Vitter 1985, algorithm R); the first item always stays."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.items: list[T] = []
        self.seen = 0
        self._size, self._random = size, random.Random(seed)

    def add(self, item: T) -> None:
        self.seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (at := self._random.randrange(1, self.seen)) < self._size:
            self.items[at] = item


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """`p5` to `p99`, `mean` and `max`; the value at rank ceil(share * n)."""
    ordered = sorted(values)
    if not ordered:
        return {}
    told = {f"p{p}": ordered[max(0, -(-p * len(ordered) // 100) - 1)] for p in PERCENTILES}
    return {**told, "max": ordered[-1], "mean": sum(ordered) / len(ordered)}


def texts_of(row: Row) -> dict[str, str]:
    """The parts of a standard row that are told apart in length: question and answers, or the whole text."""
    if "input_ids" in row:
        return {"token ids": as_words(row)}
    if "text" in row:
        return {"text": row["text"]}
    parts = {name: _joined(row[name]) for name in ("prompt", "chosen", "rejected", "completion") if name in row}
    if "completions" in row:
        parts["completions"] = "\n".join(_joined(turns) for turns in row["completions"])
    if "messages" in row:
        turns = row["messages"]
        parts["asked"] = _joined([turn for turn in turns if turn["role"] != "assistant"])
        parts["answered"] = _joined([turn for turn in turns if turn["role"] == "assistant"])
    return parts


def asked_in(row: Row) -> str:
    """All that stands before a row's last answer, without regard to case and white space."""
    if "input_ids" in row:
        return as_words(row)
    if "text" in row:
        return normalised(row["text"])
    turns = row["prompt"] if "prompt" in row else row["messages"][:-1]
    return "\0".join(normalised(str(turn["content"])) for turn in turns)


def _joined(turns: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(str(turn["content"]) for turn in turns)


@dataclass
class Column:
    """One column as found: how many rows have it, the kinds of its values, and one of them."""

    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    example: str = ""
    answers: str = ""  # the key under which objects in it hold what looks like answers

    def add(self, value: Any) -> None:
        if value is None:
            self.kinds["null"] += 1
            return
        self.rows += 1
        self.kinds[_KINDS.get(type(value), type(value).__name__)] += 1
        if not self.example:
            self.example = _excerpt(value)
            inside = value[0] if isinstance(value, list) and value else value
            keys = inside if isinstance(inside, dict) else ()
            self.answers = next((key for key in ANSWER_KEYS if key in keys), "")


_KINDS = {str: "text", bool: "true/false", int: "number", float: "number", list: "list", dict: "object"}


def _excerpt(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"


class Repetitions:
    """Rows, prompts and ids met before: one hash of 8 bytes each, about 100 bytes a row as Python holds them.

    Same means the same without regard to case and white space.
    """

    def __init__(self) -> None:
        self.rows = self.prompts = self.ids = 0
        self.examples: dict[str, list[int]] = {}
        self._rows: set[int] = set()
        self._ids: set[int] = set()
        self.by_place: dict[tuple[str, str], set[int]] = {}  # part, slice -> hashes of its prompts

    def add(self, number: int, row: Row, part: str = TRAIN) -> None:
        parts = texts_of(row)
        key = asked_in(row)
        whole = hash((key, *(normalised(text) for text in parts.values())))
        if whole in self._rows:
            self.rows += 1
            self._note("repeated", number)
        elif any(hash(key) in prompts for prompts in self.by_place.values()):
            self.prompts += 1
        self._rows.add(whole)
        if "id" in row:
            if hash(row["id"]) in self._ids:
                self.ids += 1
                self._note("ids", number)
            self._ids.add(hash(row["id"]))
        self.by_place.setdefault((part, str(row.get("slice") or "")), set()).add(hash(key))

    def _note(self, name: str, number: int) -> None:
        rows = self.examples.setdefault(name, [])
        if len(rows) < 5:
            rows.append(number)
