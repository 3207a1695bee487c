"""measure: one model through every suite of an evaluate stage.

Reads a model and the rows of each suite; writes report.json (estimates with 95 % intervals, and every row's values, so
that models can be compared on the same rows) and, for suites that generate, rows-SUITE.parquet with what the model said.
Dropout is off, sampling follows the suite (greedy unless told otherwise), and rows that share a prompt count as one
cluster. The reference's likelihoods of a preference suite are a pure function of two digests and are kept in the cache.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from align.artifact.digests import of_value, write_json
from align.artifact.inputs import Inputs, ModelInput, RowsInput
from align.data.store_rows import RowWriter, read_rows
from align.evals import suites
from align.evals.suites import Measured, Subject
from align.models.load import load_model
from align.models.tokenizer import fit_model, ready_tokenizer, set_chat_template
from align.rollout.portable import PortableEngine
from align.specs.evaluate import ROWS_OF_SUITE, MeasureSpec, Suite
from align.tracking import Tracker


def run(spec: MeasureSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    subject = open_subject(spec, inputs.model("model"), tracker)
    report: dict[str, Any] = {"model": inputs.model("model").name, "suites": {}}
    metrics: dict[str, float] = {}
    for position, (name, suite) in enumerate(spec.suites.items()):
        rows_input = inputs.rows(f"suites.{name}.data")
        rows = _rows(rows_input, suite)

        def progress(done: int, total: int, position: int = position) -> None:
            tracker.progress(position * 100 + 100 * done // total, 100 * len(spec.suites))

        measured = _measure(subject, spec, name, suite, rows, rows_input, inputs, tracker, progress)
        estimates = suites.summarize(measured)
        report["suites"][name] = {
            "kind": suite.kind,
            "data": rows_input.digest,
            "metrics": estimates,
            "rows": {
                "values": measured.values,
                "weights": measured.weights,
                "clusters": measured.clusters,
                "slices": measured.slices,
            },
        }
        metrics |= {f"{name}/{metric}": by_slice["all"]["value"] for metric, by_slice in estimates.items()}
        if measured.answers:
            _write_answers(out, name, measured)
    write_json(out / "report.json", report)
    return metrics


def open_subject(spec: MeasureSpec, source: ModelInput, tracker: Tracker) -> Subject:
    """The model on the fastest device there is, its tokenizer repaired as training repairs it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = ready_tokenizer(source, tracker.note, conversations=False)
    if not tokenizer.chat_template and spec.chat_template:
        set_chat_template(tokenizer, spec.chat_template, tracker.note)
    model = load_model(source, torch.float32, device)
    fit_model(model, tokenizer)
    engine = PortableEngine(model, tokenizer, spec.batch_size)
    return Subject(model, tokenizer, engine, spec.batch_size, spec.max_length, spec.seed or 0)


def _measure(
    subject: Subject,
    spec: MeasureSpec,
    name: str,
    suite: Suite,
    rows: list[dict[str, Any]],
    rows_input: RowsInput,
    inputs: Inputs,
    tracker: Tracker,
    progress: suites.Progress,
) -> Measured:
    if suite.kind == "generation":
        return suites.generation(subject, rows, suite, progress)
    if suite.kind == "loss":
        return suites.loss(subject, rows, rows_input.type, progress)
    reference = None
    if f"suites.{name}.against" in inputs:
        against = inputs.model(f"suites.{name}.against")
        reference = _reference_logprobs(spec, against, suite, rows, rows_input, inputs, tracker)
    return suites.preference(subject, rows, progress, reference)


def _reference_logprobs(
    spec: MeasureSpec,
    against: ModelInput,
    suite: Suite,
    rows: list[dict[str, Any]],
    rows_input: RowsInput,
    inputs: Inputs,
    tracker: Tracker,
) -> list[float]:
    asked = of_value(
        [
            "preference",
            against.digest,
            rows_input.digest,
            rows_input.name,
            suite.limit,
            spec.max_length,
            spec.chat_template,
        ]
    )
    kept = inputs.cache / "reference-logprobs" / f"{asked}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    subject = open_subject(spec, against, tracker)
    found = suites.preference_logprobs(subject, rows, lambda done, total: None)
    write_json(kept, found)
    return found


def _rows(source: RowsInput, suite: Suite) -> list[dict[str, Any]]:
    wanted = ROWS_OF_SUITE[suite.kind]
    as_type = source.type if source.type in wanted else wanted[0]
    rows = list(read_rows(source.files, source.type, as_type))
    return rows[: suite.limit] if suite.limit else rows


def _write_answers(out: Path, suite: str, measured: Measured) -> None:
    first = next(iter(measured.values.values()))
    with RowWriter(out, "scored_generation", [suite]) as writer:
        for answer, score, part in zip(measured.answers, first, measured.slices, strict=True):
            row = {
                "prompt": answer.prompt,
                "completion": [{"role": "assistant", "content": answer.text}],
                "score": score,
                "source": "model",
            }
            writer.write(suite, row | ({"slice": part} if part else {}))
