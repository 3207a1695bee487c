"""The fast engine on the CPU: the same decoder as on GPUs, without graphs and with masked attention."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from align.evals.asking import Subject
from align.models.packed import PACKED
from align.rollout import fast
from align.rollout.engine import Completion, Sampling
from align.rollout.fast import FastEngine, why_not
from align.rollout.flat_cache import FLAT
from align.rollout.opening import open_engine, rows_at_once
from align.rollout.packing import attention, pack, predicting_states
from align.rollout.portable import PortableEngine
from align.rollout.view import RolloutView

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15], [16] * 9, [17, 18]]


def silent(done: int, total: int) -> None:
    pass


def ids(completions: list[Completion]) -> list[tuple[list[int], bool]]:
    return [(c.token_ids, c.stopped) for c in completions]


def full_logprobs(model: Any, prompt: list[int], tokens: list[int], temperature: float = 1.0) -> torch.Tensor:
    with torch.no_grad():
        logits = model(torch.tensor([prompt + tokens]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return (logits / temperature).log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]


def tiny(config: Any, kind: Any) -> Any:
    torch.manual_seed(0)
    return kind(config).eval()


def qwen3() -> Any:
    shape = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    return tiny(Qwen3Config(**shape, num_attention_heads=4, num_key_value_heads=2), Qwen3ForCausalLM)


def gpt2() -> Any:
    return tiny(GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=4, n_positions=64), GPT2LMHeadModel)


@pytest.mark.parametrize("batch_size", [1, 2, 6, 64])
def test_greedy_completions_are_the_portable_engine_s(subject: Subject, batch_size: int) -> None:
    sampling = Sampling(24, 0.0, logprobs=True)
    ours = FastEngine(subject.model, subject.tokenizer, batch_size).generate(PROMPTS, sampling, silent)
    theirs = PortableEngine(subject.model, subject.tokenizer, 6).generate(PROMPTS, sampling, silent)
    assert ids(ours) == ids(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.logprobs == pytest.approx(their.logprobs, abs=1e-4)


@pytest.mark.parametrize("make", [qwen3, gpt2])
def test_other_architectures_are_decoded_as_they_generate(make: Any, subject: Subject) -> None:
    model = make()
    assert why_not(model) is None
    ours = FastEngine(model, subject.tokenizer, 4).generate(PROMPTS, Sampling(12, 0.0), silent)
    assert ids(ours) == ids(PortableEngine(model, subject.tokenizer, 4).generate(PROMPTS, Sampling(12, 0.0), silent))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_logprobs_are_those_of_a_full_forward_pass_at_the_temperature(subject: Subject, temperature: float) -> None:
    engine = FastEngine(subject.model, subject.tokenizer, 4)
    for prompt, said in zip(
        PROMPTS, engine.generate(PROMPTS, Sampling(20, temperature, 3, logprobs=True), silent), strict=True
    ):
        expected = full_logprobs(subject.model, prompt, said.token_ids, temperature)
        assert torch.allclose(torch.tensor(said.logprobs), expected, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_the_first_token_is_drawn_from_softmax_of_logits_over_temperature(subject: Subject, temperature: float) -> None:
    """Chi-square over the 8 likeliest tokens and the rest: 8 degrees of freedom, 26.1 is the .999 quantile."""
    n = 3000
    engine = FastEngine(subject.model, subject.tokenizer, n)
    drawn = Counter(c.token_ids[0] for c in engine.generate([[5, 6, 7]] * n, Sampling(1, temperature, 3), silent))
    with torch.no_grad():
        logits = subject.model(torch.tensor([[5, 6, 7]])).logits[0, -1]
    top = torch.softmax(logits / temperature, -1).topk(8)
    cells = [(drawn[int(i)], float(p) * n) for p, i in zip(top.values, top.indices, strict=True)]
    rest = n - sum(c for c, _ in cells), n - sum(e for _, e in cells)
    assert sum((c - e) ** 2 / e for c, e in [*cells, rest]) < 26.1


@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_later_tokens_are_as_surprising_as_the_entropy_says(temperature: float) -> None:
    """The mean of log p(token) is the mean of -entropy; their difference over its deviation is within 3.3 (.999)."""
    model = qwen3()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    decoder = fast.Decoder(RolloutView(model, torch.float32, FLAT), 200, 16, 8, [])
    decoder.begin(8, 5)
    decoder.insert([[5, 6, 7]] * 200, range(200), temperature)
    decoder.steps(7, 200, temperature)
    tokens = torch.tensor([row for row, _ in decoder.read(range(200))])
    with torch.no_grad():
        logits = model(torch.cat([torch.tensor([[5, 6, 7]] * 200), tokens], 1)).logits[:, 3:-1]
    logprobs, probs = (logits / temperature).log_softmax(-1), (logits / temperature).softmax(-1)
    off = logprobs.gather(2, tokens[:, 1:, None])[:, :, 0] - (probs * logprobs).sum(-1)
    variance = (probs * logprobs**2).sum(-1) - (probs * logprobs).sum(-1) ** 2
    assert variance.mean() > 0.1
    assert abs(off.sum() / variance.sum().sqrt()) < 3.3


def test_a_completion_ends_with_its_first_stop_token_or_at_the_limit(subject: Subject) -> None:
    stop = subject.tokenizer.eos_token_id
    said = FastEngine(subject.model, subject.tokenizer, 16).generate([[5, 6]] * 60, Sampling(60, 3.0, 0), silent)
    assert {c.stopped for c in said} == {True, False}
    for completion in said:
        assert completion.stopped == (completion.token_ids[-1] == stop)
        assert completion.token_ids.count(stop) == int(completion.stopped)
        assert completion.stopped or len(completion.token_ids) == 60


def test_slots_that_end_are_refilled_and_moved_together_without_a_trace(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every logprob is still that of a full forward pass, although slots changed hands all the time."""
    moved: list[int] = []
    keep = fast.Decoder.keep
    monkeypatch.setattr(fast.Decoder, "keep", lambda self, slots: (moved.append(len(slots)), keep(self, slots))[1])
    monkeypatch.setattr(fast, "FEWEST_SLOTS", 1)
    monkeypatch.setattr(fast, "LOOK_EVERY", 2)
    prompts = [[5 + i % 40, 6][: 1 + i % 2] * (1 + i % 4) for i in range(60)]
    engine = FastEngine(subject.model, subject.tokenizer, 16)
    said = engine.generate(prompts, Sampling(40, 3.0, 1, logprobs=True), silent)
    assert moved and moved == sorted(moved, reverse=True) and moved[-1] < 8
    for prompt, completion in zip(prompts, said, strict=True):
        expected = full_logprobs(subject.model, prompt, completion.token_ids, 3.0)
        assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)


