"""The suite frontier, by hand: means of samples, KL from the reference, and best-of-n of the reference itself."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from align.evals.asking import Subject
from align.evals.measured import summarize
from align.rollout.engine import Completion, Sampling
from align.specs.contests import FrontierSuite
from tests.subjects import asked, user

PROMPTS = [{"prompt": user(text)} for text in ("what is a fox ?", "a dog")]


class Lengths:
    """An engine whose answers have these numbers of tokens, the stop token last, whatever they are asked."""

    def __init__(self, tokenizer: Any, lengths: list[int]) -> None:
        self._stop, self._lengths = tokenizer.eos_token_id, lengths

    def generate(self, prompts: Any, sampling: Sampling, progress: Any) -> list[Completion]:
        assert sampling.temperature == 1.0
        return [
            Completion([5] * (n - 1) + [self._stop], True) for n, _ in zip(self._lengths * 9, prompts, strict=False)
        ]


def test_best_of_n_is_the_proxys_choice_of_each_group_and_gold_is_what_that_choice_is_worth(subject: Subject) -> None:
    """Row 1 draws 3 1 2 5 tokens, row 2 draws 4 4 1 2. Proxy: length. Gold: 1 where an odd number of tokens was said."""
    suite = FrontierSuite(data="p", against="m", proxy="rm", gold="length", best_of=[1, 2, 4], max_new_tokens=8)
    drawing = replace(subject, engine=Lengths(subject.tokenizer, [3, 1, 2, 5, 4, 4, 1, 2]))
    found = asked(
        suite, drawing, PROMPTS, against=drawing, proxy=lambda episodes: [float(-e.answer.tokens) for e in episodes]
    )
    assert found.values["best_of_1_proxy"] == [-(3 + 1 + 2 + 5) / 4, -(4 + 4 + 1 + 2) / 4]
    assert found.values["best_of_2_proxy"] == [-(1 + 2) / 2, -(4 + 1) / 2]
    assert found.values["best_of_4_proxy"] == [-1, -1]
    assert found.values["best_of_4_gold"] == [1, 1] and found.values["best_of_2_gold"] == [1.5, 2.5]
    assert found.values["best_of_4_kl"] == [pytest.approx(math.log(4) - 3 / 4)] * 2
    assert found.values["best_of_1_kl"] == [0, 0]
    assert found.values["kl"] == [0, 0]  # from itself


def test_another_model_is_sampled_once_and_has_no_best_of_n(subject: Subject) -> None:
    suite = FrontierSuite(data="p", against="m", proxy="scorer:length", best_of=[1, 2], max_new_tokens=8)
    other = replace(subject, digest="another", engine=Lengths(subject.tokenizer, [3, 2]))
    told = summarize(asked(suite, other, PROMPTS, against=subject))
    assert set(told) == {"proxy", "kl", "tokens"} and told["proxy"]["all"]["value"] == 2.5


def test_group_sizes_have_to_divide_the_largest() -> None:
    with pytest.raises(ValueError, match="multiple of each"):
        FrontierSuite(data="p", against="m", proxy="scorer:length", best_of=[3, 4])
