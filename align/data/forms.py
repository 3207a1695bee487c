"""What a known format is made of: the columns it needs, what must hold of a row, and its converter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from align.data.conversations import is_single_key, is_transcript
from align.data.files import RawRow

Raw = Mapping[str, Any]
Row = dict[str, Any]


class Made(NamedTuple):
    """The rows that one row gave; `ties`: pairs that are none, since both answers were judged alike."""

    rows: list[Row]
    ties: int = 0


@dataclass(frozen=True)
class Form:
    """A way to write rows of a type. `name` is what a recipe's `format:` calls it; several forms may share one.

    `gather` joins rows that are parts of one; `needs` then speaks of the parts.
    """

    name: str
    told: str
    needs: tuple[str, ...]
    convert: Callable[[Raw], Row | Made]
    fits: Callable[[Raw], bool] = lambda raw: True
    uses: tuple[str, ...] = ()
    gather: Callable[[Iterator[RawRow]], Iterator[RawRow]] | None = None


def text_in(*names: str) -> Callable[[Raw], bool]:
    return lambda raw: all(isinstance(raw[name], str) for name in names)


def list_in(*names: str) -> Callable[[Raw], bool]:
    return lambda raw: all(isinstance(raw[name], list) for name in names)


def turns_with(name: str, key: str) -> Callable[[Raw], bool]:
    return lambda raw: isinstance(raw[name], list) and any(isinstance(t, Mapping) and key in t for t in raw[name])


def single_keys_in(name: str) -> Callable[[Raw], bool]:
    return lambda raw: is_single_key(raw[name])


def transcript_in(*names: str) -> Callable[[Raw], bool]:
    return lambda raw: all(is_transcript(raw[name]) for name in names)
