"""A pass over one set: what it repeats of other sets, and of itself.

    with Scan(policy, questions, folder) as scan:
        for row in rows: scan.add(row, file, number)
        verdict = scan.finish()      # for each row whether it stays, and in which part

Matches with other sets are found as rows come in; groups of duplicates need all rows, of which a sketch is kept (see
duplicates.py): about 20 bytes a row, and 4 for each distinct word of it and of its prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from align.data.leakage.duplicates import Texts, likeness_of_prompts, likeness_of_rows
from align.data.leakage.evidence import Evidence
from align.data.leakage.questions import judgement, question, turns
from align.data.leakage.references import QuestionIndex
from align.data.leakage.words import Array, Words, fingerprint, words
from align.data.split import split_place

BATCH = 1024
_REJECTED = np.uint64(0x5851F42D4C957F2C)  # even: leaves the bit that tells numbers

REASONS = ("", "leaked", "duplicate", "near_duplicate")

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
    def __init__(self, policy: Policy, index: QuestionIndex | None, references: list[str], folder: Path) -> None:
        self._policy, self._index = policy, index
        self.evidence = Evidence(folder, references, kept=policy.leaks == "keep")
        self._waiting: list[tuple[Mapping[str, Any], str, int]] = []
        self._rows, self._prompts, self._places = Texts(), Texts(), []
        self._leaked: list[int] = []
        self._count = 0

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.evidence.__exit__(kind, error, at)

    @property
    def bytes(self) -> int:
        """What the sketches take."""
        return self._rows.bytes + self._prompts.bytes

    def add(self, row: Mapping[str, Any], file: str, number: int) -> None:
        self._waiting.append((row, file, number))
        if len(self._waiting) >= BATCH:
            self._take()

    def _take(self) -> None:
        rows = [row for row, _, _ in self._waiting]
        if not rows:
            return
        said, asked = [turns(row) for row in rows], [question(row) for row in rows]
        found = words(text for texts in said for text in texts)
        if self._index:
            self._look_up(said, asked, found)
        if self._policy.duplicates != "ignore":
            self._sketch_rows(rows, said, found)
        if self._policy.holdout:
            self._prompts.add([fingerprint(text) for text in asked], words(asked))
            self._places += [split_place(row, self._policy.split_seed) for row in rows]
        self._count += len(rows)
        self._waiting.clear()

    def _look_up(self, said: list[list[str]], asked: list[str], found: Words) -> None:
        assert self._index is not None
        by_row: dict[int, list[Any]] = {}
        for match in self._index.match(said, asked, found):
            by_row.setdefault(match.row, []).append((match, self._index.sources[match.question]))
        for place, matches in by_row.items():
            self._leaked.append(self._count + place)
            self.evidence.add(*self._waiting[place], matches)

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
        reason, like = np.zeros(self._count, np.int8), np.arange(self._count)
        metrics: dict[str, float] = {}
        notes: list[str] = []
        if self._index:
            metrics, notes = self.evidence.metrics(), self.evidence.notes(self._count)
        if self._policy.leaks == "quarantine":
            reason[self._leaked] = REASONS.index("leaked")
        if self._policy.duplicates != "ignore" and self._count:
            self._judge_duplicates(reason, like, metrics, notes)
        held_out = np.zeros(self._count, bool)
        if self._policy.holdout and self._count:
            held_out = self._split(self._policy.holdout, metrics, notes)
        return Verdict(held_out, reason, like, metrics, notes)

    def _judge_duplicates(self, reason: Array, like: Array, metrics: dict[str, float], notes: list[str]) -> None:
        """Of each group the first row that is no leak stays."""
        groups = self._rows.groups(likeness_of_rows)
        metrics |= {"duplicates/exact": groups.repeats, "duplicates/near": groups.near_repeats}
        stays = np.flatnonzero(reason == 0)
        for name, group in (("duplicate", groups.same), ("near_duplicate", groups.of_text)):
            _, first, place = np.unique(group[stays], return_index=True, return_inverse=True)
            like[stays] = np.where(like[stays] == stays, stays[first][place], like[stays])
            if self._policy.duplicates == "drop":
                again = stays[first][place] != stays
                reason[stays[again & (reason[stays] == 0)]] = REASONS.index(name)
        if groups.repeats or groups.near_repeats:
            kept = " (near_duplicates: drop removes them)" if self._policy.duplicates == "count" else ""
            told = f"{groups.repeats:,} rows repeat an earlier one, {groups.near_repeats:,} more nearly do{kept}"
            notes.append(told)

    def _split(self, holdout: float, metrics: dict[str, float], notes: list[str]) -> Array:
        """A whole group of prompts falls to the side of one of its members, whichever order the rows came in."""
        groups = self._prompts.groups(likeness_of_prompts)
        places = np.array(self._places, np.uint64)
        metrics |= {"duplicates/prompts": groups.repeats, "duplicates/near_prompts": groups.near_repeats}
        chosen = places * np.uint64(0x9E3779B97F4A7C15)  # which member decides has nothing to do with where it falls
        chosen ^= chosen >> np.uint64(32)
        order = np.lexsort((places, chosen, groups.of_text))
        _, first, group = np.unique(groups.of_text[order], return_index=True, return_inverse=True)
        decides = np.empty(self._count, np.uint64)
        decides[order] = places[order][first][group]
        largest = int(np.bincount(groups.near, minlength=1).max())
        if largest > max(10, len(groups.near) // 20):
            notes.append(
                f"{largest:,} of {len(groups.near):,} prompts are nearly the same and fall on one side of the split"
            )
        return decides < np.uint64(int(holdout * 2**64))
