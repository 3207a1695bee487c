"""The same question with different answers in two sets: what one stage teaches and the next one takes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from align.data.split import normalised

Row = Mapping[str, Any]


@dataclass
class Answers:
    """What a set answers to each question: what it wants to be said, and what it does not."""

    wanted: dict[str, set[str]] = field(default_factory=dict)
    unwanted: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Disagreement:
    """Of the questions that both sets answer (`shared`) those that have no wanted answer in common (`other`), and those of
    which one set wants what the other does not (`opposed`)."""

    shared: list[str]
    other: list[str]
    opposed: list[str]


def answers_of(rows: Iterable[Row]) -> Answers:
    """Without regard to case and white space; all that stands before the last answer is the question."""
    found = Answers()
    for row in rows:
        for question, answer, good in _judged(row):
            (found.wanted if good else found.unwanted).setdefault(question, set()).add(answer)
    return found


def _judged(row: Row) -> Iterator[tuple[str, str, bool]]:
    if "messages" in row:
        yield _said(row["messages"][:-1]), _said(row["messages"][-1:]), True
    if "chosen" in row:
        question = _said(row["prompt"])
        yield question, _said(row["chosen"]), True
        yield question, _said(row["rejected"]), False
    if "label" in row:
        yield _said(row["prompt"]), _said(row["completion"]), row["label"]


def _said(turns: Iterable[Row]) -> str:
    return "\0".join(normalised(str(turn["content"])) for turn in turns)


def between(ours: Answers, theirs: Answers) -> Disagreement:
    shared = sorted((ours.wanted.keys() | ours.unwanted.keys()) & (theirs.wanted.keys() | theirs.unwanted.keys()))
    none: set[str] = set()
    wants = [(ours.wanted.get(q, none), theirs.wanted.get(q, none)) for q in shared]
    rejects = [(ours.unwanted.get(q, none), theirs.unwanted.get(q, none)) for q in shared]
    other = [q for q, (mine, yours) in zip(shared, wants, strict=True) if mine and yours and not mine & yours]
    opposed = [
        q
        for q, (mine, yours), (not_mine, not_yours) in zip(shared, wants, rejects, strict=True)
        if mine & not_yours or yours & not_mine
    ]
    return Disagreement(shared, other, opposed)
