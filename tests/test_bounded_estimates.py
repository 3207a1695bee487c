"""Quantities that can be anything, and those that lie in [0, 1] or in [-1, 1] whatever was seen of them."""

from __future__ import annotations

import math

import pytest

from align.estimates import Sample, apart, difference, mean, over_seeds


def test_a_real_quantity_that_is_always_0_is_told_as_0_and_a_share_is_not() -> None:
    """A model's KL to itself is 0 for each of its answers and can be nothing else; a share of 0 in 8 may be 32 %."""
    clusters = [i // 3 for i in range(24)]
    real, share = mean([0.0] * 24, clusters, "real"), mean([0.0] * 24, clusters, "share")
    assert (real.low, real.high, real.method) == (0, 0, "t")
    assert share.low == 0 and share.high > 0.3
    same = Sample([0.0] * 24, None, clusters, "real")
    assert (difference(same, same).low, difference(same, same).high) == (0, 0)
    assert over_seeds([same, same]).bounds() == (0, 0)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("values", [[0.0, 0.5], [0.5, 1.0], [0.5, 0.5], [1.0, 1.0], [0.0, 1.0], [0.2, 0.9]])
def test_bounds_of_a_share_are_shares_and_those_of_a_difference_of_two_lie_within_1(
    values: list[float], level: float
) -> None:
    found = mean(values, "ab", "share")
    low, high = found.bounds(level)
    assert 0 <= low <= found.value <= high <= 1 and low < high
    ours, theirs = Sample(values, None, "ab", "share"), Sample([1.0, 0.0], None, "ab", "share")
    others = Sample([0.0, 0.5], None, "cd", "share")
    for told in (difference(ours, theirs), difference(ours, ours), difference(ours, others), apart(found, found)):
        low, high = told.bounds(level)
        assert -1 <= low <= told.value <= high <= 1 and low < high
        assert told.scale == "signed"
    low, high = over_seeds([ours, theirs]).bounds(level)
    assert 0 <= low < high <= 1
    low, high = over_seeds([ours, ours], [theirs, theirs]).bounds(level)
    assert -1 <= low < high <= 1


def test_a_share_s_bounds_are_those_of_its_logit() -> None:
    """.25 with se .25 in two prompts: logit -1.0986 ± t(1) * .25 / .1875 = 12.7062 * 1.3333 = 16.94; at level .5 t(1) is 1:
    -2.4320 and .2347, which are shares of .0808 and .5584."""
    found = mean([0.0, 0.5], "ab", "share")
    assert found.bounds(0.5) == (pytest.approx(0.0808, abs=1e-4), pytest.approx(0.5584, abs=1e-4))
    assert (found.low, found.high) == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))


def test_ties_alone_are_no_proof_of_a_tie() -> None:
    """24 ties, as if one had been won and one lost besides: se = sqrt(.5) / 26 = .0272."""
    found = mean([0.5] * 24, range(24), "share")
    assert found.se == pytest.approx(math.sqrt(0.5) / 26)
    assert 0.44 < found.low < 0.45 and 0.55 < found.high < 0.56


def test_shares_of_other_prompts_that_all_agree_are_not_surely_equal() -> None:
    """Ten of ten twice: each as 11 of 12, se = sqrt(11 / 12 / 12 / 12) = .0798; of both .1128."""
    yes = [Sample([1.0] * 10, None, part, "share") for part in (range(10), range(10, 20))]
    found = difference(*yes)
    assert found.se == pytest.approx(math.sqrt(2 * 11 / 12**3))
    assert found.low < -0.2 < 0.2 < found.high


def test_changed_answers_get_the_interval_of_their_difference() -> None:
    """A drop told row by row and the paired difference of the same answers are one figure."""
    before, now = [1.0, 1.0, 1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    drop = mean([b - n for b, n in zip(before, now, strict=True)], range(6), "signed")
    paired = difference(Sample(before, None, range(6), "share"), Sample(now, None, range(6), "share"))
    assert (drop.low, drop.high, drop.method) == (paired.low, paired.high, "bonett_price")
    assert drop.value == pytest.approx(paired.value)
