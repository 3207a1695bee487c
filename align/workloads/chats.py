"""Synthetic chats in great number: about 1 KB each, word frequencies as in language (Zipf), some planted duplicates and leaks.

The words are invented and mean nothing; what is measured on them is cost, and that planted rows are found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

VOCABULARY = 50_000
WORDS = 185  # of a chat, about 1,000 characters
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ol")]
_BLOCK = 4096


@dataclass(frozen=True)
class Planted:
    """Shares of rows that are made from an earlier row or an evaluation question."""

    same: float = 0.02
    nearly: float = 0.02
    leaked: float = 0.005


def questions(count: int, seed: int = 1) -> list[str]:
    """Invented questions of 12 to 60 words."""
    rng = np.random.default_rng(seed)
    return _texts(_lexicon(), rng, rng.integers(12, 60, count))


def chats(count: int, seed: int = 0, asked: list[str] | None = None, planted: Planted | None = None) -> Iterator[Any]:
    """(how it was planted, row): "", "same", "nearly" or "leaked", and a `messages` row."""
    rng = np.random.default_rng(seed)
    lexicon, planted = _lexicon(), planted or Planted()
    kinds = np.array(["", "same", "nearly", "leaked"])
    shares = [planted.same, planted.nearly, planted.leaked if asked else 0.0]
    earlier: list[tuple[str, str]] = []
    for start in range(0, count, _BLOCK):
        block = rng.choice(kinds, min(_BLOCK, count - start), p=[1 - sum(shares), *shares]).tolist()
        lengths = rng.integers(12, 60, len(block))
        pairs = zip(_texts(lexicon, rng, lengths), _texts(lexicon, rng, WORDS - lengths), strict=True)
        for given, pair in zip(block, pairs, strict=True):
            kind = given if earlier else ""
            if kind in ("same", "nearly"):
                pair = earlier[int(rng.integers(len(earlier)))]
                if kind == "nearly":
                    pair = pair[0], _touched(pair[1], lexicon, rng)
            elif kind == "leaked" and asked:
                pair = f"{pair[0]} {asked[int(rng.integers(len(asked)))]}", pair[1]
            elif len(earlier) < 20_000:
                earlier.append(pair)
            turns = [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
            yield kind, {"messages": turns}


def _lexicon() -> np.ndarray:
    rng = np.random.default_rng(12345)
    sizes = rng.integers(0, 3, VOCABULARY)
    return np.array(["".join(rng.choice(_SYLLABLES, size)) + _letters(n) for n, size in enumerate(sizes)], object)


def _letters(n: int) -> str:
    """A few letters that make the n-th word unlike all others, short for the frequent ones."""
    letters = ""
    while n:
        n, digit = divmod(n, 26)
        letters += chr(97 + digit)
    return letters


def _texts(lexicon: np.ndarray, rng: np.random.Generator, lengths: np.ndarray) -> list[str]:
    """Texts of so many words; a word's frequency is 1 / its rank, as in Zipf's law."""
    ranks = np.exp(rng.random(int(lengths.sum())) * np.log(VOCABULARY)).astype(np.int64) - 1
    said, ends = lexicon[ranks].tolist(), np.cumsum(lengths).tolist()
    return [" ".join(said[begin:end]) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _touched(text: str, lexicon: np.ndarray, rng: np.random.Generator) -> str:
    """The text with one word in twenty replaced."""
    words = text.split()
    for place in rng.choice(len(words), max(1, len(words) // 20), replace=False):
        words[place] = lexicon[int(rng.integers(VOCABULARY))]
    return " ".join(words)
