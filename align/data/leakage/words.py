"""Text as comparisons see it: words without case, punctuation and Unicode form, each a 64-bit hash.

Numbers are told from words by the lowest bit of their hash, since the same sentence with other numbers is another question.
`twelve` and `12` are one number; an operator counts with the number it stands before. Scripts that write no spaces (Han,
kana, Thai) are compared character by character.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

Array = np.ndarray

_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_OPERATORS = "-+*/^=<>×÷"
_WORD = re.compile(rf"[^\W\d_{_UNSPACED}]+|\d+(?:\.\d+)?|[{_OPERATORS}](?=\s*\d)|[{_UNSPACED}]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d\d\d(?!\d))")
_PUNCTUATION = str.maketrans({chr(code): " " for code in range(128) if not chr(code).isalnum()})
_HAS_DIGIT = re.compile(r"\d")
_WORDS_REMEMBERED = 1 << 20  # of which the hash is kept; beyond that all are forgotten and met again

# `one` is left out: it is a pronoun more often than a number.
_UNITS = "zero - two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
_NUMBERS = {word: str(n) for n, word in enumerate([*_UNITS.split(), "eighteen", "nineteen"]) if word != "-"}
_NUMBERS |= {word: str(10 * n) for n, word in enumerate(_TENS.split(), 2)}
_NUMBERS |= {"thousand": "1000", "million": "1000000", "dozen": "12"}
_NUMBERS |= {"half": "0.5", "twice": "2", "double": "2", "thrice": "3", "triple": "3"}


@dataclass(frozen=True)
class Words:
    """Hashes of the words of several texts, one after another: text i is `hashes[starts[i]:starts[i + 1]]`."""

    hashes: Array
    starts: Array

    def of(self, text: int) -> Array:
        return self.hashes[self.starts[text] : self.starts[text + 1]]

    def between(self, begin: int, end: int) -> Words:
        """The texts from `begin` up to `end`."""
        starts = self.starts[begin : end + 1]
        return Words(self.hashes[starts[0] : starts[-1]], starts - starts[0])

    def lengths(self) -> Array:
        return np.diff(self.starts)

    def text_of(self) -> Array:
        """For each word the number of its text."""
        return np.repeat(np.arange(len(self.starts) - 1), self.lengths())


def words(texts: Iterable[str]) -> Words:
    """The words of each text as hashes."""
    lists = [tokens(text) for text in texts]
    starts = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(found) for found in lists], out=starts[1:])
    flat = map(_HASHES.__getitem__, chain.from_iterable(lists))
    hashes = np.fromiter(flat, np.uint64, count=int(starts[-1]))
    if len(_HASHES) > _WORDS_REMEMBERED:
        _HASHES.clear()
    return Words(hashes, starts)


def tokens(text: str) -> list[str]:
    """The words of a text as they are compared."""
    if text.isascii():
        text = text.lower()
        if _HAS_DIGIT.search(text) is None:
            return text.translate(_PUNCTUATION).split()
    else:
        text = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_THOUSANDS.sub("", text) if "," in text else text)


def normalised(text: str) -> str:
    """A text without regard to case, white space and Unicode form, but with its punctuation."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold().split())


def fingerprint(text: str) -> int:
    """64 bits that two texts share when they are the same but for case, white space and Unicode form."""
    return int.from_bytes(hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=8).digest())


def is_number(hashes: Array) -> Array:
    return (hashes & np.uint64(1)).astype(bool)


def grams(found: Array, n: int, texts: Array | None = None) -> Array:
    """Hashes of n words in a row, in order; with `texts` (each word's text) zero where they would cross into another text."""
    if len(found) < n:
        return np.empty(0, np.uint64)
    count = len(found) - n + 1
    mixed = np.zeros(count, np.uint64)
    for shift in range(n):
        mixed = (mixed ^ found[shift : shift + count]) * _MIX
        mixed ^= mixed >> np.uint64(29)
    if texts is not None:
        mixed[texts[:count] != texts[n - 1 :]] = 0
    return mixed


def distinct(values: Array, owners: Array) -> Array:
    """Where each pair of a value and its owner occurs first, in the order of neither."""
    return np.unique(values ^ ((owners.astype(np.uint64) + np.uint64(1)) * _MIX), return_index=True)[1]


_MIX = np.uint64(0x9E3779B97F4A7C15)


class _Hashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        number = _NUMBERS.get(word, word)
        digest = hashlib.blake2b(number.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        counts = number[0].isdigit() or number[0] in _OPERATORS
        self[word] = value = int.from_bytes(digest) & ~1 | counts
        return value


_HASHES = _Hashes()
