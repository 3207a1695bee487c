"""What the engine computed while it sampled, with prompts padded on the left, is what training computes without padding."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from align.evals.asking import Subject
from align.policy.experience import Rollout, look
from align.policy.models import ActorCritic, Reference, ValueHead
from align.rollout.engine import Sampling
from align.rollout.portable import PortableEngine, stop_token_ids
from tests.rewarding import tiny_llama


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


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_samples_of_a_peaked_policy_follow_its_tempered_distribution(temperature: float) -> None:
    """Chi-square over 12 tokens: 11 degrees of freedom, 31.3 is the .999 quantile. At the wrong temperature it is thousands."""
    model = tiny_llama().eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(40)
        expected = torch.softmax(model(torch.tensor([[5, 6, 7]])).logits[0, -1] / temperature, -1)
    engine = PortableEngine(model, SimpleNamespace(eos_token_id=1, pad_token_id=0), 4000)  # type: ignore[arg-type]
    found = engine.generate([[5, 6, 7]] * 4000, Sampling(1, temperature, 3), lambda done, total: None)
    drawn = torch.bincount(torch.tensor([c.token_ids[0] for c in found]), minlength=12)
    assert ((drawn - 4000 * expected) ** 2 / (4000 * expected)).sum() < 31.3
    assert expected.max() > 1.5 / 12


def test_stop_tokens_come_from_the_tokenizer_and_from_the_models_generation_settings() -> None:
    model = tiny_llama()
    model.generation_config.eos_token_id = [7, 9]
    assert stop_token_ids(model, SimpleNamespace(eos_token_id=1)) == [1, 7, 9]  # type: ignore[arg-type]
    engine = PortableEngine(model.eval(), SimpleNamespace(eos_token_id=1, pad_token_id=0), 300)  # type: ignore[arg-type]
    found = engine.generate([[5, 6]] * 300, Sampling(8, 1.0, 0), lambda done, total: None)
    assert {c.token_ids[-1] for c in found if c.stopped} == {1, 7, 9}
    assert not any({1, 7, 9} & set(c.token_ids[:-1]) for c in found)
