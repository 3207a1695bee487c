from __future__ import annotations

import itertools
import math
import random

import pytest

from align.estimates import Sample, difference
from align.paired import exact_permutation, holm, paired_p


def sample(values: list[float], clusters: str | list[int] | None = None, weights: list[float] | None = None) -> Sample:
    return Sample(values, weights, clusters or list(range(len(values))), "real")


def test_yes_and_no_answers_are_tested_by_those_that_changed_sides() -> None:
    """Five better, one worse: P(at most one of six) = 7 / 64, on either side."""
    ours, theirs = [1.0] * 5 + [0.0] + [1.0] * 9, [0.0] * 5 + [1.0] + [1.0] * 9
    assert paired_p(sample(ours), sample(theirs)) == (pytest.approx(2 * 7 / 64), "McNemar")
    assert paired_p(sample(ours), sample(ours)) == (1.0, "no prompt differs")


def test_few_prompts_are_exchanged_in_every_way() -> None:
    changes = [0.3, -0.1, 0.4, 0.2, 0.25]
    reached = [
        abs(sum(s * c for s, c in zip(signs, changes, strict=True))) >= sum(changes) - 1e-9
        for signs in itertools.product((1, -1), repeat=5)
    ]
    assert exact_permutation(changes) == sum(reached) / 32
    p, test = paired_p(sample(changes), sample([0.0] * 5))
    assert (p, test) == (sum(reached) / 32, "exact permutation")


def test_rows_of_one_prompt_are_one_exchange() -> None:
    assert paired_p(sample([1.0, 1.0, 1.0], "aab"), sample([0.0, 0.0, 0.0], "aab")) == (0.5, "exact permutation")


def test_many_prompts_and_ratios_have_the_t_of_their_interval() -> None:
    """p is .05 where an end of the interval lies on zero."""
    rng = random.Random(0)
    base = [rng.gauss(0, 1) for _ in range(40)]
    found = difference(sample([rng.gauss(0, 1) for _ in base]), sample(base))
    rng = random.Random(0)
    base = [rng.gauss(0, 1) for _ in range(40)]
    ours = [rng.gauss(0, 1) - found.low for _ in base]
    p, test = paired_p(sample(ours), sample(base))
    assert (p, test) == (pytest.approx(0.05, abs=1e-6), "t")
    assert paired_p(sample([2.0, 3.0], None, [1.0, 2.0]), sample([1.0, 1.0], None, [1.0, 2.0]))[1] == "t"
    assert math.isnan(paired_p(sample([2.0], None, [2.0]), sample([1.0], None, [2.0]))[0])


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    """Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, the last raised to .06; what was not tested counts for none."""
    assert holm([0.01, 0.04, math.nan, 0.03, 0.005]) == pytest.approx([0.03, 0.06, math.nan, 0.06, 0.02], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_of_many_differences_that_are_none_few_survive() -> None:
    """Of 200 families of 20 tests without any difference about 5 % have a survivor; uncorrected about 64 % would."""
    rng = random.Random(1)
    corrected = single = 0
    for _ in range(200):
        ps = [paired_p(sample([rng.gauss(0, 1) for _ in range(30)]), sample([0.0] * 30))[0] for _ in range(20)]
        corrected += min(holm(ps)) < 0.05
        single += min(ps) < 0.05
    assert corrected / 200 < 0.1 and single / 200 > 0.5
