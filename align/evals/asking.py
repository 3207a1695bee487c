"""The two things that a suite asks of a model: answers to prompts, and likelihoods of given tokens.

Both are pure functions of content and are kept in the cache: suites that ask the same share what was said, a reference that
several models are held against is asked once, and a step that was killed goes on where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any

from align.artifact.digests import of_value
from align.data.render import render_prompts
from align.errors import DataError
from align.evals.likelihood import sequence_logprobs
from align.evals.measured import Progress, Row
from align.rollout.engine import Completion, Engine, Sampling
from align.scoring.episode import Episode, episode_of

WAVES = 8  # times as many prompts as are sampled at once are answered, and kept, together
Told = Callable[[int, int], None]
Tokens = tuple[list[int], list[int]]  # ids, and a mask that is 1 where a token counts


@dataclass(frozen=True)
class Subject:
    """A model under measurement with what is needed to ask it. Without a `digest` nothing is kept in the cache."""

    model: Any
    tokenizer: Any
    engine: Engine
    batch_size: int
    max_length: int
    seed: int
    name: str = "model"
    digest: str = ""
    cache: Path | None = None

    @property
    def window(self) -> int | None:
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)


def answers(
    subject: Subject, rows: list[Row], max_new_tokens: int, temperature: float, progress: Progress, where: str = ""
) -> list[Episode]:
    """The model's answer to each row's prompt. Raises DataError where a prompt leaves no room; `where` is the suite."""
    prompts = list(render_prompts(rows, subject.tokenizer))
    check_window(subject, [len(p) + max_new_tokens for p in prompts], "prompt and max_new_tokens", where)
    said = completions(subject, prompts, max_new_tokens, temperature, progress)
    return [
        episode_of(row["prompt"], ids, completion, subject.tokenizer, row.get("reference"))
        for row, ids, completion in zip(rows, prompts, said, strict=True)
    ]


def completions(
    subject: Subject, prompts: list[list[int]], max_new_tokens: int, temperature: float, progress: Progress
) -> list[Completion]:
    """Completions of prompts in token ids, so many prompts at a time; those that were said before are read, not sampled."""
    found: list[Completion] = []
    size = WAVES * subject.batch_size
    for start in range(0, len(prompts), size):
        chunk = prompts[start : start + size]
        sampling = Sampling(max_new_tokens, temperature, subject.seed + start)
        fresh: list[bool] = []

        def told(done: int, total: int, start: int = start) -> None:
            progress(start + done, len(prompts))

        def sample(
            chunk: list[list[int]] = chunk, sampling: Sampling = sampling, told: Told = told, fresh: list[bool] = fresh
        ) -> Any:
            fresh.append(True)
            return [[c.token_ids, c.stopped] for c in subject.engine.generate(chunk, sampling, told)]

        drawn = [sampling.seed, temperature, subject.batch_size, type(subject.engine).__name__] if temperature else []
        kept = _remembered(subject, "generations", [chunk, max_new_tokens, drawn], sample)
        found += [Completion(ids, stopped) for ids, stopped in kept]
        progress(len(found), len(prompts), bool(fresh))
    return found


def logprobs(subject: Subject, rows: list[Tokens], progress: Progress) -> list[float]:
    """sum of log p(token) over each row's counted tokens, nats; rows are cut to the subject's max_length."""
    cut = [(ids[: subject.max_length], mask[: subject.max_length]) for ids, mask in rows]
    return _remembered(
        subject, "logprobs", [cut], lambda: sequence_logprobs(subject.model, cut, subject.batch_size, progress)
    )


def tokens_of(episode: Episode) -> Tokens:
    """Prompt and answer, the answer counted."""
    said = episode.completion.token_ids
    return episode.prompt_ids + said, [0] * len(episode.prompt_ids) + [1] * len(said)


def check_window(subject: Subject, lengths: list[int], what: str, where: str) -> None:
    """Raises DataError where tokens do not fit the model's window."""
    if subject.window and lengths and max(lengths) > subject.window:
        raise DataError(
            where, f"{what} need up to {max(lengths):,} tokens", f"The window of {subject.name} is {subject.window:,}",
            "lower max_new_tokens, or leave the longest prompts out",
        )  # fmt: skip


def _remembered(subject: Subject, folder: str, asked: list[Any], ask: Callable[[], Any]) -> Any:
    """What this very model gave when it was last asked this very thing, else what it gives now."""
    if not subject.digest:
        return ask()
    return remembered(
        subject.cache, folder, [subject.digest, str(subject.model.dtype), subject.model.device.type, *asked], ask
    )


def remembered(cache: Path | None, folder: str, asked: list[Any], ask: Callable[[], Any]) -> Any:
    """What `ask` gave when it was last asked, else what it gives now; None is not kept."""
    if cache is None:
        return ask()
    key = of_value(asked)
    path = cache / folder / f"{key}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        found = ask()
    if found is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{key}.{os.getpid()}.{get_ident()}")
        draft.write_text(json.dumps(found, separators=(",", ":")))
        draft.replace(path)
    return found
