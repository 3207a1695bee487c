"""What a person wants to know of rows: lengths, sources, copies. One pass; of each row a few numbers are held, never its text.

State: 35 bytes a row (its number, hashes of it and of its prompt, lengths, source, whether it is a copy that we made), 4 more
an answer, 16 more where rows have ids. Nothing is summed up before `report`, since only then is it known which rows stay.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from align.data import token_rows
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
    "tokens": lambda row: Texts("", (token_rows.as_words(row),)),
    "messages": lambda row: Texts(_joined(row["messages"][:-1]), (row["messages"][-1]["content"],)),
    "prompt": lambda row: Texts(_joined(row["prompt"]), ()),
    "preference": lambda row: Texts(
        _joined(row["prompt"]), (row["chosen"][0]["content"], row["rejected"][0]["content"])
    ),
    "unpaired_preference": lambda row: Texts(_joined(row["prompt"]), (row["completion"][0]["content"],)),
    "ranking": lambda row: Texts(_joined(row["prompt"]), tuple(each[0]["content"] for each in row["completions"])),
    "scored_generation": lambda row: Texts(_joined(row["prompt"]), (row["completion"][0]["content"],)),
}


def spread(lengths: np.ndarray) -> dict[str, float]:
    """Exact mean and longest; percentiles from bins 6 % wide, each the lower border of its bin. Empty where there are none."""
    if not len(lengths):
        return {}
    shift = np.maximum(np.frexp(lengths)[1] - 5, 0)  # the bits beyond the first five
    lows, counts = np.unique(lengths >> shift << shift, return_counts=True)
    seen = np.cumsum(counts)
    points = {
        f"p{round(share * 100)}": int(lows[np.searchsorted(seen, share * len(lengths))]) for share in (0.05, 0.5, 0.95)
    }
    return {"mean": round(float(lengths.mean()), 1), **points, "longest": int(lengths.max())}


def copies(hashes: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    """How many hashes of `rows` came before, and the first few as [row, the row it repeats].

    Equal 64-bit hashes count as equal rows (2.7e-8 likely among a million).
    """
    if not len(hashes):
        return {"copies": 0, "examples": []}
    order = np.argsort(hashes, kind="stable")
    again = np.concatenate([[False], hashes[order][1:] == hashes[order][:-1]])
    first = order[np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))]
    later = np.flatnonzero(again)
    later = later[np.argsort(order[later], kind="stable")][:EXAMPLES_TOLD]
    return {"copies": int(again.sum()), "examples": [[int(rows[order[at]]), int(rows[first[at]])] for at in later]}


class RowStatistics:
    """Fed with every row that may be kept; `report` says what those were like that were."""

    def __init__(self, row_type: str) -> None:
        self._numbers, self._rows, self._asked = array("q"), array("q"), array("q")
        self._prompts, self._answers, self._answers_of = array("i"), array("i"), array("H")
        self._source_of, self._made = array("i"), array("b")
        self._ids, self._with_id = array("q"), array("q")
        self._sources: dict[str | None, int] = {}
        self._has_prompt = row_type not in ("text", "tokens")
        self._unit, self._measure = ("tokens", token_rows.count) if row_type == "tokens" else ("characters", len)
        columns = (self._prompts, self._asked, self._answers_of, self._rows, self._numbers, self._source_of, self._made)
        self._append = tuple(column.append for column in columns)  # looked up once, not once a row
        self._answer = self._answers.append

    def add(self, row: Row, texts: Texts, number: int, made: bool = False) -> int:
        """Count a row; returns its size in characters, of token ids in tokens. `made`: a copy that its weight asks for."""
        prompt, answers = texts
        source = row.get("source")
        place = self._sources.get(source)
        if place is None:
            place = self._of_source(source)
        if "id" in row:
            self._ids.append(hash(row["id"]))
            self._with_id.append(len(self._numbers))
        size = len(prompt)
        measure = self._measure
        add_size, add_prompt, add_answers, add_row, add_number, add_source, add_made = self._append
        add_size(size)
        add_prompt(hash(prompt))
        for answer in answers:
            length = measure(answer)
            self._answer(length)
            size += length
        add_answers(len(answers))
        add_row(hash(texts))
        add_number(number)
        add_source(place)
        add_made(made)
        return size

    def _of_source(self, source: str | None) -> int:
        name = source or NO_SOURCE
        if name not in self._sources and len(self._sources) >= SOURCES_TOLD:
            name = OTHER_SOURCES
        return self._sources.setdefault(name if source else None, len(self._sources))

    def report(self, kept: np.ndarray | None = None) -> dict[str, Any]:
        """Lengths (of texts in characters, of token ids in tokens); copies of rows, prompts and ids, those that
        were made aside; rows and lengths by source.

        kept: for each row added whether it counts; all do where it is None.
        """
        kept = np.ones(len(self._numbers), bool) if kept is None else kept
        numbers, prompts = (
            np.frombuffer(self._numbers, np.int64),
            np.frombuffer(self._prompts, np.int32).astype(np.int64),
        )
        answers = np.frombuffer(self._answers, np.int32).astype(np.int64)
        of_row = np.repeat(np.arange(len(kept)), np.frombuffer(self._answers_of, np.uint16))
        sizes = self._sizes()
        lengths = {"prompt": spread(prompts[kept]) if self._has_prompt else {}, "answer": spread(answers[kept[of_row]])}
        with_id = np.frombuffer(self._with_id, np.int64)
        found = kept & self.found()
        ids = np.frombuffer(self._ids, np.int64)[found[with_id]]
        repeated = {
            "rows": copies(np.frombuffer(self._rows, np.int64)[found], numbers[found]),
            "prompts": copies(np.frombuffer(self._asked, np.int64)[found & self._has_prompt], numbers[found]),
            "ids": copies(ids, numbers[with_id[found[with_id]]]),
        }
        sources = self._by_source(np.frombuffer(self._source_of, np.int32)[kept], sizes[kept])
        return {self._unit: {k: v for k, v in lengths.items() if v}, "copies": repeated, "sources": sources}

    def found(self) -> np.ndarray:
        """For each row added whether it stood in the source: copies that were made of one do not."""
        return np.frombuffer(self._made, np.int8) == 0

    def longest(self, kept: np.ndarray) -> tuple[int, int]:
        """Size of the longest of the rows kept, in the report's unit, and its number; (0, 0) where there are none."""
        sizes = np.where(kept, self._sizes(), -1)
        at = int(sizes.argmax()) if len(sizes) else 0
        return (int(sizes[at]), self._numbers[at]) if len(sizes) and sizes[at] >= 0 else (0, 0)

    def _sizes(self) -> np.ndarray:
        of_row = np.repeat(np.arange(len(self._numbers)), np.frombuffer(self._answers_of, np.uint16))
        answers = np.frombuffer(self._answers, np.int32)
        prompts = np.frombuffer(self._prompts, np.int32).astype(np.int64)
        return prompts + np.bincount(of_row, answers, len(prompts)).astype(np.int64)

    def _by_source(self, source_of: np.ndarray, sizes: np.ndarray) -> dict[str, dict[str, float]]:
        """The source with the most rows first; none of which no row is left."""
        rows, characters = np.bincount(source_of, minlength=1), np.bincount(source_of, sizes, 1)
        counts = {
            name or NO_SOURCE: place for name, place in self._sources.items() if place < len(rows) and rows[place]
        }
        return {
            name: {
                "rows": int(rows[at]), "share": round(int(rows[at]) / len(source_of), 4),
                self._unit: round(float(characters[at]) / int(rows[at]), 1),
            }
            for name, at in sorted(counts.items(), key=lambda item: (-rows[item[1]], item[0]))
        }  # fmt: skip
