"""Diagnostics by hand, tripwires, and engines that fail."""

from __future__ import annotations

import math

import pytest
import torch

from align.errors import ResourceError, TrainingError
from align.policy import health
from align.policy.draws import prompts_of
from align.policy.experience import Rollout, checked, look
from align.policy.models import Reference
from align.rollout.engine import Completion
from tests.rewarding import EIGHT, PROMPTS, Scripted, by_first_token, completions, learner, settings, tiny_model

FINE = {"kl": 1.0, "entropy": 2.0}


def test_lengths_stops_and_distinct_pairs_count_no_padding() -> None:
    """Rows 5 6 5 6 1 and 7: pairs 56 65 56 61, of which three differ; five and one token; one of two stops."""
    told = health.of_completions(completions([5, 6, 5, 6, 1], [7]))
    assert told == {"tokens/mean": 3.0, "stops": 0.5, "distinct_2": 0.75}


def test_length_reward_correlation_is_pearsons_and_zero_without_variation() -> None:
    rows = completions([5], [5, 5], [5, 5, 5])
    assert health.length_reward_correlation(rows, [1.0, 2.0, 3.0]) == pytest.approx(1)
    assert health.length_reward_correlation(rows, [1.0, 0.0, 1.0]) == pytest.approx(0)
    assert health.length_reward_correlation(rows, [1.0, 1.0, 1.0]) == 0
    assert health.length_reward_correlation(completions([5], [5]), [1.0, 2.0]) == 0


def test_equal_rewards_are_a_collapse_only_many_updates_in_a_row() -> None:
    watch = health.Watch(100.0)
    for update in range(1, 5):
        watch.check(update, FINE, [1.0, 1.0])
    watch.check(5, FINE, [1.0, 1.5])
    for update in range(6, 10):
        watch.check(update, FINE, [1.0, 1.0])
    with pytest.raises(TrainingError, match="all rewards were 1 in 5 updates in a row"):
        watch.check(10, FINE, [1.0, 1.0])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kl": 101.0, "entropy": 1.0}, "101.0 nats a sequence"),
        ({"kl": -101.0, "entropy": 1.0}, "-101.0 nats a sequence"),
        ({"kl": 1.0, "entropy": 1e-6}, "says one thing only"),
        ({"kl": math.nan, "entropy": 1.0}, "kl is nan"),
    ],
)
def test_kl_entropy_and_nan_are_tripwires(told: dict[str, float], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        health.Watch(100.0).check(7, told, [1.0, 2.0])


def test_an_engine_that_returns_too_few_or_nothing_is_told() -> None:
    with pytest.raises(TrainingError, match=r"7 completions came back\. 8, one a prompt"):
        checked(PROMPTS, EIGHT[:7])
    with pytest.raises(TrainingError, match="completion 2 has no token"):
        checked(PROMPTS[:2], [Completion([5], False), Completion([], False)])


def test_an_engine_that_samples_another_policy_is_told_and_refused_when_far_off() -> None:
    """Logprobs off by 0.05 and by 0.2 nats a token: factors 1.051 and 1.221."""
    spec = settings()

    model = tiny_model()

    looked = look(Rollout(PROMPTS, EIGHT), model, Reference(model), [range(8)], (8192, None), torch.float32)
    ours = [row[mask].tolist() for row, mask in zip(looked.logprobs_BT, looked.mask_BT, strict=True)]
    for off, factor in ((0.0, 1.0), (0.05, math.exp(0.05)), (0.2, None)):
        rows = [Completion(c.token_ids, c.stopped, [x + off for x in r]) for c, r in zip(EIGHT, ours, strict=True)]
        notes: list[str] = []
        taught = learner(spec, rows)
        taught.note = notes.append
        if factor is None:
            with pytest.raises(TrainingError, match=r"off by a factor of 1\.221"):
                taught.learn(PROMPTS, by_first_token)
        else:
            assert taught.learn(PROMPTS, by_first_token)["engine_mismatch"] == pytest.approx(factor, rel=1e-4)
            assert bool(notes) == (off > 0)


def test_sampling_is_asked_for_at_the_temperature_and_with_a_seed_of_the_update() -> None:
    taught = learner(settings(temperature=0.7, episodes=16, max_new_tokens=5))
    engine = taught.engine
    assert isinstance(engine, Scripted)
    for _ in range(2):
        taught.learn(PROMPTS, by_first_token)
    assert [(s.temperature, s.max_new_tokens) for s in engine.asked] == [(0.7, 5)] * 2
    assert engine.asked[0].seed != engine.asked[1].seed


def test_every_prompt_is_drawn_once_a_pass_whatever_the_batch_size() -> None:
    for size in (3, 5, 8):
        drawn = [row for update in range(24) for row in prompts_of(update, size, 8, seed=0)]
        passes = [drawn[i : i + 8] for i in range(0, len(drawn) - 7, 8)]
        assert all(sorted(one) == list(range(8)) for one in passes) and passes[0] != passes[1]
        assert drawn[:8] == [row for update in range(8) for row in prompts_of(update, 1, 8, seed=0)]


def test_out_of_memory_says_which_setting_to_lower() -> None:

    def full(rollout):
        raise torch.OutOfMemoryError

    with pytest.raises(ResourceError, match=r"update 1, scoring.*lower micro_batch_size"):
        learner(settings()).learn(PROMPTS, full)
