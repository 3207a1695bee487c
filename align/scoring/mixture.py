"""The reward of PPO: a weighted sum of scores, and the rule for completions that never stopped.

score = sum_i weight_i score_i;   not stopped: score - missing_eos_penalty, or missing_eos_score in its place
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from align.errors import TrainingError
from align.scoring.episode import Episode, Scorer
from align.scoring.named import SCORERS
from align.scoring.user_file import UserFile
from align.specs.asking import SCORER
from align.specs.user_functions import FILE, split_file


@dataclass(frozen=True)
class Term:
    name: str
    weight: float
    scorer: Scorer


@dataclass(frozen=True)
class Scores:
    """`rewards`: what the policy is trained on, an episode each; `parts`: each term's own scores, unweighted."""

    rewards: list[float]
    parts: dict[str, list[float]]


def named_scorer(name: str) -> Scorer:
    """A scorer by name; of one that tells several numbers the first is the score."""
    function = SCORERS[name]  # type: ignore[index]
    return lambda episodes: [next(iter(function(e.answer).values())) for e in episodes]


def programmatic(use: str, timeout: float) -> Scorer:
    """The scorer behind `scorer:NAME` or `file:PATH.py:FUNCTION`."""
    if use.startswith(SCORER):
        return named_scorer(use.removeprefix(SCORER))
    assert use.startswith(FILE)
    return UserFile(*split_file(use), timeout)


def score(
    terms: Sequence[Term],
    episodes: Sequence[Episode],
    missing_eos_penalty: float | None = None,
    missing_eos_score: float | None = None,
) -> Scores:
    """Scores of all episodes. Raises TrainingError where a term gives the wrong count or a number that is not finite."""
    parts = {term.name: checked(term.name, term.scorer(episodes), episodes) for term in terms}
    rewards = [sum(t.weight * parts[t.name][i] for t in terms) for i in range(len(episodes))]
    for i, episode in enumerate(episodes):
        if not episode.completion.stopped:
            rewards[i] -= missing_eos_penalty or 0.0
            rewards[i] = rewards[i] if missing_eos_score is None else missing_eos_score
    return Scores(rewards, parts)


def checked(name: str, scores: list[float], episodes: Sequence[Episode]) -> list[float]:
    """The scores, one finite number an episode, or a TrainingError that says which is not."""
    if len(scores) != len(episodes):
        raise TrainingError(
            f"reward {name}", f"{len(scores)} scores came back", f"{len(episodes)}, one a completion", "Correct the scorer."
        )  # fmt: skip
    for number, (value, episode) in enumerate(zip(scores, episodes, strict=True), 1):
        if not math.isfinite(value):
            raise TrainingError(
                f"reward {name}", f"the score of completion {number} ({episode.answer.text[:60]!r}) is {value}",
                "A finite number", "Correct the reward; training goes on from the last checkpoint.",
            )  # fmt: skip
    return scores
