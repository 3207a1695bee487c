"""select: the rows of a data entry whose perplexity under a model, or whose reward, lies within limits.

    perplexity = exp(- mean log p(token | tokens before it)), over the row's text under a causal language model
    reward     = the normalised score of the last answer, as the reward model reads it

Reads     rows (`text`, `messages`), and the models that the limits name. Writes rows-train.parquet and README.md.
Text      of a conversation is its turns, joined by a blank line and without a chat template: a base model need not have one.
          What stands beyond max_length tokens is not read (rows/cut); a row of fewer than two tokens has no perplexity and stays.
Memory    every model that a limit names, in float32; rows pass by in blocks.
Metrics   rows/read, rows/kept, rows/dropped, dropped/REASON; perplexity/p5, p50, p95 and reward/p5, p50, p95 over all rows
          read; rows/cut; slices/train and axes/train, with the rows of each.
When      to leave out what a model takes for noise (very high perplexity) or for copied boilerplate (very low). Neither measures
          quality: look at what is dropped before training without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from align.artifact.inputs import Inputs, ModelInput
from align.data import card, slices
from align.data.ledger import Ledger
from align.data.render import render_rows
from align.data.store_rows import Row, RowWriter, read_rows
from align.errors import DataError, Stopped
from align.evals.likelihood import sequence_logprobs
from align.loop.arguments import device
from align.models.load import load_model
from align.models.reward import load_reward_model
from align.models.tokenizer import load_tokenizer
from align.schema import problem_of
from align.scoring.reward_model import score_ids
from align.specs.select import Limits, SelectSpec
from align.tracking import Tracker

ROWS_AT_ONCE = 256

Measure = Callable[[Sequence[Row]], list[float | None]]


def run(spec: SelectSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Measure the rows and keep those within the limits; see the top of this file."""
    source = inputs.rows("select")
    cut: list[int] = []
    measures = _measures(spec, inputs, cut)
    seen: dict[str, list[float]] = {name: [] for name in measures}
    ledger = Ledger()
    with RowWriter(out, spec.as_) as writer:
        for block in _blocks(read_rows(source.files, source.type, spec.as_)):
            values = {name: measure(block) for name, (measure, _) in measures.items()}
            for index, row in enumerate(block):
                ledger.read += 1
                each = {name: values[name][index] for name in measures}
                why = next(
                    (_beyond(n, v, measures[n][1]) for n, v in each.items() if _beyond(n, v, measures[n][1])), None
                )
                for name, value in each.items():
                    seen[name] += [] if value is None else [value]
                if why:
                    ledger.drop(problem_of(source.name, ledger.read, "", *why), row.get("source"), asked=True)
                else:
                    writer.add("train", row)
            tracker.progress(ledger.read, source.rows, dropped=ledger.dropped)
            if tracker.stop_requested:
                raise Stopped
    ledger.check(0.0, source.name)
    for sentence in ledger.notes():
        tracker.note(sentence)
    lines = [
        *card.head(["train"]),
        f"# {ledger.kept:,} of {ledger.read:,} {spec.as_} rows",
        "",
        *(f"- {n}" for n in tracker.notes),
    ]
    (out / card.CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts = {"rows/train": ledger.kept, "rows/cut": len(cut)} | slices.counted(out, ["train"])
    return ledger.metrics() | counts | _percentiles(seen)


def _measures(spec: SelectSpec, inputs: Inputs, cut: list[int]) -> dict[str, tuple[Measure, Limits]]:
    found: dict[str, tuple[Measure, Limits]] = {}
    if spec.perplexity:
        found["perplexity"] = _perplexity(inputs.model("perplexity.model"), spec, cut), spec.perplexity
    if spec.reward:
        found["reward"] = _reward(inputs.model("reward.model"), spec), spec.reward
    return found


def _perplexity(source: ModelInput, spec: SelectSpec, cut: list[int]) -> Measure:
    model, tokenizer = load_model(source, torch.float32, device()), load_tokenizer(source)

    def measure(rows: Sequence[Row]) -> list[float | None]:
        texts = [
            row["text"] if "text" in row else "\n\n".join(turn["content"] for turn in row["messages"]) for row in rows
        ]
        ids = tokenizer(texts, return_attention_mask=False)["input_ids"]
        cut.extend(index for index, row in enumerate(ids) if len(row) > spec.max_length)
        read = [row[: spec.max_length] for row in ids]
        counted = [(row, [0] + [1] * (len(row) - 1)) for row in read if len(row) > 1]
        sums = iter(sequence_logprobs(model, counted, spec.batch_size, lambda done, total: None))
        return [math.exp(min(-next(sums) / (len(row) - 1), 700)) if len(row) > 1 else None for row in read]

    return measure


def _reward(source: ModelInput, spec: SelectSpec) -> Measure:
    model = load_reward_model(source, torch.float32, device())

    def measure(rows: Sequence[Row]) -> list[float | None]:
        rendered = [row.input_ids for row in render_rows(rows, model.tokenizer)]
        window = getattr(model.config.get_text_config(), "max_position_embeddings", None) or spec.max_length
        long = [index for index, ids in enumerate(rendered) if len(ids) > window]
        if long:
            raise DataError(
                source.name, f"a row has {len(rendered[long[0]]):,} tokens", f"The reward model reads {window:,} at most",
                "Leave long rows out of the entry: filters: {length: {max: ...}}.",
            )  # fmt: skip
        return [*score_ids(model, rendered, spec.batch_size * window, torch.float32)]

    return measure


def _beyond(name: str, value: float | None, limits: Limits) -> tuple[str, str] | None:
    """Words and reason where a value lies beyond its limits."""
    if value is None:
        return None
    if limits.min is not None and value < limits.min:
        return f"has {name} {value:.4g}, below {limits.min:g}", f"{name}_low"
    if limits.max is not None and value > limits.max:
        return f"has {name} {value:.4g}, above {limits.max:g}", f"{name}_high"
    return None


def _percentiles(seen: dict[str, list[float]]) -> dict[str, float]:
    found: dict[str, Any] = {}
    for name, values in seen.items():
        ordered = sorted(values)
        for share in (0.05, 0.5, 0.95) if ordered else ():
            found[f"{name}/p{round(share * 100)}"] = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
    return found


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while block := list(islice(rows, ROWS_AT_ONCE)):
        yield block
