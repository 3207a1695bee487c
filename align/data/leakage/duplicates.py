"""Texts of one set that are the same or nearly the same, in groups.

Same: one fingerprint (words.fingerprint). Nearly: the words two texts share, each weighed by how rare it is in the set, are
most of the words either has (weighted Jaccard), and their numbers are the same. Candidates come from MinHash over the rarer
words (Broder 1997) in bands (locality-sensitive hashing); each is then compared by its words themselves.

The groups are a function of the set of texts: texts are taken in the order of their fingerprints, whatever order they came
in. A text is held against the first of each band it shares, so that a group of n texts costs n comparisons; groups are
joined through any member. More than 50 texts, and 1 % of the set, that share their words are one template with other fillings,
and only nearly the same where the rest of their words is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rensa import RMinHash  # type: ignore[attr-defined]

from align.data.leakage.words import Array, Words

SKETCH = 256  # distinct words kept of a text: all of a short one, of a long one those with the smallest hashes
PERMUTATIONS, ROWS_IN_BAND = 128, 4  # a pair of likeness .5 shares a band 87 times in 100, one of .1 never
SEED = 1
COMMON = 0.01  # words that a larger share of the texts has find no candidates
FEW = 50  # nor is a word common that so few texts have
FEWEST_RARE = 3
SAME_NUMBERS = 0.8
_FREQUENCIES = 1 << 22
_CHUNK = 1 << 14

Needed = Callable[[Array], Array]  # likeness that makes two texts nearly the same, by the words of the shorter one


def likeness_of_rows(length: Array) -> Array:
    """Nearly the same row: two to remove one of."""
    return np.interp(length, (8, 30), (0.9, 0.75))


def likeness_of_prompts(length: Array) -> Array:
    """Nearly the same prompt: two not to put on both sides of a split."""
    return np.interp(length, (4, 20), (0.85, 0.5))


@dataclass(frozen=True)
class Groups:
    """`same`: for each text the number of its distinct text; `near`: for each distinct text the first of its group."""

    same: Array
    near: Array

    @property
    def of_text(self) -> Array:
        """For each text the number of its group."""
        return self.near[self.same]

    @property
    def repeats(self) -> int:
        """Texts that an equal one came before."""
        return len(self.same) - len(self.near)

    @property
    def near_repeats(self) -> int:
        """Distinct texts beyond one a group."""
        return len(self.near) - len(np.unique(self.near))


@dataclass
class Texts:
    """What is kept of every text: a fingerprint and a sketch, about 20 bytes and 4 more for each distinct word."""

    _prints: list[Array] = field(default_factory=list)
    _sizes: list[Array] = field(default_factory=list)
    _sketches: list[Array] = field(default_factory=list)

    def add(self, fingerprints: list[int], found: Words) -> None:
        """A batch of texts: the fingerprint and the words of each."""
        short = ((found.hashes >> np.uint64(33)) << np.uint64(1)) | (found.hashes & np.uint64(1))
        keys = np.sort((found.text_of().astype(np.uint64) << np.uint64(32)) | short)
        keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
        owner = (keys >> np.uint64(32)).astype(np.int64)
        place = np.arange(len(keys)) - np.searchsorted(owner, owner)
        kept = place < SKETCH
        self._prints.append(np.array(fingerprints, np.uint64))
        self._sizes.append(np.bincount(owner[kept], minlength=len(fingerprints)).astype(np.int32))
        self._sketches.append(keys[kept].astype(np.uint32))

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for arrays in (self._prints, self._sizes, self._sketches) for array in arrays)

    def groups(self, needed: Needed) -> Groups:
        """Sets of texts that are the same or nearly; nothing is kept here afterwards."""
        prints, sizes = _joined(self._prints), _joined(self._sizes)
        _, first, same = np.unique(prints, return_index=True, return_inverse=True)
        distinct = _Distinct(_joined(self._sketches), np.append(0, np.cumsum(sizes)), first)
        return Groups(same, distinct.groups(needed))


class _Distinct:
    """The distinct texts: text i has the words flat[starts[first[i]] : starts[first[i] + 1]]."""

    def __init__(self, flat: Array, starts: Array, first: Array) -> None:
        self._flat, self._starts, self._first = flat, starts, first
        self._sizes = (starts[1:] - starts[:-1])[first]
        count = len(first)
        frequency = np.zeros(_FREQUENCIES, np.int64)
        for chunk in _chunks(count):
            frequency += np.bincount(_slot(self._words(chunk)[0]), minlength=_FREQUENCIES)
        self._rare = frequency <= max(FEW, COMMON * count)
        self._weights = np.log1p(max(count, 50) / np.maximum(frequency, 1)).astype(np.float32)

    def groups(self, needed: Needed) -> Array:
        members, bands = self._bands()
        root = np.arange(len(self._first))
        for band in bands.T:
            order = np.argsort(band, kind="stable")
            begins = np.diff(band[order], prepend=band[order][:1] - 1) != 0
            leader = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
            pairs = np.stack([members[leader], members[order]], axis=1)[~begins]
            pairs = pairs[root[pairs[:, 0]] != root[pairs[:, 1]]]
            for start in range(0, len(pairs), _CHUNK):
                some = pairs[start : start + _CHUNK]
                _join(root, some[self._alike(some, needed)])
        return root

    def _bands(self) -> tuple[Array, Array]:
        """The texts with enough rare words, and for each of them a hash of every band of its MinHash signature."""
        members, bands = [], []
        for chunk in _chunks(len(self._first)):
            flat, owner = self._words(chunk)
            rare = self._rare[_slot(flat)]
            count = np.bincount(owner[rare], minlength=len(chunk))
            enough = count >= FEWEST_RARE
            kept = flat[rare & enough[owner]].astype(np.uint64)
            offsets = np.append(0, np.cumsum(count[enough])).astype(np.uint64)
            if enough.any():
                matrix = RMinHash.digest_matrix_from_flat_token_hashes(kept, offsets, PERMUTATIONS, SEED)
                members.append(chunk[enough])
                bands.append(_band_hashes(np.array(matrix.to_rows(), np.uint64)))
        width = PERMUTATIONS // ROWS_IN_BAND
        empty = np.empty(0, np.int64), np.empty((0, width), np.uint32)
        return (np.concatenate(members), np.concatenate(bands)) if members else empty

    def _alike(self, pairs: Array, needed: Needed) -> Array:
        """For each pair of texts whether they are nearly the same."""
        sides = [self._words(pairs[:, side]) for side in (0, 1)]
        keys = np.concatenate([(owner.astype(np.uint64) << np.uint64(32)) | flat for flat, owner in sides])
        keys.sort()
        both = keys[:-1][keys[1:] == keys[:-1]]
        shared, shared_numbers = self._sums(both, len(pairs))
        summed, numbers = self._sums(keys, len(pairs))
        likeness = shared / np.maximum(summed - shared, 1e-9)
        same_numbers = shared_numbers >= SAME_NUMBERS * (numbers - shared_numbers)
        return same_numbers & (likeness >= needed(self._sizes[pairs].min(axis=1)))

    def _sums(self, keys: Array, pairs: int) -> tuple[Array, Array]:
        """By pair: the weights of the words that are no numbers, and how many numbers."""
        owner, word = (keys >> np.uint64(32)).astype(np.int64), keys.astype(np.uint32)
        number = (word & np.uint32(1)).astype(bool)
        weights = np.where(number, 0.0, self._weights[_slot(word)])
        return np.bincount(owner, weights, pairs), np.bincount(owner, number, pairs)

    def _words(self, texts: Array) -> tuple[Array, Array]:
        """The words of some texts one after another, and for each word the place of its text among them."""
        sizes = self._sizes[texts]
        owner = np.repeat(np.arange(len(texts)), sizes)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self._flat[self._starts[self._first[texts]][owner] + within], owner


def _band_hashes(signatures: Array) -> Array:
    """32 bits for each run of ROWS_IN_BAND columns. A chance collision costs one comparison."""
    mixed = np.zeros((len(signatures), PERMUTATIONS // ROWS_IN_BAND), np.uint64)
    for column in range(ROWS_IN_BAND):
        mixed = (mixed ^ signatures[:, column::ROWS_IN_BAND]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(31)
    return mixed.astype(np.uint32)


def _join(root: Array, pairs: Array) -> None:
    """Joins the groups of each pair; the root of a group is its smallest member, and every entry names its root."""
    if not len(pairs):
        return
    left, right = root[pairs[:, 0]], root[pairs[:, 1]]
    while True:
        low = np.minimum(left, right)
        before = root.copy()
        np.minimum.at(root, left, low)
        np.minimum.at(root, right, low)
        while not np.array_equal(root, root[root]):
            root[:] = root[root]
        left, right = root[left], root[right]
        if np.array_equal(before, root) and np.array_equal(left, right):
            return


def _joined(parts: list[Array]) -> Array:
    """One array of many, which are let go."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _chunks(count: int) -> list[Array]:
    return [np.arange(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]


def _slot(words: Array) -> Array:
    return (words >> np.uint32(1)) & np.uint32(_FREQUENCIES - 1)