def test_the_same_seed_samples_the_same_and_leaves_the_random_state_alone(subject: Subject) -> None:
    before = torch.random.get_rng_state()
    engine = FastEngine(subject.model, subject.tokenizer, 4)
    first, again, other = (engine.generate(PROMPTS, Sampling(8, 1.0, seed), silent) for seed in (1, 1, 2))
    fresh = FastEngine(subject.model, subject.tokenizer, 4).generate(PROMPTS, Sampling(8, 1.0, 1), silent)
    assert first == again == fresh != other
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_later_call_samples_the_weights_as_they_are_then(subject: Subject) -> None:
    model = qwen3()
    engine = FastEngine(model, subject.tokenizer, 4)
    before = engine.generate(PROMPTS, Sampling(12, 0.0), silent)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(-20)
    after = engine.generate(PROMPTS, Sampling(12, 0.0), silent)
    assert before != after
    assert ids(after) == ids(PortableEngine(model, subject.tokenizer, 4).generate(PROMPTS, Sampling(12, 0.0), silent))


def test_the_cache_serves_the_next_call_of_a_similar_shape(subject: Subject) -> None:
    engine = FastEngine(subject.model, subject.tokenizer, 4)
    engine.generate(PROMPTS, Sampling(8), silent)
    decoder = engine._decoder
    engine.generate([p * 2 for p in PROMPTS], Sampling(6, 0.5), silent)
    assert engine._decoder is decoder
    engine.generate(PROMPTS, Sampling(99), silent)
    assert engine._decoder is not decoder


