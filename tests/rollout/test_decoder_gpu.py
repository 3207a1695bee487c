"""The fast engine as it runs on GPUs: captured graphs, flash attention, compiled layers. Needs a CUDA device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from align.evals.asking import Subject
from align.models.new import new_model, train_tokenizer
from align.rollout import fast
from align.rollout.engine import Completion, Sampling
from align.rollout.fast import FastEngine, why_not
from align.rollout.opening import open_engine
from align.rollout.portable import PortableEngine
from align.specs.pretrain import Architecture
from tests.subjects import TEXTS

pytestmark = pytest.mark.gpu
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15], [16] * 9, [17, 18], [19] * 70, [20, 21]]


def silent(done: int, total: int) -> None:
    pass


@pytest.fixture
def subject() -> Subject:
    shape = Architecture(layers=3, width=128, heads=4, kv_heads=2, vocab_size=320, context=256)
    tokenizer = train_tokenizer(TEXTS, shape)
    model = new_model(shape, tokenizer, seed=0).eval().cuda()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # far from uniform
    return Subject(model, tokenizer, PortableEngine(model, tokenizer, 3), 3, 256, 0)


def full_logprobs(model: Any, prompt: list[int], tokens: list[int], temperature: float = 1.0) -> torch.Tensor:
    with torch.no_grad():
        logits = model(torch.tensor([prompt + tokens], device="cuda"), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return (logits.float() / temperature).log_softmax(-1).gather(1, torch.tensor(tokens, device="cuda")[:, None])[:, 0]


def off(model: Any, prompts: list[list[int]], said: list[Completion], temperature: float) -> float:
    """Mean distance of the engine's logprobs from a full forward pass's."""
    apart = [
        (torch.tensor(c.logprobs, device="cuda") - full_logprobs(model, p, c.token_ids, temperature)).abs()
        for p, c in zip(prompts, said, strict=True)
    ]
    return torch.cat(apart).mean().item()


def test_greedy_in_float32_is_the_portable_engine_s(subject: Subject) -> None:
    ours = FastEngine(subject.model, subject.tokenizer, 8).generate(PROMPTS, Sampling(40, 0.0, logprobs=True), silent)
    theirs = PortableEngine(subject.model, subject.tokenizer, 8).generate(PROMPTS, Sampling(40, 0.0), silent)
    assert [c.token_ids for c in ours] == [c.token_ids for c in theirs]
    assert off(subject.model, PROMPTS, ours, 1.0) < 1e-4


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_flash_kernel_gives_the_logprobs_of_a_full_pass(
    subject: Subject, dtype: torch.dtype, compiled: bool
) -> None:
    engine = FastEngine(subject.model, subject.tokenizer, 8, compiled)
    with torch.autocast("cuda", dtype):
        said = engine.generate(PROMPTS, Sampling(60, 0.7, 1, logprobs=True), silent)
        again = engine.generate(PROMPTS, Sampling(60, 0.7, 1, logprobs=True), silent)
    assert said == again
    assert off(subject.model, PROMPTS, said, 0.7) < 0.02


def test_a_graph_reads_the_weights_as_they_are_at_each_call(subject: Subject) -> None:
    engine = FastEngine(subject.model, subject.tokenizer, 8)
    with torch.autocast("cuda", torch.bfloat16):
        before = engine.generate(PROMPTS, Sampling(30, 0.0), silent)
        graphs = engine._decoder._graphs  # type: ignore[union-attr]
        with torch.no_grad():
            subject.model.model.layers[0].mlp.down_proj.weight.mul_(-3)
        after = engine.generate(PROMPTS, Sampling(30, 0.0, logprobs=True), silent)
        assert engine._decoder._graphs is graphs  # type: ignore[union-attr]
    assert [c.token_ids for c in before] != [c.token_ids for c in after]
    assert off(subject.model, PROMPTS, after, 1.0) < 0.02


def test_what_a_graph_draws_depends_on_the_seed_alone(subject: Subject) -> None:
    """Not on whether the graph was captured in this call, or an earlier one."""
    engine = FastEngine(subject.model, subject.tokenizer, 8)
    first, other, again = (engine.generate(PROMPTS, Sampling(30, 1.0, seed), silent) for seed in (1, 2, 1))
    fresh = FastEngine(subject.model, subject.tokenizer, 8).generate(PROMPTS, Sampling(30, 1.0, 1), silent)
    assert first == again == fresh != other
    before = torch.cuda.get_rng_state()
    engine.generate(PROMPTS, Sampling(30, 1.0, 3), silent)
    assert torch.equal(before, torch.cuda.get_rng_state())


def test_draws_of_a_replayed_graph_follow_the_model(subject: Subject) -> None:
    """Mean log p(token) against minus the mean entropy, from the second token on; 3.3 deviations are the .999 quantile."""
    n, temperature = 256, 1.3
    engine = FastEngine(subject.model, subject.tokenizer, n)
    engine._stops = []
    said = engine.generate([[5, 6, 7]] * n, Sampling(32, temperature, 4), silent)
    ids = torch.tensor([[5, 6, 7, *c.token_ids] for c in said], device="cuda")
    with torch.no_grad():
        logits = subject.model(ids, use_cache=False).logits[:, 3:-1] / temperature
    logprobs, probs = logits.log_softmax(-1), logits.softmax(-1)
    apart = logprobs.gather(2, ids[:, 4:, None])[:, :, 0] - (probs * logprobs).sum(-1)
    variance = (probs * logprobs**2).sum(-1) - (probs * logprobs).sum(-1) ** 2
    assert len({tuple(c.token_ids) for c in said}) == n
    assert abs(apart.sum() / variance.sum().sqrt()) < 3.3


def test_refilled_and_moved_slots_keep_their_logprobs(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "LOOK_EVERY", 4)
    monkeypatch.setattr(fast, "FEWEST_SLOTS", 2)
    prompts = [[5 + i % 40, 6][: 1 + i % 2] * (1 + i % 4) for i in range(100)]
    engine = FastEngine(subject.model, subject.tokenizer, 32)
    said = engine.generate(prompts, Sampling(80, 2.0, 1, logprobs=True), silent)
    assert {c.stopped for c in said} == {True, False} or all(c.stopped for c in said)
    assert len(engine._decoder._graphs) > 1  # type: ignore[union-attr]
    assert off(subject.model, prompts, said, 2.0) < 1e-4
    with torch.autocast("cuda", torch.bfloat16):
        said = engine.generate(prompts, Sampling(80, 2.0, 1, logprobs=True), silent)
    assert off(subject.model, prompts, said, 2.0) < 0.02


def test_auto_is_the_fast_engine_on_a_gpu(subject: Subject) -> None:
    assert why_not(subject.model) is None
    assert isinstance(open_engine(subject.model, subject.tokenizer, 4), FastEngine)
    assert why_not(subject.model.to(torch.bfloat16)) is None
