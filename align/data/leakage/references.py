"""Questions of evaluation sets, indexed so that every row of a training set can be held against all of them.

Candidates come from rare words and rare pairs of words that a row shares with a question (few rows have any); each candidate
is then judged by itself:

    exact   a turn of the row, or its question, is the question, but for case, white space and Unicode form
    ngram   runs of 13 words (8 or 5 in a shorter question) that the row has too cover most of the question
    near    a passage of the row about as long as the question has most of its words, the rare ones among them, in any order

`ngram` and `near` ask for the same numbers: the same template with other numbers is another question. So is one that lacks
what sets the question apart from its like. A question under five words is only found `exact`, one under eight never `near`.
The 13 words are those of Brown et al. 2020 (GPT-3, appendix C).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from align.data.leakage.words import Array, Words, distinct, fingerprint, grams, is_number, words

Kind = Literal["exact", "ngram", "near"]
KINDS: tuple[Kind, ...] = ("exact", "ngram", "near")

RUNS = (13, 8, 5)  # words in a row; the longest that a question has room for
COVERED = 0.8  # share of a question's words that lie in shared runs
SAME_NUMBERS = 0.9  # share of a question's numbers that the passage has: all of them, up to nine
SHORTEST_NEAR = 8  # words that are no numbers
WINDOW = 1.5  # the passage may be this much longer than the question
OF_ITS_OWN = 0.78  # what sets a question apart from its like must be kept nearly as well as what it shares with them
LONGEST = 4096  # words of a question that are looked at
FEWEST = 50  # with fewer questions than this, how rare a word is among them says little
WORTH_JUDGING = 0.12  # share of a question's rare words and pairs, by weight, that a row must share
JUDGED_PER_ROW = 12
_TABLE = 1 << 22
_WEIGHT_BITS = 16
_BLOCK = 1024  # questions held against the others at a time

_FUNCTION_WORDS = (
    "a an and are as at be but by can could did do does for from had has have he her his how i if in into is it its me my no "
    "not of on or our she should so that the their them then there they this to us was we were what when where which who "
    "why will with would you your please write give tell make"
)


class Match(NamedTuple):
    """Row `row` of a batch says what question `question` asks; `similarity` is the share of the question it has."""

    row: int
    question: int
    kind: Kind
    similarity: float


class Source(NamedTuple):
    """Where a question stands: row `row` (from 1) of what the recipe calls `reference`."""

    reference: str
    row: int
    text: str


@dataclass
class Questions:
    """Questions added one by one, then `sealed` into an index."""

    sources: list[Source] = field(default_factory=list)
    _seen: set[tuple[str, int]] = field(default_factory=set)
    by_text: dict[int, list[int]] = field(default_factory=dict)

    def add(self, reference: str, row: int, text: str) -> None:
        """A question asked by several rows of one reference stands for the first of them."""
        mark = fingerprint(text)
        if text.strip() and (reference, mark) not in self._seen:
            self._seen.add((reference, mark))
            self.by_text.setdefault(mark, []).append(len(self.sources))
            self.sources.append(Source(reference, row, text))

    def sealed(self) -> QuestionIndex:
        return QuestionIndex(self)


class QuestionIndex:
    """Finds the questions that rows repeat. `bytes` is what its arrays take."""

    def __init__(self, questions: Questions) -> None:
        self.sources, self._by_text = questions.sources, questions.by_text
        self._words = _clipped(words(source.text for source in self.sources))
        self._weights = self._word_weights()
        every, self._owners, self._feature_weights = self._rare_features()
        self._features, first = np.unique(every, return_index=True)
        self._feature_starts = np.append(first, len(every))
        totals = np.zeros(len(self.sources))
        np.add.at(totals, self._owners, self._feature_weights)
        self._needed = WORTH_JUDGING * totals
        self._table = np.zeros(_TABLE, bool)
        self._table[_slot(self._features)] = True
        self._own = self._rarity_among_siblings()

    @property
    def bytes(self) -> int:
        held = (
            self._words.hashes,
            self._weights,
            self._own,
            self._features,
            self._feature_starts,
            self._owners,
            self._feature_weights,
            self._table,
        )
        return sum(array.nbytes for array in held)

    def match(self, turns: list[list[str]], asked: list[str], said: Words) -> list[Match]:
        """The best match of each row with each question it repeats: `turns` and `asked` by row, `said` all turns as words."""
        texts_of_row = [len(row) for row in turns]
        row_of_text = np.repeat(np.arange(len(turns)), texts_of_row)
        found = {(m.row, m.question): m for m in self._near(said, row_of_text, len(turns))}
        for row, texts in enumerate(turns):
            for mark in map(fingerprint, {*texts, asked[row]}):
                found |= {(row, q): Match(row, q, "exact", 1.0) for q in self._by_text.get(mark, ())}
        return sorted(found.values())

    def _near(self, said: Words, row_of_text: Array, rows: int) -> Iterator[Match]:
        row_of_word = row_of_text[said.text_of()]
        starts = np.searchsorted(row_of_word, np.arange(rows + 1))
        for row, question in self._candidates(said, row_of_word):
            judged = self._judge(said.hashes[starts[row] : starts[row + 1]], question)
            if judged:
                yield Match(row, question, *judged)

    def _candidates(self, said: Words, row_of_word: Array) -> Iterator[tuple[int, int]]:
        """(row, question) that share enough rare features, the best few of each row."""
        pairs, weights = self._shared(said, row_of_word)
        if not len(pairs):
            return
        hits = np.sort(pairs << _WEIGHT_BITS | weights)  # as one number each: sorting is most of the work
        pairs, weights = hits >> _WEIGHT_BITS, hits & ((1 << _WEIGHT_BITS) - 1)
        first = np.flatnonzero(np.diff(pairs, prepend=-1))
        score, pair = np.add.reduceat(weights, first), pairs[first]
        row, question = np.divmod(pair, len(self.sources))
        share = score / self._needed[question]
        worth = np.flatnonzero(share >= 1)
        worth = worth[np.lexsort((-share[worth], row[worth]))]
        place = np.arange(len(worth)) - np.searchsorted(row[worth], row[worth])
        for i in worth[place < JUDGED_PER_ROW]:
            yield int(row[i]), int(question[i])

    def _shared(self, said: Words, row_of_word: Array) -> tuple[Array, Array]:
        """One entry per row, question and feature that they share: row * questions + question, and the feature's weight."""
        pairs = grams(said.hashes, 2, said.text_of())
        features = np.concatenate([said.hashes, pairs])
        rows = np.concatenate([row_of_word, row_of_word[: len(pairs)]])
        maybe = np.flatnonzero(self._table[_slot(features)])
        features, rows = features[maybe], rows[maybe]
        if not len(self._features):
            return rows[:0], rows[:0]
        at = np.minimum(np.searchsorted(self._features, features), len(self._features) - 1)
        hit = self._features[at] == features
        features, rows, at = features[hit], rows[hit], at[hit]
        once = distinct(features, rows)
        rows, low = rows[once], self._feature_starts[at[once]]
        count = self._feature_starts[at[once] + 1] - low
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        at = np.repeat(low, count) + within
        return np.repeat(rows * len(self.sources), count) + self._owners[at], self._feature_weights[at]

    def _judge(self, row: Array, question: int) -> tuple[Kind, float] | None:
        """The kind of match and its similarity; None where the row does not repeat the question."""
        at = slice(self._words.starts[question], self._words.starts[question + 1])
        asked, weights, own = self._words.hashes[at], self._weights[at], self._own[at]
        if len(asked) < RUNS[-1]:
            return None
        passage = _passage(row, asked, weights)
        number = is_number(asked)
        if number.any() and np.isin(np.unique(asked[number]), passage).mean() < SAME_NUMBERS:
            return None
        covered = _coverage(asked, row)
        if covered == 1.0:
            return "ngram", 1.0
        asked, weights, own = asked[~number], weights[~number], own[~number]
        likeness = _containment(asked, weights, passage)
        of_its_own, shared = (_containment(asked, weights * own**power, passage) for power in (2, -2))
        if of_its_own < OF_ITS_OWN * shared:
            return None
        if min(covered, likeness) >= COVERED:
            return "ngram", round(covered, 3)
        likeness = min(likeness, _containment(asked, np.ones(len(asked)), passage))
        mostly_words = len(asked) >= max(SHORTEST_NEAR, 2 * number.sum())
        return ("near", round(likeness, 3)) if mostly_words and likeness >= needed_likeness(len(asked)) else None

    def _word_weights(self) -> Array:
        """For each word of each question how rare it is: log(1 + questions / questions that have it)."""
        count = max(len(self.sources), FEWEST)
        owners = self._words.text_of()
        once = distinct(self._words.hashes, owners)
        known, frequency = np.unique(self._words.hashes[once], return_counts=True)
        frequency = np.where(np.isin(known, _function_words()), np.maximum(frequency, count / 3), frequency)
        return np.log1p(count / frequency[np.searchsorted(known, self._words.hashes)])

    def _rarity_among_siblings(self) -> Array:
        """For each word of each question how few of the questions most like it have it too.

        Questions made from one template share its words: what tells them apart is what stands in its gaps.
        """
        rarity = np.full(len(self._words.hashes), np.log(2.0))
        siblings: dict[int, list[int]] = {}
        for begin in range(0, len(self.sources), _BLOCK):
            some = self._words.between(begin, begin + _BLOCK)
            for place, other in self._candidates(some, some.text_of()):
                if begin + place != other:
                    siblings.setdefault(begin + place, []).append(other)
        for question, others in siblings.items():
            at = slice(self._words.starts[question], self._words.starts[question + 1])
            have = sum(np.isin(self._words.hashes[at], self._words.of(other)).astype(int) for other in others)
            rarity[at] = np.log1p((len(others) + 1) / (have + 1))
        return rarity

    def _rare_features(self) -> tuple[Array, Array, Array]:
        """Words and pairs of words that few questions have: sorted features, the question of each, and its weight."""
        count = len(self.sources)
        owners = self._words.text_of()
        pairs = grams(self._words.hashes, 2, owners)
        found = []
        for features, limit in ((self._words.hashes, max(8, count // 500)), (pairs, max(64, count // 250))):
            once = distinct(features, owners[: len(features)])
            once = once[features[once] != 0]
            known, place, frequency = np.unique(features[once], return_inverse=True, return_counts=True)
            keep = ((frequency <= limit) & ~np.isin(known, _function_words()))[place]
            weight = 1000 * np.log1p(max(count, FEWEST) / frequency[place[keep]])
            found.append((features[once][keep], owners[once][keep].astype(np.uint32), weight.astype(np.uint16)))
        features, of, weights = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(features, kind="stable")
        return features[order], of[order], weights[order]


def needed_likeness(length: int) -> float:
    """The share of words that makes two texts nearly the same: about half of them, more in a short text."""
    return float(np.interp(length, (8, 20, 60), (0.75, 0.47, 0.5)))


def _passage(row: Array, asked: Array, weights: Array) -> Array:
    """The part of a row, about as long as the question, that has most of its words."""
    length = int(WINDOW * len(asked)) + 2
    if len(row) <= length:
        return row
    known, first = np.unique(asked, return_index=True)
    at = np.minimum(np.searchsorted(known, row), len(known) - 1)
    summed = np.cumsum(np.where(known[at] == row, weights[first][at], 0.0))
    inside = summed[length - 1 :] - np.concatenate([[0.0], summed[:-length]])
    best = int(np.argmax(inside))
    return row[best : best + length]


def _coverage(asked: Array, row: Array) -> float:
    """The share of the question's words that lie in runs the row has too."""
    n = next(run for run in RUNS if len(asked) >= run)
    shared = np.isin(grams(asked, n), grams(row, n))
    covered = np.zeros(len(asked) + 1, np.int64)
    np.add.at(covered, np.flatnonzero(shared), 1)
    np.add.at(covered, np.flatnonzero(shared) + n, -1)
    return float((np.cumsum(covered)[:-1] > 0).mean())


def _containment(asked: Array, weights: Array, passage: Array) -> float:
    """The share of the question's words, by weight, that the passage has; each as often as it has it."""
    if not len(asked):
        return 0.0
    known, first, wanted = np.unique(asked, return_index=True, return_counts=True)
    at = np.minimum(np.searchsorted(known, passage), len(known) - 1)
    has = np.bincount(at[known[at] == passage], minlength=len(known))
    return float((np.minimum(wanted, has) * weights[first]).sum() / (wanted * weights[first]).sum())


def _clipped(found: Words) -> Words:
    lengths = np.minimum(found.lengths(), LONGEST)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    keep = np.arange(len(found.hashes)) - found.starts[found.text_of()] < LONGEST
    return Words(found.hashes[keep], starts)


def _slot(features: Array) -> Array:
    return (features >> np.uint64(20)) & np.uint64(_TABLE - 1)


def _function_words() -> Array:
    return np.unique(words([_FUNCTION_WORDS]).hashes)