def adapted() -> PeftModel:
    model = get_peft_model(qwen3(), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    return model.eval()


def test_an_adapter_is_merged_into_the_view_and_follows_its_updates(subject: Subject) -> None:
    model = adapted()
    base = model.get_base_model()
    engine = FastEngine(base, subject.tokenizer, 4)
    with model.disable_adapter():
        bare = engine.generate(PROMPTS, Sampling(12, 0.0), silent)
    for _ in range(2):
        said = engine.generate(PROMPTS, Sampling(12, 0.0, logprobs=True), silent)
        assert ids(said) != ids(bare)
        for prompt, completion in zip(PROMPTS, said, strict=True):
            expected = full_logprobs(model, prompt, completion.token_ids)
            assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)
        with torch.no_grad():
            model.get_parameter("base_model.model.model.layers.0.mlp.down_proj.lora_B.default.weight").mul_(-3)


def test_an_adapter_that_is_no_plain_sum_runs_as_it_is(subject: Subject) -> None:
    model = get_peft_model(qwen3(), LoraConfig(r=4, use_dora=True, target_modules=["q_proj"])).eval()
    with torch.no_grad():
        model.get_parameter("base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight").fill_(0.5)
    view = RolloutView(model, torch.float32, FLAT)
    assert any("lora" in name for name, _ in view.model.named_parameters())
    assert why_not(model.get_base_model()) is None


def test_a_view_shares_weights_of_its_dtype_and_casts_others_in_place() -> None:
    model = qwen3()
    shared = RolloutView(model, torch.float32, FLAT)
    assert shared.places() == tuple(p.data_ptr() for p in model.parameters())
    cast = RolloutView(model, torch.bfloat16, FLAT)
    places = cast.places()
    with torch.no_grad():
        model.lm_head.weight.fill_(3.0)
    cast.refresh()
    assert cast.places() == places
    assert cast.model.lm_head.weight.dtype is torch.bfloat16 and (cast.model.lm_head.weight == 3).all()
    assert model.dtype is torch.float32 and model.config._attn_implementation != FLAT


