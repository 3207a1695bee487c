from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from align.estimates import (
    Estimate,
    Sample,
    Scale,
    detectable,
    difference,
    mean,
    over_seeds,
    ratio,
    seeds_of,
    wilson,
)
from align.quantiles import incomplete_beta, normal_quantile, student_t


def test_ratio_by_hand() -> None:
    """y = 1, 2, 6 over x = 1, 2, 3: R = 9/6 = 1.5; residuals y - R x = -.5, -1, 1.5; their squares sum to 3.5;
    variance = 3.5 / 36 * 3/2 = .14583; t(2) = 4.3027; half width = 1.6431."""
    found = ratio([1, 2, 6], [1, 2, 3], ["a", "b", "c"])
    assert found.value == 1.5
    assert found.se == pytest.approx(math.sqrt(3.5 / 36 * 1.5))
    assert found.high - found.value == pytest.approx(4.30265 * math.sqrt(3.5 / 36 * 1.5), abs=1e-4)


def test_rows_of_one_prompt_are_one_piece_of_evidence() -> None:
    """Ten copies of each of three rows know no more than the three rows."""
    once = mean([0.2, 0.5, 0.9], ["a", "b", "c"], "real")
    often = mean([0.2, 0.5, 0.9] * 10, ["a", "b", "c"] * 10, "real")
    assert often.value == pytest.approx(once.value)
    assert often.high - often.low == pytest.approx(once.high - once.low)
    assert (often.n, often.clusters) == (30, 3)


def test_a_share_of_rows_that_share_prompts_is_bounded_even_when_all_agree() -> None:
    """20 rows of 10 prompts, all 1: as ten rows, with t(9) = 2.262 for z: low = 1 / (1 + 2.262^2 / 10) = .6615."""
    found = mean([1.0] * 20, [i // 2 for i in range(20)], "share")
    assert found.low == pytest.approx(1 / (1 + 2.26216**2 / 10), abs=1e-4)
    assert found.high == 1


def test_wilson_by_hand() -> None:
    """10 of 10: low = 1 / (1 + z^2 / n) = 1 / 1.38416 = .7225, high = 1 (Wilson 1927)."""
    low, high = wilson(1.0, 10)
    assert low == pytest.approx(0.7225, abs=1e-3)
    assert high == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("freedom", "level", "table"),
    [(1, 0.95, 12.706), (2, 0.95, 4.303), (4, 0.95, 2.776), (9, 0.9, 1.833), (29, 0.99, 2.756), (1000, 0.95, 1.962),
     (3, 0.999, 12.924), (200, 0.99, 2.6006), (201, 0.99, 2.6006), (100_000, 0.95, 1.95999)],
)  # fmt: skip
def test_student_t_equals_the_table(freedom: int, level: float, table: float) -> None:
    assert student_t(freedom, level) == pytest.approx(table, abs=6e-4)


def test_incomplete_beta_in_closed_form() -> None:
    """I_x(1, b) = 1 - (1 - x)^b, and I_x(a, b) = 1 - I_(1-x)(b, a)."""
    assert incomplete_beta(1, 3, 0.2) == pytest.approx(1 - 0.8**3)
    assert incomplete_beta(2.5, 4, 0.7) == pytest.approx(1 - incomplete_beta(4, 2.5, 0.3))
    assert (incomplete_beta(2, 3, 0), incomplete_beta(2, 3, 1)) == (0, 1)


def test_one_prompt_alone_bounds_nothing() -> None:
    found = mean([0.3, 0.4], ["a", "a"], "real")
    assert found.to_json()["low"] is None and found.to_json()["high"] is None
    assert found.bounds(0.5) == (-math.inf, math.inf)
    assert Estimate.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0.0, 1.0, 1.0, 1.0], "share"), ([0.1, 0.5, 0.5, 1.0], "share"), ([0.1, 0.4, 0.5, 2.0], "real")],
)
def test_an_estimate_survives_json_and_gives_its_own_interval_at_its_own_level(
    values: list[float], scale: Scale
) -> None:
    found = mean(values, range(4), scale)
    again = Estimate.from_json(found.to_json() | {"difference": {}})
    assert again == found
    assert again.bounds(0.95) == pytest.approx((found.low, found.high))
    narrow, wide = again.bounds(0.8), again.bounds(0.99)
    assert wide[0] < found.low < narrow[0] < found.value < narrow[1] < found.high < wide[1]


