"""Votes cast blind in a report: read, checked, counted with an interval, and turned into preference rows.

A line of the file says what was asked (prompt, and of either side the model, its artifact's digest and the text), what was
chosen (left, right, tie or skip), when, and after how long. Rows of one prompt are one cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from align import estimates
from align.artifact.digests import of_value
from align.errors import DataError
from align.estimates import Estimate
from align.report.generations import Suite

FORMAT, VERSION = "align/vote", 1
CHOICES = ("left", "right", "tie", "skip")
EXPECTED = "votes exported by the blind vote mode of a report (align report), one JSON object a line"


@dataclass(frozen=True)
class Side:
    model: str
    digest: str
    text: str


@dataclass(frozen=True)
class Vote:
    line: int
    suite: str
    row: int
    slice: str | None
    prompt: list[dict[str, str]]
    left: Side
    right: Side
    choice: str

    @property
    def cluster(self) -> str:
        return of_value(self.prompt)

    def score_of(self, model: str) -> float:
        """1 where the model won, 0 where it lost, a half where both were as good."""
        if self.choice == "tie":
            return 0.5
        return float((self.left if self.choice == "left" else self.right).model == model)


def read(path: Path) -> list[Vote]:
    """The votes of a file. Raises DataError at the first line that is none."""
    if not path.is_file():
        raise DataError(str(path), "there is no such file", EXPECTED)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also split at U+2028 in an answer
    except UnicodeDecodeError:
        raise DataError(str(path), "it is not UTF-8 text", EXPECTED) from None
    votes = [_vote(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not votes:
        raise DataError(str(path), "there are no votes in it", EXPECTED)
    return votes


def _vote(path: Path, number: int, line: str) -> Vote:
    where = f"{path}, line {number:,}"
    try:
        told = json.loads(line)
    except ValueError:
        raise DataError(where, "it is not JSON", EXPECTED) from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise DataError(where, "it is not a vote", EXPECTED)
    if told.get("version") != VERSION:
        raise DataError(where, f"its version is {told.get('version')}", f"this align reads version {VERSION}")
    if told.get("choice") not in CHOICES:
        raise DataError(where, f"choice is {told.get('choice')!r}", f"one of {', '.join(CHOICES)}")
    try:
        left, right = (Side(**{k: str(told[s][k]) for k in ("model", "digest", "text")}) for s in ("left", "right"))
        prompt = [{"role": str(m["role"]), "content": str(m["content"])} for m in told["prompt"]]
        vote = Vote(
            number, str(told["suite"]), int(told["row"]), told.get("slice"), prompt, left, right, told["choice"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(where, f"something of the vote is missing or wrong ({error})", EXPECTED) from None
    if vote.left.model == vote.right.model:
        raise DataError(where, f"both answers are of {vote.left.model}", "a vote is between two models")
    return vote


def check(votes: Iterable[Vote], suites: Sequence[Suite], recipe: str) -> None:
    """Whether every vote is on answers that a recipe's artifacts hold. Raises DataError on the first that is not."""
    texts = {(s.name, said.digest, said.model): said.texts for s in suites for said in s.said}
    for vote in votes:
        for side in (vote.left, vote.right):
            held = texts.get((vote.suite, side.digest, side.model))
            where = f"line {vote.line:,}"
            if held is None:
                now = [d for (suite, d, model) in texts if (suite, model) == (vote.suite, side.model)]
                found = f"{recipe} has {now[0][:12]} now" if now else f"{recipe} has no such answers"
                raise DataError(
                    where, f"it is on answers of {side.model} in {vote.suite} with the digest {side.digest[:12]}", found,
                    "vote on a new report, or leave the recipe out to count them all the same",
                )  # fmt: skip
            if vote.row >= len(held) or held[vote.row] != side.text:
                raise DataError(
                    where, f"the answer of {side.model} is not what it said to row {vote.row + 1:,}", "",
                    "the file was changed after it was exported",
                )  # fmt: skip


@dataclass(frozen=True)
class Tally:
    """How often one model was preferred to another; a tie is half a win, a skip does not count."""

    model: str
    against: str
    won: int
    lost: int
    tied: int
    skipped: int
    win_rate: Estimate | None

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "win_rate": self.win_rate.to_json() if self.win_rate else None}


def tallies(votes: Sequence[Vote]) -> list[Tally]:
    """One for each pair of models, the one with more wins first."""
    pairs = dict.fromkeys(frozenset((v.left.model, v.right.model)) for v in votes)
    return [_tally([v for v in votes if {v.left.model, v.right.model} == pair]) for pair in pairs]


def _tally(votes: Sequence[Vote]) -> Tally:
    counted = [v for v in votes if v.choice != "skip"]
    models = sorted({votes[0].left.model, votes[0].right.model})
    model, against = sorted(models, key=lambda m: -sum(v.score_of(m) for v in counted))
    scores = [v.score_of(model) for v in counted]
    rate = _share(scores, [v.cluster for v in counted]) if counted else None
    skipped = len(votes) - len(counted)
    return Tally(model, against, scores.count(1.0), scores.count(0.0), scores.count(0.5), skipped, rate)


def _share(scores: Sequence[float], clusters: Sequence[str]) -> Estimate:
    """Wilson's interval also with ties: they vary less than the yes or no that it takes them for, so it errs wide."""
    found = replace(estimates.mean(scores, clusters, "share"), method="wilson")
    low, high = found.bounds()
    return replace(found, low=low, high=high)


def left_share(votes: Sequence[Vote]) -> Estimate | None:
    """How often the left answer was chosen: far from a half, the voter looked at the side and not at the answer."""
    chosen = [v for v in votes if v.choice in ("left", "right")]
    left = [float(v.choice == "left") for v in chosen]
    return estimates.mean(left, [v.cluster for v in chosen], "share") if chosen else None


@dataclass(frozen=True)
class Preferences:
    """Preference rows, and how many votes made none and why."""

    rows: list[dict[str, Any]]
    left_out: dict[str, int]


def preferences(votes: Sequence[Vote]) -> Preferences:
    """Each vote for one side as a preference row. Ties, skips and empty answers make none."""
    rows: list[dict[str, Any]] = []
    left_out = {"tie": 0, "skip": 0, "empty answer": 0}
    for vote in votes:
        if vote.choice in ("tie", "skip"):
            left_out[vote.choice] += 1
        elif not (vote.left.text.strip() and vote.right.text.strip()):
            left_out["empty answer"] += 1
        else:
            rows.append(_preference(vote))
    return Preferences(rows, left_out)


def _preference(vote: Vote) -> dict[str, Any]:
    chosen, rejected = (vote.left, vote.right) if vote.choice == "left" else (vote.right, vote.left)
    row = {
        "prompt": vote.prompt,
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
        "id": f"{vote.suite}-{vote.row}-line-{vote.line}",
        "source": f"vote:{chosen.model}>{rejected.model}",
    }
    return {**row, "slice": vote.slice} if vote.slice else row


def lines(preferences: Preferences) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in preferences.rows)
