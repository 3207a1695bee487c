"""What a reward model is worth on held-out pairs: accuracy, calibration, and how much of it is length.

Intervals take the pairs of one prompt as one cluster. P(chosen is better) = sigma(score_chosen - score_rejected), as
Bradley and Terry have it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from align.evals import statistics

BINS = 10  # of confidence, from 1/2 to 1
MATCHED = 0.1  # lengths that differ by less than this share of the longer one count as the same


@dataclass(frozen=True)
class ScoredPair:
    """Normalised scores of both answers, their lengths in tokens, and what the pair belongs to."""

    chosen: float
    rejected: float
    chosen_tokens: int
    rejected_tokens: int
    cluster: str
    slice: str | None = None
    axis: str | None = None

    @property
    def margin(self) -> float:
        return self.chosen - self.rejected

    @property
    def won(self) -> float:
        """1 where chosen scores higher; a tie is half."""
        return 0.5 if self.margin == 0 else float(self.margin > 0)

    @property
    def matched(self) -> bool:
        longer = max(self.chosen_tokens, self.rejected_tokens)
        return abs(self.chosen_tokens - self.rejected_tokens) < MATCHED * longer


def report(pairs: Sequence[ScoredPair]) -> dict[str, Any]:
    """All of it as plain JSON. Raises ValueError without pairs."""
    scores = [score for p in pairs for score in (p.chosen, p.rejected)]
    return {
        "pairs": len(pairs),
        "accuracy": accuracy(pairs),
        "by_slice": _by(pairs, "slice"),
        "by_axis": _by(pairs, "axis"),
        "margin": statistics.mean([p.margin for p in pairs], [p.cluster for p in pairs], "real").to_json(),
        "scores": {"mean": _mean(scores), "deviation": deviation(scores)},
        "calibration": calibration(pairs),
        "length": length(pairs),
    }


def accuracy(pairs: Sequence[ScoredPair]) -> dict[str, Any] | None:
    """The share of pairs whose chosen answer scores higher, with its interval; None without pairs."""
    if not pairs:
        return None
    return statistics.mean([p.won for p in pairs], [p.cluster for p in pairs], "share").to_json()


def _by(pairs: Sequence[ScoredPair], field: str) -> dict[str, Any]:
    names = sorted({name for p in pairs if (name := getattr(p, field)) is not None})
    return {name: accuracy([p for p in pairs if getattr(p, field) == name]) for name in names}


def calibration(pairs: Sequence[ScoredPair]) -> dict[str, Any]:
    """Expected calibration error (Naeini et al. 2015), and the bins of a reliability diagram.

    A pair's confidence is the probability of the answer that scores higher; a bin holds its mean and how often it was
    right. ECE is their mean distance, weighted by pairs: 0 for a model that is right as often as it says.
    """
    bins: list[list[ScoredPair]] = [[] for _ in range(BINS)]
    for pair in pairs:
        bins[min(BINS - 1, int((_confidence(pair) - 0.5) * 2 * BINS))].append(pair)
    told = []
    for number, held in enumerate(bins):
        if held:
            sure, right = _mean([_confidence(p) for p in held]), _mean([p.won for p in held])
            low, high = (0.5 + k / (2 * BINS) for k in (number, number + 1))
            told.append({"low": low, "high": high, "confidence": sure, "accuracy": right, "pairs": len(held)})
    error = sum(b["pairs"] * abs(b["confidence"] - b["accuracy"]) for b in told) / len(pairs)
    return {"ece": error, "bins": told}


def _confidence(pair: ScoredPair) -> float:
    return 1 / (1 + math.exp(-min(abs(pair.margin), 700.0)))


def length(pairs: Sequence[ScoredPair]) -> dict[str, Any]:
    """How far length alone goes: its correlations with score, and accuracy where it cannot help.

    `correlation` is over all answers, `within_pairs` between differences of score and of length, where prompts play no
    part; null where one of the two never varies. `longer_is_chosen`: the accuracy of preferring the longer answer.
    """
    scores = [score for p in pairs for score in (p.chosen, p.rejected)]
    tokens = [float(n) for p in pairs for n in (p.chosen_tokens, p.rejected_tokens)]
    differences = [float(p.chosen_tokens - p.rejected_tokens) for p in pairs]
    matched = [p for p in pairs if p.matched]
    margins = [p.margin for p in pairs]
    return {
        "correlation": correlation(scores, tokens),
        "within_pairs": _uncentred(margins, differences),
        "longer_is_chosen": _mean([0.5 if d == 0 else float(d > 0) for d in differences]),
        "matched_pairs": len(matched),
        "matched_accuracy": accuracy(matched),
    }


def correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Pearson's correlation."""
    centre_a, centre_b = _mean(a), _mean(b)
    return _uncentred([x - centre_a for x in a], [y - centre_b for y in b])


def _uncentred(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Correlation about 0: of differences, which change sign when the two answers change places."""
    norm = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(y * y for y in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / norm if norm else None


def deviation(values: Sequence[float]) -> float:
    centre = _mean(values)
    return math.sqrt(_mean([(v - centre) ** 2 for v in values]))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
