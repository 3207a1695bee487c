"""The reward: a weighted sum, and the rule for completions that never stopped."""

from __future__ import annotations

import math

import pytest

from align.errors import TrainingError
from align.rollout.engine import Completion
from align.scoring.episode import Episode, episode_of
from align.scoring.mixture import Term, named_scorer, score
from align.scoring.named import Answer
from tests.subjects import make_subject


def episode(text: str, stopped: bool = True) -> Episode:
    return Episode(Answer([{"role": "user", "content": "?"}], text, len(text), stopped), [1], Completion([2], stopped))


LENGTH = Term("length", 0.5, lambda rows: [float(len(e.answer.text)) for e in rows])
STOPS = Term("stops", -2.0, named_scorer("stops"))


def test_rewards_are_the_weighted_sum_and_parts_are_unweighted() -> None:
    """0.5 * 2 - 2 * 1 = -1 and 0.5 * 4 - 2 * 0 = 2."""
    scores = score([LENGTH, STOPS], [episode("ab"), episode("abcd", stopped=False)])
    assert scores.rewards == [-1.0, 2.0]
    assert scores.parts == {"length": [2.0, 4.0], "stops": [1.0, 0.0]}


def test_a_completion_without_a_stop_token_pays_a_penalty_or_gets_a_fixed_score() -> None:
    rows = [episode("ab"), episode("abcd", stopped=False)]
    assert score([LENGTH], rows, missing_eos_penalty=1.5).rewards == [1.0, 0.5]
    assert score([LENGTH], rows, missing_eos_score=-3.0).rewards == [1.0, -3.0]
    assert score([LENGTH], rows, missing_eos_score=0.0).rewards == [1.0, 0.0]


def test_a_wrong_count_and_a_number_that_is_not_finite_are_errors() -> None:
    with pytest.raises(TrainingError, match=r"reward short: 1 scores came back\. 2, one a completion"):
        score([Term("short", 1.0, lambda rows: [1.0])], [episode("a"), episode("b")])
    for bad in (math.nan, math.inf):
        with pytest.raises(TrainingError, match=r"score of completion 2 \('b'\) is (nan|inf)"):
            score([Term("bad", 1.0, lambda rows, bad=bad: [1.0, bad])], [episode("a"), episode("b")])


def test_an_episodes_text_has_no_stop_token_and_no_special_tokens() -> None:
    tokenizer = make_subject().tokenizer
    said = tokenizer("a cat", add_special_tokens=False)["input_ids"]
    turn = tokenizer.convert_tokens_to_ids("<|im_start|>")
    stopped = episode_of([], [1], Completion([turn, *said, tokenizer.eos_token_id], True), tokenizer)
    cut = episode_of([], [1], Completion(said, False), tokenizer)
    assert stopped.answer.text == cut.answer.text == "a cat"
    assert (stopped.answer.stopped, cut.answer.stopped) == (True, False)
    assert episode_of([], [1], Completion([tokenizer.eos_token_id], True), tokenizer).answer.text == ""
