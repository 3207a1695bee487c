"""What a reward is asked about: a prompt, what the policy said to it, and the answer that came with the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from align.rollout.engine import Completion
from align.scoring.named import Answer

Scorer = Callable[[Sequence["Episode"]], list[float]]


@dataclass(frozen=True)
class Episode:
    """`completion` ends with its stop token where it stopped; `answer.text` holds no special tokens."""

    answer: Answer
    prompt_ids: list[int]
    completion: Completion
    reference: str | None = None


def episode_of(
    prompt: list[dict[str, Any]],
    prompt_ids: list[int],
    completion: Completion,
    tokenizer: Any,
    reference: str | None = None,
) -> Episode:
    ids = completion.token_ids[:-1] if completion.stopped else completion.token_ids
    text = tokenizer.decode(ids, skip_special_tokens=True)
    answer = Answer(prompt, text, len(completion.token_ids), completion.stopped, reference)
    return Episode(answer, prompt_ids, completion, reference)
