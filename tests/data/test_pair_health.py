"""Numbers worked by hand."""

import numpy as np
import pytest

from align.data.pair_health import PairHealth, imbalance, in_cycles, label_noise, notes, wilson
from align.data.row_statistics import Texts


def health(*pairs: tuple[str, str, str], margins: tuple[float, ...] = (), raws: tuple[dict, ...] = ()) -> dict:
    """Pairs as (prompt, chosen, rejected), numbered from 1."""
    found = PairHealth()
    for number, (prompt, chosen, rejected) in enumerate(pairs, 1):
        row = {"margin": margins[number - 1]} if margins else {}
        found.add(row, Texts(prompt, (chosen, rejected)), number, raws[number - 1] if raws else {})
    return found.report()


def test_the_same_two_answers_both_ways_round_contradict():
    found = health(("p", "a", "b"), ("p", "b", "a"), ("q", "b", "a"), ("p", "a", "c"))
    assert found["contradictory"] == {"pairs": 2, "examples": [[1, 2]]}


def test_health_of_the_pairs_kept_leaves_the_others_out():
    found = PairHealth()
    for number, (chosen, rejected, margin) in enumerate((("a", "b", 1.0), ("b", "a", -1.0), ("long", "b", 0.0)), 1):
        found.add({"margin": margin}, Texts("p", (chosen, rejected)), number, {})
    whole, kept = found.report(), found.report(np.array([True, False, True]))
    assert whole["contradictory"]["pairs"] == 2 and kept["contradictory"]["pairs"] == 0
    assert (whole["margin"], kept["margin"]) == ({"pairs": 3, "against": 1}, {"pairs": 2, "against": 0})
    assert (whole["pairs"], kept["pairs"]) == (3, 2) and kept["length"]["chosen_longer"]["n"] == 1


def test_pairs_of_other_prompts_do_not_contradict():
    assert health(("p", "a", "b"), ("q", "b", "a"))["contradictory"]["pairs"] == 0


def test_a_circle_of_three_is_found_and_what_hangs_on_it_is_not_part_of_it():
    found = health(("p", "a", "b"), ("p", "b", "c"), ("p", "c", "a"), ("p", "a", "d"), ("p", "e", "a"), ("q", "a", "b"))
    assert found["cycles"] == {"prompts": 1, "pairs": 3, "examples": [[1, 2, 3]]}
    assert health(("p", "a", "b"), ("p", "b", "c"), ("p", "a", "c"))["cycles"]["prompts"] == 0


def test_a_contradiction_is_no_circle():
    found = health(("p", "a", "b"), ("p", "b", "a"), ("p", "b", "c"))
    assert found["cycles"]["prompts"] == 0 and found["contradictory"]["pairs"] == 2


def test_edges_that_lead_out_of_no_circle_are_peeled_off():
    chain = [(n, n + 1, n) for n in range(50)]
    assert in_cycles(chain) == []
    assert in_cycles([*chain, (3, 0, 99)]) == [(0, 1, 0), (1, 2, 1), (2, 3, 2), (3, 0, 99)]


def test_label_noise_solves_d_equals_2e_times_1_minus_e():
    assert label_noise(0, 0) is None
    assert label_noise(18, 100) == pytest.approx(0.1)  # 2 * 0.1 * 0.9
    assert label_noise(90, 100) == 0.5
    found = health(("p", "a", "b"), ("p", "a", "b"), ("p", "b", "a"))["label_noise"]
    assert (found["judged_again"], found["disagreeing"]) == (3, 2)


def test_label_noise_finds_the_share_of_labels_that_were_flipped():
    import random

    draw = random.Random(0)
    pairs = []
    for n in range(2000):
        for _ in range(2):
            sides = ("a", "b") if draw.random() > 0.2 else ("b", "a")
            pairs.append((f"p{n}", *sides))
    assert health(*pairs)["label_noise"]["value"] == pytest.approx(0.2, abs=0.03)


def test_the_length_gap_leaves_equal_lengths_out_and_has_wilsons_interval():
    found = health(("p", "long", "b"), ("q", "longer", "b"), ("r", "a", "longest"), ("s", "a", "b"))["length"]
    assert found["chosen_longer"]["value"] == pytest.approx(2 / 3, abs=1e-4) and found["chosen_longer"]["n"] == 3
    assert found["mean_gap"] == pytest.approx((3 + 5 - 6 + 0) / 4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_a_pair_against_its_own_margin_is_counted():
    assert health(("p", "a", "b"), ("q", "a", "b"), margins=(1.0, -0.5))["margin"] == {"pairs": 2, "against": 1}


def test_a_pair_against_its_own_scores_is_counted():
    raws = (
        {"score_chosen": 3, "score_rejected": 8.5},
        {"chosen_score": "2", "rejected_score": "1"},
        {"score_chosen": 1},
    )
    assert health(*[("p", "a", "b")] * 3, raws=raws)["margin"] == {"pairs": 2, "against": 1}


def test_healthy_pairs_are_not_spoken_of():
    pairs = [(f"p{n}", "aa" if n % 2 else "a", "a" if n % 2 else "aa") for n in range(40)]
    assert notes(health(*pairs)) == []


def test_a_source_that_outweighs_the_others_is_told():
    assert imbalance({"web": {"share": 0.9}, "books": {"share": 0.1}}) == [
        "90% of the rows are of one source, web; there are 2"
    ]
    assert imbalance({"web": {"share": 1.0}}) == [] == imbalance({"web": {"share": 0.6}, "books": {"share": 0.4}})
