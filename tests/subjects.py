"""A small random model to measure, and rows to ask it."""

from __future__ import annotations

from typing import Any

from align.evals.suites import Subject
from align.models.new import new_model, train_tokenizer
from align.rollout.portable import PortableEngine
from align.specs.pretrain import Architecture

TEXTS = ["the quick brown fox jumps over the lazy dog", "a cat sat on the mat", "what is a fox ?"] * 3


def make_subject() -> Subject:
    """A random two-layer model: what suites say of it can be computed again by plain transformers."""
    architecture = Architecture(layers=2, width=32, heads=4, kv_heads=2, vocab_size=320, context=128)
    tokenizer = train_tokenizer(TEXTS, architecture)
    model = new_model(architecture, tokenizer, seed=0).eval()
    return Subject(model, tokenizer, PortableEngine(model, tokenizer, 3), 3, 128, 0)


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}]
