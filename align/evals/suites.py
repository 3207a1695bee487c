"""The suites: each takes a model and rows and gives, per row, numbers to be averaged, and what the model said.

A suite measures rows; `summarize` turns rows into estimates, overall and by slice. What is measured per row is kept, so
that two models can be compared on the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from align.artifact.digests import of_value
from align.data.render import render_preference, render_prompts, render_rows
from align.errors import DataError
from align.evals import statistics
from align.evals.likelihood import sequence_logprobs
from align.rollout.engine import Engine, Sampling
from align.scoring.named import SCORERS, Answer

Progress = Callable[[int, int], None]
Row = dict[str, Any]


@dataclass
class Measured:
    """Per row: values by metric, the weight each value is divided by (tokens, bytes; 1 for a plain mean), the cluster
    (rows of one prompt), the slice, and for generations the answer."""

    values: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    clusters: list[str] = field(default_factory=list)
    slices: list[str | None] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def add(self, metric: str, values: Sequence[float], weights: Sequence[float] | None = None) -> None:
        self.values[metric] = list(values)
        if weights is not None:
            self.weights[metric] = list(weights)


@dataclass(frozen=True)
class Subject:
    """The model under measurement with what is needed to ask it."""

    model: Any
    tokenizer: Any
    engine: Engine
    batch_size: int
    max_length: int
    seed: int


def generation(subject: Subject, rows: list[Row], suite: Any, progress: Progress) -> Measured:
    """Lets the model answer every prompt and scores the answers."""
    prompts = list(render_prompts(rows, subject.tokenizer))
    _check_lengths([len(p) + suite.max_new_tokens for p in prompts], subject, "prompt and max_new_tokens")
    sampling = Sampling(suite.max_new_tokens, suite.temperature, subject.seed)
    measured = _about(rows)
    for row, completion in zip(rows, subject.engine.generate(prompts, sampling, progress), strict=True):
        ids = completion.token_ids
        text = subject.tokenizer.decode(ids[:-1] if completion.stopped else ids, skip_special_tokens=True)
        measured.answers.append(Answer(row["prompt"], text, len(ids), completion.stopped))
    for name in suite.scorers:
        scores = [SCORERS[name](answer) for answer in measured.answers]
        for metric in scores[0]:
            measured.add(metric, [s[metric] for s in scores])
    return measured


def preference(
    subject: Subject, rows: list[Row], progress: Progress, reference_logprobs: Sequence[float] | None = None
) -> Measured:
    """Whether the model gives the chosen answer the higher likelihood; against a reference, the higher implicit reward.

    accuracy          log pi(chosen) > log pi(rejected)
    reward_accuracy   the same of log pi - log pi_ref (the accuracy DPO training logs); ties count as half
    """
    logprobs = preference_logprobs(subject, rows, progress)
    chosen, rejected = logprobs[::2], logprobs[1::2]
    measured = _about(rows)
    measured.add("accuracy", [_wins(c - r) for c, r in zip(chosen, rejected, strict=True)])
    if reference_logprobs is not None:
        base = [c - r for c, r in zip(reference_logprobs[::2], reference_logprobs[1::2], strict=True)]
        margins = [c - r - b for c, r, b in zip(chosen, rejected, base, strict=True)]
        measured.add("reward_accuracy", [_wins(m) for m in margins])
        measured.add("logratio_margin", margins)
    return measured


def preference_logprobs(subject: Subject, rows: list[Row], progress: Progress) -> list[float]:
    """log pi(answer | prompt) of chosen and rejected in turn, stop token included."""
    sides: list[tuple[list[int], list[int]]] = []
    for pair in render_preference(rows, subject.tokenizer):
        for ids in (pair.chosen_ids, pair.rejected_ids):
            sides.append((pair.prompt_ids + ids, [0] * len(pair.prompt_ids) + [1] * len(ids)))
    return sequence_logprobs(subject.model, [_cut(s, subject.max_length) for s in sides], subject.batch_size, progress)


def loss(subject: Subject, rows: list[Row], row_type: str, progress: Progress) -> Measured:
    """Cross-entropy a token: of the assistant's turns in conversations, of all text in raw text (there also in bits per
    byte, which models with different tokenizers share)."""
    measured = _about(rows)
    if row_type == "messages":
        rendered = [(r.input_ids, r.labels_mask) for r in render_rows(rows, subject.tokenizer)]
    else:
        first = subject.tokenizer.bos_token_id
        lead = [subject.tokenizer.eos_token_id if first is None else first]
        texts = [lead + subject.tokenizer(r["text"], add_special_tokens=False)["input_ids"] for r in rows]
        rendered = [(ids, [0] + [1] * (len(ids) - 1)) for ids in texts]
    rendered = [_cut(r, subject.max_length) for r in rendered]
    nll = [-x for x in sequence_logprobs(subject.model, rendered, subject.batch_size, progress)]
    measured.add("loss", nll, [float(sum(mask)) for _, mask in rendered])
    if row_type == "text":
        shares = [min(1.0, subject.max_length / max(1, len(ids))) for ids, _ in rendered]
        bits = [math.log(2) * len(r["text"].encode()) * s for r, s in zip(rows, shares, strict=True)]
        measured.add("bits_per_byte", nll, bits)
    return measured


def summarize(measured: Measured) -> dict[str, Any]:
    """Estimates by metric, overall (`all`) and by slice where rows have one."""
    groups: dict[str, list[int]] = {"all": list(range(len(measured.clusters)))}
    for index, name in enumerate(measured.slices):
        if name is not None:
            groups.setdefault(name, []).append(index)
    out: dict[str, Any] = {}
    for metric, values in measured.values.items():
        weights = measured.weights.get(metric)
        out[metric] = {}
        for group, rows in groups.items():
            clusters = [measured.clusters[i] for i in rows]
            picked = [values[i] for i in rows]
            found = (
                statistics.ratio(picked, [weights[i] for i in rows], clusters)
                if weights
                else statistics.mean(picked, clusters)
            )
            out[metric][group] = found.to_json()
    return out


def _about(rows: list[Row]) -> Measured:
    clusters = [of_value(r.get("prompt") or r.get("messages") or r.get("text"))[:16] for r in rows]
    return Measured(clusters=clusters, slices=[r.get("slice") for r in rows])


def _wins(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)


def _cut(row: tuple[list[int], list[int]], max_length: int) -> tuple[list[int], list[int]]:
    return row[0][:max_length], row[1][:max_length]


def _check_lengths(lengths: list[int], subject: Subject, what: str) -> None:
    window = getattr(subject.model.config.get_text_config(), "max_position_embeddings", None)
    if window and max(lengths) > window:
        raise DataError(
            "evaluate",
            f"{what} need up to {max(lengths):,} tokens",
            f"the model's window is {window:,}",
            "lower max_new_tokens",
        )
