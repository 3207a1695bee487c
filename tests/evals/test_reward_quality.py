"""The report on a reward model, against numbers worked by hand."""

from __future__ import annotations

import math
import random

import pytest

from align.evals import reward_quality
from align.evals.reward_quality import ScoredPair


def pair(margin: float, lengths: tuple[int, int] = (10, 10), cluster: str = "", **about: str) -> ScoredPair:
    return ScoredPair(margin, 0.0, *lengths, cluster or str(random.random()), **about)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_a_tie_is_half_and_pairs_of_one_prompt_are_one_cluster() -> None:
    told = reward_quality.accuracy([pair(1.0), pair(0.0), pair(-2.0)])
    assert told and told["value"] == 0.5 and told["clusters"] == 3
    rows = [pair(1.0, cluster="a")] * 5 + [pair(-1.0, cluster="b")] * 5 + [pair(1.0, cluster="c")] * 5
    spread = reward_quality.accuracy(rows)
    assert spread and spread["clusters"] == 3 and 0 < spread["low"] < 0.05 < 0.95 < spread["high"] < 1


def test_calibration_error_is_how_far_confidence_is_from_being_right() -> None:
    """Ten pairs at 80 %, eight of them right: no error. Ten at 95 %, five right: .45. Together .225."""
    good = [pair(logit(0.8))] * 8 + [pair(-logit(0.8))] * 2
    sure = [pair(logit(0.95))] * 5 + [pair(-logit(0.95))] * 5
    assert reward_quality.calibration(good)["ece"] == pytest.approx(0)
    told = reward_quality.calibration(good + sure)
    assert told["ece"] == pytest.approx(0.225)
    assert [(b["pairs"], round(b["confidence"], 9), b["accuracy"]) for b in told["bins"]] == [
        (10, 0.8, 0.8),
        (10, 0.95, 0.5),
    ]
    assert reward_quality.calibration([pair(1e9), pair(0.0)])["ece"] == pytest.approx(0)


def test_a_model_of_length_is_seen_as_one() -> None:
    """Scores are lengths: correlation 1 with them, right as often as the longer answer is chosen, and no better than
    that where lengths match."""
    lengths = [(30, 10), (40, 10), (10, 30), (50, 20), (100, 99), (99, 100)]
    told = reward_quality.length([ScoredPair(float(c), float(r), c, r, str(i)) for i, (c, r) in enumerate(lengths)])
    assert told["correlation"] == pytest.approx(1) and told["within_pairs"] == pytest.approx(1)
    assert told["longer_is_chosen"] == pytest.approx(4 / 6)
    assert told["matched_pairs"] == 2 and told["matched_accuracy"]["value"] == 0.5


def test_lengths_within_a_tenth_match() -> None:
    assert pair(0, (100, 91)).matched and not pair(0, (100, 90)).matched and pair(0, (7, 7)).matched


def test_a_number_that_does_not_exist_is_null_and_not_nan() -> None:
    told = reward_quality.report([pair(1.0, (10, 20))])
    assert told["length"]["matched_accuracy"] is None and told["accuracy"]["n"] == 1
    assert reward_quality.length([pair(1.0, (5, 5)), pair(1.0, (5, 5))])["correlation"] is None


def test_slices_and_axes_are_told_apart() -> None:
    told = reward_quality.report([pair(1.0, slice="near", axis="safe"), pair(-1.0, slice="far"), pair(1.0)])
    assert {k: v["value"] for k, v in told["by_slice"].items()} == {"near": 1.0, "far": 0.0}
    assert told["by_axis"].keys() == {"safe"} and told["pairs"] == 3
