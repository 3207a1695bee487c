"""A small random model to measure, and rows to ask it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from align.evals.asking import Subject
from align.evals.contract import Ask, Others
from align.evals.measured import Measured
from align.evals.suites import MEASURE
from align.models.new import new_model, train_tokenizer
from align.rollout.engine import Completion, Sampling
from align.rollout.portable import PortableEngine
from align.specs.pretrain import Architecture
from align.specs.suites import Suite

TEXTS = ["the quick brown fox jumps over the lazy dog", "a cat sat on the mat", "what is a fox ?"] * 3


def make_subject() -> Subject:
    """A random two-layer model: what suites say of it can be computed again by plain transformers."""
    architecture = Architecture(layers=2, width=32, heads=4, kv_heads=2, vocab_size=320, context=128)
    tokenizer = train_tokenizer(TEXTS, architecture)
    model = new_model(architecture, tokenizer, seed=0).eval()
    return Subject(model, tokenizer, PortableEngine(model, tokenizer, 3), 3, 128, 0)


def unheard(done: int, total: int, fresh: bool = True) -> None: ...


def asked(
    suite: Suite, subject: Subject, rows: list[dict[str, Any]], row_type: str = "prompt", **others: Any
) -> Measured:
    """What the suite finds. `others`: further models and rows by the setting that names them."""
    given = Others(others.__getitem__, others.__getitem__, lambda field, tokenizer: others[field])
    return MEASURE[suite.kind](Ask(suite, subject, rows, row_type, lambda: unheard, given, "suites.it"))


class Says:
    """An engine whose answers are written beforehand."""

    def __init__(self, tokenizer: Any, texts: list[str], stopped: bool = True) -> None:
        self._ids = [
            tokenizer(t, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] * stopped for t in texts
        ]
        self._stopped = stopped

    def generate(self, prompts: Any, sampling: Sampling, progress: Any) -> list[Completion]:
        return [Completion(ids, self._stopped) for ids in self._ids]


def saying(subject: Subject, *texts: str, stopped: bool = True) -> Subject:
    return replace(subject, engine=Says(subject.tokenizer, list(texts), stopped))


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}]
