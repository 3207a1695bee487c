from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from align.evals.asking import Subject
from align.rollout.engine import Sampling
from align.rollout.portable import PortableEngine


def silent(done: int, total: int) -> None:
    pass


def test_completions_do_not_depend_on_the_batch_they_stand_in(subject: Subject) -> None:
    prompts = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15]]
    together = PortableEngine(subject.model, subject.tokenizer, 4).generate(prompts, Sampling(6, 0.0), silent)
    alone = PortableEngine(subject.model, subject.tokenizer, 1).generate(prompts, Sampling(6, 0.0), silent)
    assert together == alone


def test_the_same_seed_samples_the_same_and_leaves_the_random_state_alone(subject: Subject) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (subject.engine.generate([[5, 6]] * 4, Sampling(8, 1.0, seed), silent) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_completion_ends_with_its_first_stop_token(subject: Subject) -> None:
    stop = subject.tokenizer.eos_token_id
    for completion in subject.engine.generate([[5, 6]] * 60, Sampling(60, 3.0, 0), silent):
        assert completion.stopped == (stop in completion.token_ids)
        assert completion.token_ids.count(stop) == int(completion.stopped)
        assert not completion.stopped or completion.token_ids[-1] == stop


def test_generation_settings_shipped_with_a_model_do_not_bend_the_sampling(subject: Subject) -> None:
    plain = subject.engine.generate([[5, 6], [7]], Sampling(8, 0.0), silent)
    shipped = subject.model.generation_config
    shipped.repetition_penalty, shipped.top_k, shipped.min_new_tokens = 50.0, 1, 8
    try:
        assert subject.engine.generate([[5, 6], [7]], Sampling(8, 0.0), silent) == plain
        assert subject.model.generation_config is shipped
    finally:
        shipped.repetition_penalty = shipped.top_k = shipped.min_new_tokens = None


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_the_first_token_is_drawn_from_softmax_of_logits_over_temperature(subject: Subject, temperature: float) -> None:
    """Chi-square over the 8 likeliest tokens and the rest: 8 degrees of freedom, 26.1 is the .999 quantile."""
    n = 3000
    engine = PortableEngine(subject.model, subject.tokenizer, n)
    drawn = Counter(c.token_ids[0] for c in engine.generate([[5, 6, 7]] * n, Sampling(1, temperature, 3), silent))
    with torch.no_grad():
        expected = torch.softmax(subject.model(torch.tensor([[5, 6, 7]])).logits[0, -1] / temperature, -1)
    top = expected.topk(8)
    cells = [(drawn[int(i)], float(p) * n) for p, i in zip(top.values, top.indices, strict=True)]
    rest = n - sum(c for c, _ in cells), n - sum(e for _, e in cells)
    assert sum((c - e) ** 2 / e for c, e in [*cells, rest]) < 26.1
    assert math.isclose(sum(c for c, _ in cells) + rest[0], n)
