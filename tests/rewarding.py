"""Reward models, rollouts and learners small enough to be made in a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from align.artifact.digests import of_file
from align.artifact.inputs import ModelInput
from align.models.tokenizer import load_tokenizer
from align.policy.learner import Learner, Means
from align.policy.models import ActorCritic, ValueHead
from align.rollout.engine import Completion, Sampling
from align.specs import PpoSpec

VOCAB = 12
STOP = 1


def settings(**changed: Any) -> PpoSpec:
    """A PPO spec for a test; what matters in it is named by the test."""
    plain = {"kind": "ppo", "policy": "sft", "reward": "scorer:length", "prompts": "p", "seed": 0, "max_new_tokens": 4}
    return PpoSpec(**{**plain, "episodes": 8, "batch_size": 8, "learning_rate": 1e-3, **changed})


def tiny_llama(seed: int = 0, vocab: int = VOCAB, layers: int = 2, width: int = 16, tied: bool = False) -> Any:
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, attention_dropout=0.5, pad_token_id=0, eos_token_id=STOP,
        bos_token_id=None, attn_implementation="sdpa", tie_word_embeddings=tied,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def tiny_model(seed: int = 0, temperature: float = 1.0, **shape: Any) -> ActorCritic:
    """A policy with a head on it as its value model."""
    policy = tiny_llama(seed, **shape)
    return ActorCritic(policy, None, ValueHead(policy.config.hidden_size, seed), temperature)


class Scripted:
    """An engine that gives what it was told to, whatever it is asked."""

    def __init__(self, completions: Sequence[Completion]) -> None:
        self.completions, self.asked = list(completions), []

    def generate(
        self, prompts: Sequence[list[int]], sampling: Sampling, progress: Callable[[int, int], None]
    ) -> list[Completion]:
        self.asked.append(sampling)
        return list(self.completions)


def completions(*rows: list[int]) -> list[Completion]:
    """Rows of token ids; one that ends with the stop token stopped."""
    return [Completion(row, row[-1:] == [STOP]) for row in rows]


EIGHT = completions(
    [5, 6, 7, STOP], [4, STOP], [9, 9, 3, 2], [STOP], [8, 7, STOP], [2, 3], [4, 4, 4, STOP], [10, 11, 5]
)
PROMPTS = [[2, 3, 4], [5], [6, 7], [8, 9, 10, 11], [3], [4, 2], [7, 7, 7], [9, 3]]


def learner(spec: PpoSpec, rows: Sequence[Completion] = EIGHT, means: Means | None = None, seed: int = 0) -> Learner:
    return Learner(tiny_model(seed, spec.temperature), Scripted(rows), spec, means or Means())


def by_first_token(rollout: Any) -> tuple[list[float], dict[str, float]]:
    return [float(c.token_ids[0]) for c in rollout.completions], {}


def write_reward_model(
    folder: Path, like: ModelInput, gain: float = 2.0, bias: float = -0.5, labels: int = 1, seed: int = 0
) -> ModelInput:
    """A random reward model that shares the tokenizer of another model."""
    tokenizer = load_tokenizer(like)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=128, num_labels=labels, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForSequenceClassification(config)
    model.score.weight.data.mul_(20)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "reward.json").write_text(json.dumps({"gain": gain, "bias": bias}))
    return ModelInput("reward", folder, of_file(folder / "model.safetensors"))
