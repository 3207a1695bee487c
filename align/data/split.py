"""Which part a row belongs to: decided by its prompt and the split's own seed, by nothing else.

Rows that come, go or change places move no other row, and the same prompt never stands on both sides, in one data entry or in
several with one seed. The prompt is all that stands before the first answer, so that a longer conversation follows its opening.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from align.data.token_rows import as_words

TRAIN, HOLDOUT = "train", "holdout"


def parts(holdout: float | None) -> tuple[str, ...]:
    """The parts of a data entry in order."""
    return (TRAIN, HOLDOUT) if holdout else (TRAIN,)


def part_of(row: Mapping[str, Any], holdout: float | None, seed: int) -> str:
    """The part of a canonical row; `holdout` is the share of prompts set aside, not of rows."""
    if not holdout:
        return TRAIN
    return HOLDOUT if is_held_out(split_place(row, seed), holdout) else TRAIN


def split_place(row: Mapping[str, Any], seed: int) -> int:
    """Where a row's prompt falls among 64-bit numbers, all alike probable; those under the share of 2^64 are held out."""
    digest = hashlib.sha256(f"{seed}\0{split_key(row)}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8])


def is_held_out(place: int, holdout: float) -> bool:
    return place < holdout * 2**64


def split_key(row: Mapping[str, Any]) -> str:
    """The row's prompt (or its text), without regard to case, white space and Unicode form."""
    if "input_ids" in row:
        return as_words(row)
    if "text" in row:
        return normalised(row["text"])
    return "\0".join(normalised(turn) for turn in _opening(row.get("prompt") or row["messages"]))


def normalised(text: str) -> str:
    """Text as compared between prompts."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _opening(messages: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for message in messages:
        if message["role"] == "assistant":
            return
        yield message["content"]
