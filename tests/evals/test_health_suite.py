"""The suite health, by hand; and the planted failure it is there for: a proxy that pays for length."""

from __future__ import annotations

import numpy as np
import pytest

from align.evals.asking import Subject
from align.evals.length_control import gain_at_equal_length
from align.evals.measured import Measured, summarize
from align.specs.contests import HealthSuite
from tests.subjects import asked, assistant, saying, user

PROMPTS = [{"prompt": user(text)} for text in ("what is a fox ?", "a dog", "the mat", "fox")]
SUITE = HealthSuite(data="p", against="m", proxy="scorer:length", max_new_tokens=48)


def values(measured: Measured) -> dict[str, float]:
    return {m: parts["all"]["value"] for m, parts in summarize(measured).items()}


def test_repetition_and_distinct_bigrams_are_by_hand(subject: Subject) -> None:
    """`a` is one token: six of them and the stop hold four 4-grams, of which aaaa comes three times."""
    assert len(subject.tokenizer("a a", add_special_tokens=False)["input_ids"]) == 2
    ours, theirs = saying(subject, " a a a a a a", " dog cat"), saying(subject, " fox dog mat", " dog cat")
    found = asked(SUITE, ours, PROMPTS[:2], against=theirs)
    assert found.values["repetition"] == pytest.approx([0.5, 0])
    told = values(found)
    assert told["distinct_2"] == pytest.approx(4 / 8)  # aa, a-stop, dog-cat, cat-stop of 6 + 2 bigrams
    assert told["distinct_2_drop"] == pytest.approx(1 - 4 / 8)
    assert told["length_growth"] == pytest.approx((7 + 3) / (4 + 3) - 1)


def test_a_reward_for_length_is_caught_by_gold_that_falls(subject: Subject) -> None:
    """The proxy counts tokens; gold, the share of short words, was what it stood for: the policy goes on and on."""
    before, hacked = (
        saying(subject, " a dog", " a cat sat", " fox", " the mat"),
        saying(subject, *[" a dog" * 8] * 4, stopped=False),
    )
    suite = HealthSuite(data="p", against="m", proxy="rm", gold="stops", max_new_tokens=48)
    told = summarize(
        asked(suite, hacked, PROMPTS, against=before, proxy=lambda es: [float(e.answer.tokens) for e in es])
    )
    assert told["proxy_gain"]["all"]["low"] > 0 > told["gold_gain"]["all"]["value"]
    assert told["length_growth"]["all"]["low"] > 1 and told["repetition_gain"]["all"]["value"] > 0.5
    assert told["distinct_2_drop"]["all"]["value"] > 0.3


def test_a_proxy_that_rises_with_gold_is_not_over_optimised(subject: Subject) -> None:
    before, now = saying(subject, " a", " a a", " a a a", " a"), saying(subject, " a a", " a a a", " a a a a", " a a")
    suite = HealthSuite(data="p", against="m", proxy="scorer:length", gold="length", max_new_tokens=48)
    found = asked(suite, now, PROMPTS, against=before)
    assert values(found)["overoptimisation"] == 0 and values(found)["gold_gain"] == 1
    assert values(found)["proxy_length_correlation"] == pytest.approx(1)
    other = asked(suite, now, PROMPTS, against=before, proxy=None)
    assert other.values["proxy"] == found.values["proxy"]


def test_likelihood_displacement_is_the_chosen_answer_growing_less_likely(subject: Subject) -> None:
    rows = [{**p, "chosen": assistant("a cat sat"), "rejected": assistant("the fox")} for p in PROMPTS]
    still = asked(HealthSuite(data="p", against="m", max_new_tokens=4), subject, rows, "preference", against=subject)
    assert still.values["chosen_gain"] == [0.0] * 4 and still.values["displaced"] == [0.0] * 4
    assert values(still)["length_growth"] == 0


def test_a_gain_that_is_all_length_is_none_at_equal_length() -> None:
    """gain = 0.5 + 2 tanh(d / sd(d)), d by hand; an answer as long as the other one gained 0.5."""
    longer = [-3.0, 1.0, 8.0, 2.0, 0.0, 5.0]
    of_length = np.tanh(np.array(longer) / np.std(longer))
    for kept in (0.0, 0.5):
        found = gain_at_equal_length(list(kept + 2 * of_length), longer, range(6))
        assert found is not None and found.value == pytest.approx(kept, abs=1e-9)
    assert gain_at_equal_length([1.0, 2.0], [4.0, 4.0], "ab") is None
    same = gain_at_equal_length([1.0, 2.0], [0.0, 0.0], "ab")
    assert same is not None and same.value == 1.5


def test_a_reward_paid_by_the_token_gains_nothing_at_equal_length(subject: Subject) -> None:
    before, now = saying(subject, " a", " a a", " a a a", " a a a"), saying(subject, " a a a", " a a", " a", " a a a a")
    told = values(asked(SUITE, now, PROMPTS, against=before))
    assert told["proxy_gain"] == pytest.approx(0.25)
    assert abs(told["proxy_gain_controlled"]) < 0.1
