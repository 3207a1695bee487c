from __future__ import annotations

import random

import numpy as np
import pytest

from align.evals.statistics import bootstrap, mean, paired_difference, paired_test


def test_mcnemar_by_hand() -> None:
    """7 prompts won, 1 lost, 4 the same: p = 2 (C(8,0) + C(8,1)) / 2^8 = 18/256."""
    ours, theirs = [1.0] * 7 + [0.0] + [1.0] * 4, [0.0] * 7 + [1.0] + [1.0] * 4
    p, name = paired_test(ours, theirs, range(12))
    assert (p, name) == (pytest.approx(18 / 256), "McNemar")


def test_the_exact_permutation_test_by_hand() -> None:
    """Differences 3, 2, -1 sum to 4. Of the 8 choices of signs, 3+2-1, 3+2+1 and their opposites are as far: p = 4/8."""
    p, name = paired_test([3.0, 2.0, 0.0], [0.0, 0.0, 1.0], range(3))
    assert (p, name) == (0.5, "exact permutation")


def test_models_are_exchanged_prompt_by_prompt() -> None:
    """Five rows of one prompt change together: two prompts can show no more than p = 2/4."""
    p, _ = paired_test([1.0] * 10, [0.0] * 10, [i // 5 for i in range(10)])
    assert p == 0.5


def test_equal_answers_differ_with_p_1() -> None:
    assert paired_test([0.5, 1.0], [0.5, 1.0], range(2)) == (1.0, "no prompt differs")


def test_the_drawn_permutation_test_agrees_with_the_exact_one_and_with_its_seed() -> None:
    """Sixteen prompts, one of them hardly different, are drawn; the same without it are too few to draw... and agree."""
    rng = random.Random(4)
    changes = [rng.gauss(0.4, 1) for _ in range(14)]
    exact, _ = paired_test(changes, [0.0] * 14, range(14))
    ours = [*changes, 1e-9, 1e-9]
    drawn, name = paired_test(ours, [0.0] * 16, range(16), seed=3)
    assert name == "permutation"
    assert drawn == pytest.approx(exact, abs=0.02)
    assert paired_test(ours, [0.0] * 16, range(16), seed=3) == (drawn, name)


def test_equal_models_are_called_different_five_times_in_100() -> None:
    rng, wrong = random.Random(5), 0
    for _ in range(400):
        wrong += paired_test([rng.gauss(0, 1) for _ in range(12)], [0.0] * 12, range(12))[0] <= 0.05
    assert wrong / 400 == pytest.approx(0.05, abs=0.035)


def test_the_bootstrap_of_a_mean_has_the_interval_of_the_mean() -> None:
    """Over prompts, four rows each, and the same again for the same seed."""
    rng = random.Random(0)
    values = [level + rng.gauss(0, 0.2) for level in (rng.gauss(0, 1) for _ in range(40)) for _ in range(4)]
    clusters = [i // 4 for i in range(160)]
    array = np.array(values)
    found = bootstrap(lambda rows: float(array[rows].mean()), clusters, seed=1)
    exact = mean(values, clusters, "real")
    assert found.value == pytest.approx(exact.value)
    assert found.se == pytest.approx(exact.se, rel=0.06)
    assert found == bootstrap(lambda rows: float(array[rows].mean()), clusters, seed=1)
    assert found.clusters == 40


def test_a_bootstrapped_difference_is_paired_when_both_models_stand_in_the_statistic() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(0, 5, 60)
    ours = theirs + rng.normal(0.3, 0.1, 60)
    found = bootstrap(lambda rows: float(np.median(ours[rows] - theirs[rows])), range(60))
    assert 0.2 < found.low < 0.3 < found.high < 0.4


def test_bootstrapped_intervals_of_a_median_difference_cover_it() -> None:
    """600 tries have a standard error of .009; the bootstrap of a median is known to be a little wide."""
    rng, inside = np.random.default_rng(7), 0
    for attempt in range(600):
        changes = rng.normal(0.2, 1, 61)
        found = bootstrap(lambda rows, c=changes: float(np.median(c[rows])), range(61), seed=attempt, draws=150)
        inside += found.low <= 0.2 <= found.high
    assert 0.93 <= inside / 600 <= 0.985


def test_weighted_rows_are_compared_as_ratios() -> None:
    """6 / 4 - 4 / 4 with the same tokens."""
    assert paired_difference([2, 4], [1, 3], "ab", "real", [2, 2], [2, 2]).value == pytest.approx(0.5)
