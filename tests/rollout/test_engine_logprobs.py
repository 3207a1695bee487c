"""What the engine computed while it sampled, with prompts padded on the left, is what training computes without padding."""

from __future__ import annotations

import pytest
import torch

from align.evals.suites import Subject
from align.policy.experience import Rollout, look
from align.policy.models import ActorCritic, Reference, ValueHead
from align.rollout.engine import Sampling


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_the_engines_logprobs_are_the_policys_at_the_sampling_temperature(subject: Subject, temperature: float) -> None:
    prompts = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15]]
    sampling = Sampling(20, temperature, seed=3, logprobs=True)
    rollout = Rollout(prompts, subject.engine.generate(prompts, sampling, lambda done, total: None))
    model = ActorCritic(subject.model, None, ValueHead(32), temperature)
    looked = look(rollout, model, Reference(model), [range(4)], (8192, None), torch.float32)
    for row, completion in enumerate(rollout.completions):
        assert completion.logprobs is not None and len(completion.logprobs) == len(completion.token_ids)
        ours = looked.logprobs_BT[row, : len(completion.logprobs)]
        torch.testing.assert_close(ours, torch.tensor(completion.logprobs), rtol=1e-4, atol=1e-4)


def test_an_engine_gives_no_logprobs_unless_asked(subject: Subject) -> None:
    (completion,) = subject.engine.generate([[5]], Sampling(3), lambda done, total: None)
    assert completion.logprobs is None
