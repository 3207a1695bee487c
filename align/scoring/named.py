"""Scorers that a recipe calls by name: pure functions of a prompt and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from align.quickstart import gold
from align.specs.evaluate import ScorerName


@dataclass(frozen=True)
class Answer:
    """What a model said to a prompt. `tokens` counts the stop token; `text` does not hold it."""

    prompt: list[dict[str, Any]]
    text: str
    tokens: int
    stopped: bool


def stops(answer: Answer) -> dict[str, float]:
    """1 when the model ended its answer by itself."""
    return {"stops": float(answer.stopped)}


def length(answer: Answer) -> dict[str, float]:
    return {"tokens": float(answer.tokens)}


def quickstart(answer: Answer) -> dict[str, float]:
    """The bundled world's exact score: gold, format, facts, intrusion."""
    return gold.score(answer.prompt, answer.text)


SCORERS: dict[ScorerName, Callable[[Answer], dict[str, float]]] = {
    "stops": stops,
    "length": length,
    "quickstart": quickstart,
}

# Which way is better; a metric that is not here is neither.
BETTER = {
    "stops": "higher",
    "gold": "higher",
    "format": "higher",
    "facts": "higher",
    "intrusion": "lower",
    "accuracy": "higher",
    "reward_accuracy": "higher",
    "loss": "lower",
    "bits_per_byte": "lower",
}