def test_an_estimate_without_a_standard_error_takes_it_from_its_interval() -> None:
    """Half width 1, four clusters: se = 1 / t(3) = 1 / 3.18245."""
    found = Estimate.from_json({"value": 2.0, "low": 1.0, "high": 3.0, "n": 8, "clusters": 4})
    assert found.se == pytest.approx(1 / 3.18245, abs=1e-5)
    assert found.bounds(0.95) == pytest.approx((1, 3))


def test_four_times_the_rows_halve_the_error() -> None:
    found = mean([0.1, 0.4, 0.5, 2.0], range(4), "real").times(4)
    assert (found.n, found.clusters) == (16, 16)
    assert found.se == pytest.approx((mean([0.1, 0.4, 0.5, 2.0], range(4), "real").se or 0) / 2)


def test_the_same_rows_are_paired() -> None:
    """ours - theirs = .1, .2, .3 on rows that differ by whole units: se = .1 / sqrt(3), not the rows' own spread."""
    found = difference(Sample([1.1, 5.2, 9.3], None, "abc", "real"), Sample([1.0, 5.0, 9.0], None, "abc", "real"))
    assert found.value == pytest.approx(0.2)
    assert found.se == pytest.approx(0.1 / math.sqrt(3))
    assert found.clusters == 3


def test_ratios_of_the_same_rows_are_paired_by_their_linear_parts() -> None:
    """y/x = 4/2 = 2 with x = 1, 1: residuals -1, 1 over 2. y'/x' = 6/4 with x' = 2, 2: residuals -1, 1 over 4.
    Parts differ by -.25, .25: se = sqrt(.125 * 2) = .5."""
    found = difference(Sample([1, 3], [1, 1], "ab", "real"), Sample([2, 4], [2, 2], "ab", "real"))
    assert found.value == pytest.approx(0.5)
    assert found.se == pytest.approx(0.5)


def test_rows_of_other_prompts_are_independent() -> None:
    """Welch: 1, 2, 3 (variance 1) and 0, 4 (variance 8): se^2 = 1/3 + 4; freedom = 18.78 / (1/18 + 16) = 1.17."""
    found = difference(Sample([1.0, 2, 3], None, "abc", "real"), Sample([0.0, 4], None, "de", "real"))
    assert found.value == 0
    assert found.se == pytest.approx(math.sqrt(1 / 3 + 4))
    assert found.clusters == 2


def test_equal_answers_to_ten_prompts_are_no_proof_of_equality() -> None:
    """Bonett and Price with no change among 10: centre 0, se = sqrt(2/12 / 12) = .1179; half width = 1.96 * .1179."""
    found = difference(Sample([1.0] * 10, None, range(10), "share"), Sample([1.0] * 10, None, range(10), "share"))
    assert (found.value, found.method) == (0, "bonett_price")
    assert found.high == pytest.approx(1.95996 * math.sqrt(2 / 144), abs=1e-4)


def test_what_500_prompts_can_show() -> None:
    """(1.9647 + .8416) * .32 / sqrt(500) = .0402."""
    assert detectable(500, 0.32) == pytest.approx(0.0402, abs=1e-4)
    assert detectable(1) == math.inf


def test_a_difference_of_the_detectable_size_is_shown_four_times_in_five() -> None:
    rng, shown, tries = random.Random(1), 0, 1500
    true = detectable(40, 1.0)
    for _ in range(tries):
        shown += mean([rng.gauss(true, 1) for _ in range(40)], range(40), "real").low > 0
    assert shown / tries == pytest.approx(0.8, abs=0.035)


