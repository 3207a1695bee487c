"""What a person wants to know of rows: lengths, sources, copies. One pass; of each row a few numbers are held, never its text.

State: 16 bytes a row for copies of rows, 16 for copies of prompts, 16 for ids where rows have them; the rest does not grow.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from align.data.ledger import NO_SOURCE, OTHER_SOURCES, SOURCES_TOLD

EXAMPLES_TOLD = 5

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
        self._bins: dict[int, int] = {}

    def add(self, length: int) -> None:
        self.count += 1
        self.total += length
        if length > self.longest:
            self.longest = length
        shift = max(length.bit_length() - 5, 0)
        low = length >> shift << shift
        self._bins[low] = self._bins.get(low, 0) + 1

    def percentile(self, share: float) -> int:
        """The lower border of the bin that holds it."""
        seen = 0
        for low, count in sorted(self._bins.items()):
            seen += count
            if seen >= share * self.count:
                return low
        return self.longest

    def told(self) -> dict[str, float]:
        if not self.count:
            return {}
        points = {f"p{round(share * 100)}": self.percentile(share) for share in (0.05, 0.5, 0.95)}
        return {"mean": round(self.total / self.count, 1), **points, "longest": self.longest}


class Copies:
    """Which keys came before: 16 bytes a key. Equal 64-bit hashes count as equal keys (2.7e-8 likely among a million)."""

    def __init__(self) -> None:
        self._keys, self._rows = array("q"), array("q")

    def add(self, key: int, row: int) -> None:
        self._keys.append(key)
        self._rows.append(row)

    def told(self) -> dict[str, Any]:
        """How many keys are copies of an earlier one, and the first few as [row, the row it repeats]."""
        keys, rows = np.frombuffer(self._keys, np.int64), np.frombuffer(self._rows, np.int64)
        if not len(keys):
            return {"copies": 0, "examples": []}
        order = np.argsort(keys, kind="stable")
        same = keys[order][1:] == keys[order][:-1]
        starts = np.concatenate([[True], ~same])
        first = order[np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
        later = np.flatnonzero(~starts)
        later = later[np.argsort(order[later], kind="stable")][:EXAMPLES_TOLD]
        examples = [[int(rows[order[at]]), int(rows[first[at]])] for at in later]
        return {"copies": int(same.sum()), "examples": examples}


class RowStatistics:
    """Fed with every row that is kept; `report` says what they were like."""

    def __init__(self, row_type: str) -> None:
        self._prompts, self._answers = Lengths(), Lengths()
        self._rows, self._asked, self._ids = Copies(), Copies(), Copies()
        self._sources: dict[str, list[int]] = {}  # rows, characters
        self._has_prompt = row_type != "text"

    def add(self, row: Row, texts: Texts, number: int) -> int:
        """Count a row; returns its size in characters."""
        asked = hash(texts.prompt)
        size = len(texts.prompt)
        for answer in texts.answers:
            self._answers.add(len(answer))
            size += len(answer)
        if self._has_prompt:
            self._prompts.add(len(texts.prompt))
            self._asked.add(asked, number)
        self._rows.add(hash((asked, *texts.answers)), number)
        if "id" in row:
            self._ids.add(hash(row["id"]), number)
        told = self._of_source(row.get("source"))
        told[0] += 1
        told[1] += size
        return size

    def _of_source(self, source: str | None) -> list[int]:
        name = source or NO_SOURCE
        if name not in self._sources and len(self._sources) >= SOURCES_TOLD:
            name = OTHER_SOURCES
        return self._sources.setdefault(name, [0, 0])

    def report(self) -> dict[str, Any]:
        """Lengths in characters; copies of whole rows, of prompts and of ids; rows and mean length by source."""
        total = sum(rows for rows, _ in self._sources.values())
        sources = {
            name: {"rows": rows, "share": round(rows / total, 4), "characters": round(characters / rows, 1)}
            for name, (rows, characters) in sorted(self._sources.items(), key=lambda item: (-item[1][0], item[0]))
        }
        lengths = {"prompt": self._prompts.told(), "answer": self._answers.told()}
        copies = {"rows": self._rows.told(), "prompts": self._asked.told(), "ids": self._ids.told()}
        return {"characters": {k: v for k, v in lengths.items() if v}, "copies": copies, "sources": sources}
