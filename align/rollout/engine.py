"""What an engine is asked and what it answers, whichever engine it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Sampling:
    """How to sample. Temperature 0 is greedy; there is no top-k and no top-p: what is sampled is the model itself."""

    max_new_tokens: int
    temperature: float = 1.0
    seed: int = 0
    logprobs: bool = False  # whether each token's logprob is wanted, if the engine has it


@dataclass(frozen=True)
class Completion:
    """Token ids up to and including the stop token; `stopped` is False when the limit ended it instead.

    `logprobs`: of each token, at the temperature it was sampled at, as the engine computed them.
    """

    token_ids: list[int]
    stopped: bool
    logprobs: list[float] | None = None


class Engine(Protocol):
    def generate(
        self, prompts: Sequence[list[int]], sampling: Sampling, progress: Callable[[int, int], None]
    ) -> list[Completion]:
        """One completion per prompt (token ids, generation prompt included), in the order of the prompts."""
        ...
