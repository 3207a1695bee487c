"""What a person wants to know of rows: lengths, sources, copies. One pass; of each row a few numbers are held, never its text.

State: 24 bytes a row (its number, hashes of it and of its prompt), 16 more where rows have ids; the rest does not grow.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from align.data.ledger import NO_SOURCE, OTHER_SOURCES, SOURCES_TOLD

EXAMPLES_TOLD = 5
LENGTHS_WAITING = 8192

Row = Mapping[str, Any]


class Texts(NamedTuple):
    """A row's texts: what is asked, and each answer to it."""

    prompt: str
    answers: tuple[str, ...]


def texts_of(row_type: str) -> Callable[[Row], Texts]:
    """The texts of a row of this type; turns are joined. A conversation's last turn is its answer, the rest its prompt."""
    return _TEXTS_OF[row_type]


def _joined(messages: Sequence[Row]) -> str:
    return "\0".join([message["content"] for message in messages])


_TEXTS_OF: dict[str, Callable[[Row], Texts]] = {
    "text": lambda row: Texts("", (row["text"],)),
    "messages": lambda row: Texts(_joined(row["messages"][:-1]), (row["messages"][-1]["content"],)),
    "prompt": lambda row: Texts(_joined(row["prompt"]), ()),
    "preference": lambda row: Texts(
        _joined(row["prompt"]), (row["chosen"][0]["content"], row["rejected"][0]["content"])
    ),
    "unpaired_preference": lambda row: Texts(_joined(row["prompt"]), (row["completion"][0]["content"],)),
    "ranking": lambda row: Texts(_joined(row["prompt"]), tuple(each[0]["content"] for each in row["completions"])),
    "scored_generation": lambda row: Texts(_joined(row["prompt"]), (row["completion"][0]["content"],)),
}


class Lengths:
    """How lengths are spread: exact count, mean and longest; percentiles from bins 6 % wide."""

    def __init__(self) -> None:
        self.count = self.total = self.longest = 0
        self._bins: Counter[int] = Counter()
        self._waiting = array("q")
        self.add = self._waiting.append  # a length; once a row, so nothing stands between

    def settle(self) -> None:
        """Put the lengths that wait into bins."""
        lengths = np.array(self._waiting, np.int64)
        del self._waiting[:]
        if len(lengths):
            self.count += len(lengths)
            self.total += int(lengths.sum())
            self.longest = max(self.longest, int(lengths.max()))
            shift = np.maximum(np.frexp(lengths)[1] - 5, 0)  # the bits beyond the first five
            for low, count in zip(*np.unique(lengths >> shift << shift, return_counts=True), strict=True):
                self._bins[int(low)] += int(count)

    def told(self) -> dict[str, float]:
        self.settle()
        if not self.count:
            return {}
        points = {f"p{round(share * 100)}": self._percentile(share) for share in (0.05, 0.5, 0.95)}
        return {"mean": round(self.total / self.count, 1), **points, "longest": self.longest}

    def _percentile(self, share: float) -> int:
        """The lower border of the bin that holds it."""
        seen = 0
        for low, count in sorted(self._bins.items()):
            seen += count
            if seen >= share * self.count:
                return low
        return self.longest


def copies(keys: array[int], rows: array[int]) -> dict[str, Any]:
    """How many keys came before, and the first few as [row, the row it repeats].

    Equal 64-bit hashes count as equal keys (2.7e-8 likely among a million).
    """
    hashes = np.frombuffer(keys, np.int64)
    if not len(hashes):
        return {"copies": 0, "examples": []}
    order = np.argsort(hashes, kind="stable")
    again = np.concatenate([[False], hashes[order][1:] == hashes[order][:-1]])
    first = order[np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))]
    later = np.flatnonzero(again)
    later = later[np.argsort(order[later], kind="stable")][:EXAMPLES_TOLD]
    return {"copies": int(again.sum()), "examples": [[rows[order[at]], rows[first[at]]] for at in later]}


class RowStatistics:
    """Fed with every row that is kept; `report` says what they were like."""

    def __init__(self, row_type: str) -> None:
        self._prompts, self._answers = Lengths(), Lengths()
        self._numbers, self._rows, self._asked = array("q"), array("q"), array("q")
        self._ids, self._id_numbers = array("q"), array("q")
        self._sources: dict[str | None, list[int]] = {}  # rows, characters
        self._has_prompt = row_type != "text"

    def add(self, row: Row, texts: Texts, number: int) -> int:
        """Count a row; returns its size in characters."""
        prompt, answers = texts
        size = len(prompt)
        if self._has_prompt:
            self._prompts.add(size)
            self._asked.append(hash(prompt))
        for answer in answers:
            length = len(answer)
            self._answers.add(length)
            size += length
        self._rows.append(hash(texts))
        self._numbers.append(number)
        if "id" in row:
            self._ids.append(hash(row["id"]))
            self._id_numbers.append(number)
        told = self._sources.get(row.get("source")) or self._of_source(row.get("source"))
        told[0] += 1
        told[1] += size
        if not len(self._numbers) % LENGTHS_WAITING:
            self._prompts.settle()
            self._answers.settle()
        return size

    def _of_source(self, source: str | None) -> list[int]:
        name = source or NO_SOURCE
        if name not in self._sources and len(self._sources) >= SOURCES_TOLD:
            name = OTHER_SOURCES
        return self._sources.setdefault(name if source else None, [0, 0])

    def report(self) -> dict[str, Any]:
        """Lengths in characters; copies of whole rows, of prompts and of ids; rows and mean length by source."""
        total = sum(rows for rows, _ in self._sources.values())
        counts = {name or NO_SOURCE: told for name, told in self._sources.items()}
        sources = {
            name: {"rows": rows, "share": round(rows / total, 4), "characters": round(characters / rows, 1)}
            for name, (rows, characters) in sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
        }
        lengths = {"prompt": self._prompts.told(), "answer": self._answers.told()}
        repeated = {
            "rows": copies(self._rows, self._numbers),
            "prompts": copies(self._asked, self._numbers),
            "ids": copies(self._ids, self._id_numbers),
        }
        return {"characters": {k: v for k, v in lengths.items() if v}, "copies": repeated, "sources": sources}