def test_intervals_cover_their_truth_95_times_in_100() -> None:
    """3,000 tries have a standard error of .004, so that .93 to .97 is passed by a right interval and failed by one 10 %
    too narrow (.921)."""
    rng = random.Random(0)

    def skewed() -> Estimate:
        return mean([rng.expovariate(1) for _ in range(80)], range(80), "real")

    def share() -> Estimate:
        return mean([float(rng.random() < 0.3) for _ in range(60)], range(60), "share")

    def shares_of_prompts() -> Estimate:
        """Four answers to each of 50 prompts that are easier or harder: E[p] = 2 / (2 + 1)."""
        easy = [rng.betavariate(2, 1) for _ in range(50)]
        return mean(
            [float(rng.random() < p) for p in easy for _ in range(4)], [c for c in range(50) for _ in range(4)], "share"
        )

    def clustered() -> Estimate:
        levels = [rng.gauss(0.5, 0.3) for _ in range(40)]
        return mean(
            [v + rng.gauss(0, 0.3) for v in levels for _ in range(5)], [c for c in range(40) for _ in range(5)], "real"
        )

    def per_token() -> Estimate:
        tokens = [rng.randint(5, 60) for _ in range(60)]
        return ratio([t * 1.5 + rng.gauss(0, math.sqrt(t)) for t in tokens], [float(t) for t in tokens], range(60))

    def paired() -> Estimate:
        base = [rng.gauss(0, 1) for _ in range(50)]
        return difference(
            Sample([b + rng.gauss(0.2, 0.5) for b in base], None, range(50), "real"),
            Sample(base, None, range(50), "real"),
        )

    def paired_shares() -> Estimate:
        base = [float(rng.random() < 0.6) for _ in range(60)]
        ours = [float(rng.random() < (0.8 if b else 0.4)) for b in base]
        return difference(Sample(ours, None, range(60), "share"), Sample(base, None, range(60), "share"))

    def paired_ratios() -> Estimate:
        """Two models' losses a token on the same texts, each cut into tokens of its own; 2 bits against 1.5."""
        size = [rng.randint(5, 60) for _ in range(60)]
        hard = [rng.gauss(0, 0.3) for _ in size]
        ours = [t * (2 + h + rng.gauss(0, 0.1)) for t, h in zip(size, hard, strict=True)]
        theirs = [t * (1.5 + h + rng.gauss(0, 0.1)) for t, h in zip(size, hard, strict=True)]
        weights = [float(t) for t in size]
        return difference(Sample(ours, weights, range(60), "real"), Sample(theirs, weights, range(60), "real"))

    def wins_and_ties() -> Estimate:
        return mean(rng.choices([0.0, 0.5, 1.0], [0.2, 0.3, 0.5], k=40), range(40), "share")

    def graded() -> Estimate:
        """Scores in [0, 1] near its end, two rows a prompt: E = .9."""
        return mean([rng.betavariate(4.5, 0.5) for _ in range(80) for _ in range(2)], range(160), "share")

    def graded_clusters() -> Estimate:
        levels = [rng.choice([0.0, 0.5, 1.0]) for _ in range(50)]
        return mean(
            [(v + rng.random()) / 2 for v in levels for _ in range(3)],
            [c for c in range(50) for _ in range(3)],
            "share",
        )

    def paired_wins() -> Estimate:
        base = rng.choices([0.0, 0.5, 1.0], k=50)
        ours = [b if rng.random() < 0.6 else rng.choice([0.5, 1.0]) for b in base]
        return difference(Sample(ours, None, range(50), "share"), Sample(base, None, range(50), "share"))

    def independent() -> Estimate:
        ours, theirs = [rng.gauss(1, 1) for _ in range(15)], [rng.gauss(0, 3) for _ in range(30)]
        return difference(Sample(ours, None, range(15), "real"), Sample(theirs, None, range(100, 130), "real"))

    draws: list[tuple[Callable[[], Estimate], float]] = [
        (skewed, 1.0), (share, 0.3), (shares_of_prompts, 2 / 3), (clustered, 0.5), (per_token, 1.5), (paired, 0.2),
        (paired_shares, 0.6 * 0.8 + 0.4 * 0.4 - 0.6), (paired_ratios, 0.5), (independent, 1.0),
        (wins_and_ties, 0.65), (graded, 0.9), (graded_clusters, 0.5), (paired_wins, 0.4 * 0.25),
    ]  # fmt: skip
    for draw, truth in draws:
        held = sum(found.low <= truth <= found.high for found in (draw() for _ in range(3000)))
        assert 0.93 <= held / 3000 <= 0.97, (draw.__name__, held / 3000)


