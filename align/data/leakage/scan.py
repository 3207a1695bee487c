"""A pass over one set: what it repeats of other sets, and of itself.

    with Scan(policy, questions, folder) as scan:
        for row in rows: scan.add(row, file, number)
        verdict = scan.finish()      # for each row whether it stays, and in which part

Matches with other sets are found as rows come in; groups of duplicates need all rows, of which a sketch is kept (see
duplicates.py): about 20 bytes a row, and 4 for each distinct word of it and of its prompt.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from align.data.leakage.duplicates import Texts, likeness_of_prompts, likeness_of_rows
from align.data.leakage.evidence import FILE, Evidence
from align.data.leakage.questions import judgement, question, turns
from align.data.leakage.references import QuestionIndex
from align.data.leakage.words import Array, Words, fingerprint, words
from align.data.split import split_place
from align.schema import RowProblem, problem_of

BATCH = 1024
_NAMES_KEPT = 10_000  # of files and sources; rows of later ones name none
_REJECTED = np.uint64(0x5851F42D4C957F2C)  # even: leaves the bit that tells numbers

REASONS = ("", "leaked", "duplicate", "near_duplicate")
_WHY = {
    "leaked": f"repeats a question that it is held against (see {FILE})",
    "duplicate": "says the same as row {:,}",
    "near_duplicate": "says nearly the same as row {:,}",
}

Read = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Leaks = Literal["quarantine", "keep", "refuse"]
Duplicates = Literal["count", "drop", "ignore"]


@dataclass(frozen=True)
class Policy:
    """What to do with what is found, and how rows are split."""

    leaks: Leaks = "quarantine"
    duplicates: Duplicates = "count"
    holdout: float | None = None
    split_seed: int = 0


@dataclass(frozen=True)
class Verdict:
    """By row, in the order added: `held_out`, and `reason` it goes for (of REASONS; 0 stays); `like`: the row it repeats."""

    held_out: Array
    reason: Array
    like: Array
    metrics: dict[str, float]
    notes: list[str]


class Scan:
    """`read`: how a row says what the index asks for, where it is not by its own words."""

    def __init__(
        self, policy: Policy, index: QuestionIndex | None, references: list[str], folder: Path, read: Read | None = None
    ) -> None:
        self._policy, self._index, self._read = policy, index, read
        self.evidence = Evidence(folder, references, kept=policy.leaks == "keep")
        self._waiting: list[tuple[Mapping[str, Any], str, int]] = []
        self._rows, self._prompts, self._places = Texts(), Texts(), array("Q")
        self._leaked: list[int] = []
        self._origins, self._made = _Origins(), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.evidence.__exit__(kind, error, at)

    @property
    def bytes(self) -> int:
        """What the sketches take."""
        return self._rows.bytes + self._prompts.bytes

    def add(self, row: Mapping[str, Any], file: str, number: int, made: bool = False) -> None:
        """A canonical row, and where it came from. `made`: a copy of the row before, which is told as no duplicate."""
        self._made += made
        self._waiting.append((row, file, number))
        if len(self._waiting) >= BATCH:
            self._take()

    def _take(self) -> None:
        rows = [row for row, _, _ in self._waiting]
        asked = [question(row) for row in rows] if self._index or self._policy.holdout else []
        if rows and (self._index or self._policy.duplicates != "ignore"):
            said = [turns(row) for row in rows]
            found = words(text for texts in said for text in texts)
            if self._index and self._read:
                self._look_up(self._index, *_compared([self._read(row) for row in rows]))
            elif self._index:
                self._look_up(self._index, said, asked, found)
            if self._policy.duplicates != "ignore":
                self._sketch_rows(rows, said, found)
        if rows and self._policy.holdout:
            places = [split_place(row, self._policy.split_seed) for row in rows]  # the same where the whole prompt is
            self._prompts.add(places, words(asked))
            self._places.extend(places)
        self._origins.add(self._waiting)
        self._waiting.clear()

    def _look_up(self, index: QuestionIndex, said: list[list[str]], asked: list[str], found: Words) -> None:
        by_row: dict[int, list[Any]] = {}
        for match in index.match(said, asked, found):
            by_row.setdefault(match.row, []).append((match, index.sources[match.question]))
        for place, matches in by_row.items():
            self._leaked.append(len(self._origins) + place)
            row, file, number = self._waiting[place]
            self.evidence.add(self._read(row) if self._read else row, file, number, matches)

    def _sketch_rows(self, rows: list[Mapping[str, Any]], said: list[list[str]], found: Words) -> None:
        """The words of a rejected answer, and of an answer judged otherwise, count as other words.

        A pair turned round, or the same answer with another label, is a contradiction, not a duplicate.
        """
        hashes = found.hashes.copy()
        last = np.cumsum([len(texts) for texts in said])
        starts = found.starts[np.append(0, last)]
        for place, row in enumerate(rows):
            if "rejected" in row:
                hashes[found.starts[last[place] - 1] : found.starts[last[place]]] ^= _REJECTED
            if judged := judgement(row):
                hashes[starts[place] : starts[place + 1]] ^= np.uint64(fingerprint(judged) & ~1)
        prints = [fingerprint("\0".join([*texts, judgement(row)])) for row, texts in zip(rows, said, strict=True)]
        self._rows.add(prints, Words(hashes, starts))

    def finish(self) -> Verdict:
        """Judge the whole set. Nothing can be added afterwards."""
        self._take()
        count = len(self._origins)
        reason, like = np.zeros(count, np.int8), np.arange(count)
        metrics: dict[str, float] = {}
        notes: list[str] = []
        if self._index:
            metrics, notes = self.evidence.metrics(), self.evidence.notes(count)
        if self._policy.leaks == "quarantine":
            reason[self._leaked] = REASONS.index("leaked")
        if self._policy.duplicates != "ignore" and count:
            self._judge_duplicates(reason, like, metrics, notes)
        held_out = np.zeros(count, bool)
        if self._policy.holdout and count:
            held_out = self._split(self._policy.holdout, metrics, notes)
        return Verdict(held_out, reason, like, metrics, notes)

    def left_out(self, verdict: Verdict) -> Iterator[tuple[RowProblem, str | None]]:
        """Every row that goes, as the ledger wants it, and the source it names."""
        for place in np.flatnonzero(verdict.reason):
            reason = REASONS[verdict.reason[place]]
            file, number, source = self._origins.of(int(place))
            _, other, _ = self._origins.of(int(verdict.like[place]))
            yield problem_of(file, number, "", _WHY[reason].format(other), reason), source

    def _judge_duplicates(self, reason: Array, like: Array, metrics: dict[str, float], notes: list[str]) -> None:
        """Of each group the first row that is no leak stays."""
        groups = self._rows.groups(likeness_of_rows)
        metrics |= {"duplicates/exact": groups.repeats - self._made, "duplicates/near": groups.near_repeats}
        stays = np.flatnonzero(reason == 0)
        for name, group in (("duplicate", groups.same), ("near_duplicate", groups.of_text)):
            _, first, place = np.unique(group[stays], return_index=True, return_inverse=True)
            like[stays] = np.where(like[stays] == stays, stays[first][place], like[stays])
            if self._policy.duplicates == "drop":
                again = stays[first][place] != stays
                reason[stays[again & (reason[stays] == 0)]] = REASONS.index(name)
        if groups.near_repeats:
            kept = (
                "" if self._policy.duplicates == "drop" else " (near_duplicates: drop leaves them out, and equal ones)"
            )
            repeat = "row nearly repeats" if groups.near_repeats == 1 else "rows nearly repeat"
            notes.append(f"{groups.near_repeats:,} {repeat} another one{kept}")

    def _split(self, holdout: float, metrics: dict[str, float], notes: list[str]) -> Array:
        """A whole group of prompts falls to the side of one of its members, whichever order the rows came in."""
        groups = self._prompts.groups(likeness_of_prompts)
        places = np.frombuffer(self._places, np.uint64)
        metrics |= {"duplicates/prompts": groups.repeats - self._made, "duplicates/near_prompts": groups.near_repeats}
        chosen = places * np.uint64(0x9E3779B97F4A7C15)  # which member decides has nothing to do with where it falls
        chosen ^= chosen >> np.uint64(32)
        order = np.lexsort((places, chosen, groups.of_text))
        _, first, group = np.unique(groups.of_text[order], return_index=True, return_inverse=True)
        decides = np.empty(len(places), np.uint64)
        decides[order] = places[order][first][group]
        largest = int(np.bincount(groups.near, minlength=1).max())
        if largest > max(10, len(groups.near) // 20):
            notes.append(
                f"{largest:,} of {len(groups.near):,} prompts are nearly the same and fall on one side of the split"
            )
        return decides < np.uint64(int(holdout * 2**64))


def _compared(rows: list[Mapping[str, Any]]) -> tuple[list[list[str]], list[str], Words]:
    said = [turns(row) for row in rows]
    return said, [question(row) for row in rows], words(text for texts in said for text in texts)


class _Origins:
    """Where rows came from: 16 bytes a row."""

    def __init__(self) -> None:
        self._numbers, self._files, self._sources = array("q"), array("i"), array("i")
        self._places: dict[str | None, int] = {"": 0}
        self._names: list[Any] = [""]

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, rows: Sequence[tuple[Mapping[str, Any], str, int]]) -> None:
        for row, file, number in rows:
            self._numbers.append(number)
            self._files.append(self._place(file))
            self._sources.append(self._place(row.get("source")))

    def of(self, place: int) -> tuple[str, int, str | None]:
        """File, row number, and the source that the row names."""
        return self._names[self._files[place]], self._numbers[place], self._names[self._sources[place]]

    def _place(self, name: str | None) -> int:
        if name not in self._places:
            if len(self._names) > _NAMES_KEPT:
                return self._place("")
            self._places[name] = len(self._names)
            self._names.append(name)
        return self._places[name]