def test_under_autocast_it_samples_in_the_autocast_s_dtype(subject: Subject) -> None:
    model = qwen3()
    engine = FastEngine(model, subject.tokenizer, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            said = engine.generate(PROMPTS, Sampling(20, 1.0, 3, logprobs=True), silent)
        apart = [
            torch.tensor(c.logprobs) - full_logprobs(model, p, c.token_ids) for p, c in zip(PROMPTS, said, strict=True)
        ]
        assert 1e-5 < torch.cat(apart).abs().mean() < 0.05
        with torch.no_grad():
            model.model.layers[1].mlp.down_proj.weight.mul_(-2)


def test_a_view_in_half_precision_casts_what_autocast_casts_and_no_more(subject: Subject) -> None:
    """Of tied embeddings the head is cast, and tokens are looked up in the weights themselves."""
    source = subject.model
    view = RolloutView(source, torch.bfloat16, FLAT)
    assert source.lm_head.weight is source.model.embed_tokens.weight is view.model.model.embed_tokens.weight
    kinds = {name: p.dtype for name, p in view.model.named_parameters(remove_duplicate=False)}
    assert kinds["lm_head.weight"] is kinds["model.layers.0.mlp.up_proj.weight"] is torch.bfloat16
    assert kinds["model.norm.weight"] is kinds["model.embed_tokens.weight"] is torch.float32


def test_between_the_layers_there_is_what_training_has_there(subject: Subject) -> None:
    engine, seen = FastEngine(subject.model, subject.tokenizer, 4), set()

    def watch() -> Any:
        seen.clear()
        return nn.modules.module.register_module_forward_hook(
            lambda module, given, out: seen.add((type(module).__name__, out.dtype)) if torch.is_tensor(out) else None
        )

    with watch(), torch.autocast("cpu", torch.bfloat16):
        engine.generate(PROMPTS, Sampling(4, 0.0), silent)
        sampled = {*seen}
    with watch(), torch.no_grad(), torch.autocast("cpu", torch.bfloat16), attention(subject.model, PACKED):
        predicting_states(subject.model.base_model, pack(PROMPTS, [1] * len(PROMPTS), torch.device("cpu"), True))
    assert sampled == seen > {("Linear", torch.bfloat16), ("Embedding", torch.float32)}


def test_a_model_whose_attention_is_packed_at_the_moment_is_sampled_all_the_same(subject: Subject) -> None:
    engine = FastEngine(subject.model, subject.tokenizer, 4)
    expected = engine.generate(PROMPTS, Sampling(8, 0.0), silent)
    with attention(subject.model, PACKED):
        assert FastEngine(subject.model, subject.tokenizer, 4).generate(PROMPTS, Sampling(8, 0.0), silent) == expected


def test_no_prompts_give_no_completions_and_progress_is_told_to_the_end(subject: Subject) -> None:
    told: list[tuple[int, int]] = []
    engine = FastEngine(subject.model, subject.tokenizer, 2)
    assert engine.generate([], Sampling(8), silent) == []
    engine.generate(PROMPTS, Sampling(8), lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6) and told == sorted(told)


def windowed() -> Any:
    shape = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "sliding_window": 4}
    model = tiny(MistralConfig(**shape, num_attention_heads=4, num_key_value_heads=2), MistralForCausalLM)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    return model


def test_models_it_cannot_decode_get_the_portable_engine_with_a_reason(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    assert isinstance(open_engine(subject.model, subject.tokenizer, 4, "fast", notes.append), FastEngine)
    assert isinstance(open_engine(subject.model, subject.tokenizer, 4, "auto", notes.append), PortableEngine)
    assert isinstance(open_engine(subject.model, subject.tokenizer, 4, "portable", notes.append), PortableEngine)
    assert not notes
    assert isinstance(open_engine(windowed(), subject.tokenizer, 4, "fast", notes.append), PortableEngine)
    monkeypatch.setattr(fast, "supports_packing", lambda config: True)
    assert isinstance(open_engine(windowed(), subject.tokenizer, 4, "fast", notes.append), PortableEngine)
    assert "plain causal" in notes[0] and "trial" in notes[1]


@pytest.mark.parametrize(
    ("layers", "width", "heads", "key_heads", "dtype", "rows"),
    [
        (30, 576, 9, 3, torch.float32, 256),  # 135M: 47 MB a row of 1,024 tokens
        (30, 576, 9, 3, torch.bfloat16, 512),
        (32, 4096, 32, 8, torch.bfloat16, 128),  # 8B: 134 MB
        (80, 8192, 64, 64, torch.float32, 64),
    ],
)
def test_a_gpu_samples_as_many_rows_together_as_its_cache_stays_small_with(
    layers: int, width: int, heads: int, key_heads: int, dtype: torch.dtype, rows: int
) -> None:
    config = LlamaConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=key_heads
    )
    assert rows_at_once(SimpleNamespace(config=config, dtype=dtype, device=torch.device("cuda"))) == rows
    assert rows_at_once(SimpleNamespace(config=config, dtype=dtype, device=torch.device("cpu"))) == 64