def test_one_sided_bounds_err_five_times_in_100() -> None:
    """The bound of a gate at confidence .95 is an end of the two-sided interval at .9."""
    rng, wrong = random.Random(2), 0
    for _ in range(3000):
        wrong += mean([rng.gauss(1, 1) for _ in range(20)], range(20), "real").bounds(0.9)[0] > 1
    assert wrong / 3000 == pytest.approx(0.05, abs=0.012)
    assert normal_quantile(0.9) == pytest.approx(1.6449, abs=1e-4)


def test_seeds_are_not_pooled_as_if_they_were_independent_rows() -> None:
    """Seeds at .4 and .6 over 100 prompts: over = .5 ± t(1) * .1 = ± 1.2706; the prompts alone know it far better."""
    runs = [Sample([level] * 50 + [level + 0.02] * 50, None, range(100), "real") for level in (0.39, 0.59)]
    found = over_seeds(runs)
    assert found.values == pytest.approx((0.4, 0.6))
    assert (found.over.n, found.over.high) == (2, pytest.approx(0.5 + 12.7062 * 0.1, abs=1e-4))
    assert found.within.n == 100
    assert found.within.se == pytest.approx(0.01 / math.sqrt(99))
    assert math.isinf(over_seeds(runs[:1]).over.high)


def test_seeds_asked_other_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="same prompts"):
        over_seeds([Sample([1.0], None, "a", "real"), Sample([1.0], None, "b", "real")])


def test_the_interval_over_seeds_covers_the_mean_of_all_seeds_and_pooling_would_not() -> None:
    """Training varies by .1 between seeds, prompts by 1 within; five seeds of 200 prompts, the same for each."""
    rng = np.random.default_rng(3)
    over = pooled = 0
    for _ in range(1000):
        prompts = rng.normal(0, 0.2, 200)
        runs = [
            Sample(list(prompts + rng.normal(0, 0.3) + rng.normal(0, 1, 200)), None, range(200), "real")
            for _ in range(5)
        ]
        found = over_seeds(runs).over
        over += found.low <= prompts.mean() <= found.high
        everything = np.concatenate([s.values for s in runs])
        loose = mean(list(everything), range(1000), "real")
        pooled += loose.low <= prompts.mean() <= loose.high
    assert 0.93 <= over / 1000 <= 0.97
    assert pooled / 1000 < 0.5


@pytest.mark.parametrize(("seeds", "spread"), [(2, 0.1), (3, 0.0), (3, 0.3), (5, 0.05)])
def test_the_interval_for_a_new_seed_and_new_prompts_covers_at_least_as_often_as_it_says(
    seeds: int, spread: float
) -> None:
    """Prompts vary by .3, seeds by `spread`, and by .3 again in each: seeds alone would cover far less."""
    rng = np.random.default_rng(4)
    both = alone = 0
    for _ in range(1000):
        prompts = rng.normal(0, 0.3, 60)
        runs = [
            Sample(list(prompts + rng.normal(0, spread) + rng.normal(0, 0.3, 60)), None, range(60), "real")
            for _ in range(seeds)
        ]
        found = over_seeds(runs)
        low, high = found.bounds()
        both += low <= 0 <= high
        alone += found.over.low <= 0 <= found.over.high
    assert both / 1000 >= 0.94 and both >= alone


def test_seeds_that_all_answer_alike_leave_their_prompts_uncertain() -> None:
    low, high = over_seeds([Sample([1.0] * 20, None, range(20), "share")] * 3).bounds()
    assert low < 0.95 < 1 <= high


def test_of_seeds_without_rows_the_widest_interval_is_taken() -> None:
    found = seeds_of([Estimate(0.4, 0.2, 0.6, 50, 50, 0.1), Estimate(0.6, 0.4, 0.8, 40, 40, 0.2)])
    assert (found.over.value, found.within.se, found.within.n) == (pytest.approx(0.5), pytest.approx(0.15), 40)


def test_no_answer_changed_is_no_certainty_also_where_rows_share_prompts() -> None:
    yes = Sample([1.0, 0.0, 1.0, 1.0], None, ["a", "a", "b", "c"], "share")
    same = difference(yes, yes)
    assert same.value == 0 and same.low < -0.3 and same.high > 0.3
    assert (same.low, same.high) == (
        difference(Sample([1.0] * 3, None, "abc", "share"), Sample([1.0] * 3, None, "abc", "share")).low,
        same.high,
    )
