"""Models of known shapes with random weights, and rows of random tokens with the lengths of real ones."""

from __future__ import annotations

import random
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

PAD, STOP, FIRST = 0, 2, 5  # token ids; rows are made of tokens from FIRST on
_LLAMA = {"vocab_size": 49152, "max_position_embeddings": 8192}
_QWEN = {"vocab_size": 151936, "max_position_embeddings": 32768}
# (hidden, layers, heads, heads of keys and values, MLP): SmolLM2-135M and 360M, Qwen2.5-1.5B
_WIDTHS = {
    "tiny": (32, 2, 4, 2, 64),
    "135m": (576, 30, 9, 3, 1536),
    "360m": (960, 32, 15, 5, 2560),
    "1.5b": (1536, 28, 12, 2, 8960),
}


def config_of(size: str) -> Any:
    hidden, layers, heads, kv_heads, mlp = _WIDTHS[size]
    rest: dict[str, Any] = {"tiny": {"vocab_size": 320, "max_position_embeddings": 512}, "1.5b": _QWEN}.get(
        size, _LLAMA
    )
    kind: Any = Qwen2Config if size == "1.5b" else LlamaConfig
    return kind(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
        intermediate_size=mlp, tie_word_embeddings=True, bos_token_id=1, eos_token_id=STOP, pad_token_id=PAD, **rest,
    )  # fmt: skip


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def causal(size: str, dtype: torch.dtype) -> Any:
    """The same random weights at each call."""
    return _built(AutoModelForCausalLM, config_of(size), dtype)


def classifier(size: str, dtype: torch.dtype) -> Any:
    config = config_of(size)
    config.num_labels = 1
    return _built(AutoModelForSequenceClassification, config, dtype)


def _built(kind: Any, config: Any, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    with device():
        model = kind.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return model.to(device()).eval()


def half() -> torch.dtype:
    """What sampling is done in."""
    return torch.bfloat16 if torch.cuda.is_available() else torch.float32


def tokenizer(**options: Any) -> PreTrainedTokenizerFast:
    """Only its special tokens are ever asked for: rows come as token ids."""
    special = {"<pad>": PAD, "<s>": 1, "</s>": STOP, "<unk>": 3}
    inner = Tokenizer(models.WordLevel(special | {f"w{i}": i for i in range(4, 320)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", **options
    )


class Rows:
    """Random tokens; lengths are log-normal, of a prompt about 90 tokens on average, of an answer about 310."""

    def __init__(self, size: str, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._vocabulary = min(config_of(size).vocab_size, 40000)
        self._shrink = 8 if size == "tiny" else 1

    def tokens(self, count: int) -> list[int]:
        return [self._rng.randrange(FIRST, self._vocabulary) for _ in range(count)]

    def prompt(self) -> list[int]:
        return self.tokens(self._length(4.3))

    def answer(self) -> list[int]:
        return [*self.tokens(self._length(5.5)), STOP]

    def _length(self, mu: float) -> int:
        return int(min(900, max(16, self._rng.lognormvariate(mu, 0.7)))) // self._shrink


def documents(size: str, tokens: int, longest: int) -> list[list[int]]:
    """Prompts with answers, each of at most `longest` tokens, `tokens` in all or a few more."""
    rows, held = Rows(size), 0
    found: list[list[int]] = []
    while held < tokens:
        found.append((rows.prompt() + rows.answer())[:longest])
        held += len(found[-1])
    return found


def pairs(size: str, count: int) -> list[dict[str, list[int]]]:
    rows = Rows(size, seed=1)
    sides = ("prompt_ids", "chosen_ids", "rejected_ids")
    return [dict(zip(sides, (rows.prompt(), rows.answer(), rows.answer()), strict=True)) for _ in range(count)]


def about(model: Any) -> dict[str, Any]:
    """What floors are computed from."""
    config = model.config
    per_head = config.hidden_size // config.num_attention_heads
    return {
        "params": sum(p.numel() for p in model.parameters()),
        "kv_bytes": 2 * config.num_hidden_layers * config.num_key_value_heads * per_head * 2,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }
