from __future__ import annotations

import math
import random

import pytest

from align.evals.statistics import mean, paired_difference, ratio, student_t, wilson


def test_ratio_by_hand() -> None:
    """y = 1, 2, 6 over x = 1, 2, 3: R = 9/6 = 1.5; residuals y - R x = -.5, -1, 1.5; their squares sum to 3.5;
    variance = 3.5 / 36 * 3/2 = .14583; t(2) = 4.3027; half width = 1.6431."""
    found = ratio([1, 2, 6], [1, 2, 3], ["a", "b", "c"])
    assert found.value == 1.5
    assert found.high - found.value == pytest.approx(4.30265 * math.sqrt(3.5 / 36 * 1.5), abs=1e-4)


def test_rows_of_one_prompt_are_one_piece_of_evidence() -> None:
    """Ten copies of each of three rows know no more than the three rows."""
    once = mean([0.2, 0.5, 0.9], ["a", "b", "c"])
    often = mean([0.2, 0.5, 0.9] * 10, ["a", "b", "c"] * 10)
    assert often.value == pytest.approx(once.value)
    assert often.high - often.low == pytest.approx(once.high - once.low)
    assert (often.n, often.clusters) == (30, 3)


def test_wilson_by_hand() -> None:
    """10 of 10: low = 1 / (1 + z^2 / n) = 1 / 1.38416 = .7225, high = 1 (Wilson 1927)."""
    low, high = wilson(10, 10)
    assert low == pytest.approx(0.7225, abs=1e-3)
    assert high == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("freedom", "table"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (29, 2.045), (1000, 1.962)]
)
def test_student_t_equals_the_table(freedom: int, table: float) -> None:
    assert student_t(freedom) == pytest.approx(table, abs=1e-3)


def test_one_prompt_alone_bounds_nothing() -> None:
    found = mean([0.3, 0.4], ["a", "a"]).to_json()
    assert found["low"] is None and found["high"] is None


def coverage(draw: object, truth: float, tries: int = 3000) -> float:
    inside = 0
    for _ in range(tries):
        found = draw()  # type: ignore[operator]
        inside += found.low <= truth <= found.high
    return inside / tries


def test_intervals_cover_their_truth_95_times_in_100() -> None:
    """By simulation, for skewed values, shares, clustered rows and paired differences. 3,000 tries have a standard error of
    .004, so that .93 to .97 is passed by a right interval and failed by one 10 % too narrow (.921)."""
    rng = random.Random(0)

    def skewed() -> object:
        values = [rng.expovariate(1) for _ in range(80)]
        return mean(values, range(80))

    def share() -> object:
        return mean([float(rng.random() < 0.3) for _ in range(60)], range(60))

    def clustered() -> object:
        levels = [rng.gauss(0.5, 0.3) for _ in range(40)]
        return mean([v + rng.gauss(0, 0.3) for v in levels for _ in range(5)], [c for c in range(40) for _ in range(5)])

    def paired() -> object:
        base = [rng.gauss(0, 1) for _ in range(50)]
        return paired_difference([b + rng.gauss(0.2, 0.5) for b in base], base, range(50))

    for draw, truth in ((skewed, 1.0), (share, 0.3), (clustered, 0.5), (paired, 0.2)):
        assert 0.93 <= coverage(draw, truth) <= 0.97, draw.__name__
