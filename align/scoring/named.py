"""Scorers that a recipe calls by name: pure functions of a prompt and its answer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from align.errors import DataError
from align.quickstart import gold
from align.specs.asking import ScorerName

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_FINAL_NUMBER = re.compile(r"####\s*\$?\s*(-?\d[\d,]*(?:\.\d+)?|-?\.\d+)")


@dataclass(frozen=True)
class Answer:
    """What a model said to a prompt. `tokens` counts the stop token; `text` does not hold it.

    `reference`: the answer that came with the prompt, where one did.
    """

    prompt: list[dict[str, Any]]
    text: str
    tokens: int
    stopped: bool
    reference: str | None = None


def stops(answer: Answer) -> dict[str, float]:
    """1 when the model ended its answer by itself."""
    return {"stops": float(answer.stopped)}


def length(answer: Answer) -> dict[str, float]:
    return {"tokens": float(answer.tokens)}


def quickstart(answer: Answer) -> dict[str, float]:
    """The bundled world's exact score: gold, format, facts, intrusion."""
    return gold.score(answer.prompt, answer.text)


def gsm8k(answer: Answer) -> dict[str, float]:
    """1 when the number after the last #### is the reference's (Cobbe et al. 2021, 2110.14168); 0 without one.

    Raises DataError where the prompt came without such a number.
    """
    wanted = final_number(answer.reference or "")
    if wanted is None:
        raise DataError(
            "scorer gsm8k", f"a prompt came without a number after #### ({str(answer.reference)[-40:]!r})",
            "Conversations whose last turn ends in #### NUMBER", "Give the prompts as messages rows.",
        )  # fmt: skip
    return {"correct": float(final_number(answer.text) == wanted)}


def final_number(text: str) -> float | None:
    """The number after the last ####, commas and a dollar sign taken out; None where there is none."""
    found = _FINAL_NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def agrees(answer: Answer, how: str) -> float:
    """1 when the answer is the reference (`exact`), holds it (`contains`), or ends in the same number (`number`).

    Case, white space and Unicode form do not count. Raises DataError where the prompt came without a reference.
    """
    if not answer.reference:
        raise DataError(
            f"the prompt {answer.prompt[-1]['content'][:60]!r}", "it came without a reference to compare with",
            "Prompt rows with a reference, or conversations and pairs", "Name other rows, or another suite.",
        )  # fmt: skip
    said, wanted = plain(answer.text), plain(answer.reference)
    if how == "number":
        numbers = [_NUMBER.findall(text) for text in (said, wanted)]
        return float(all(numbers) and float(numbers[0][-1].replace(",", "")) == float(numbers[1][-1].replace(",", "")))
    return float(said == wanted if how == "exact" else names(answer.text, answer.reference))


def names(text: str, what: str) -> bool:
    """Whether the text holds these words, whole, without regard to case, white space and Unicode form."""
    return re.search(rf"(?<!\w){re.escape(plain(what))}(?!\w)", plain(text)) is not None


def plain(text: str) -> str:
    """Text without regard to case, white space and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


SCORERS: dict[ScorerName, Callable[[Answer], dict[str, float]]] = {
    "stops": stops,
    "length": length,
    "quickstart": quickstart,
    "gsm8k": gsm8k,
}

# Which way is better; a metric that is not here is neither.
BETTER = {
    "stops": "higher",
    "gold": "higher",
    "format": "higher",
    "facts": "higher",
    "intrusion": "lower",
    "correct": "higher",
    "accuracy": "higher",
    "reward_accuracy": "higher",
    "loss": "lower",
    "bits_per_byte": "lower",
}
