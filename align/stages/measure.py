"""measure: one model through every suite of an evaluate stage.

Reads a model and the rows of each suite; writes report.json (estimates with 95 % intervals, and every row's values, so
that models can be compared on the same rows) and, for suites that generate, rows-SUITE.parquet with what the model said.
Dropout is off, sampling follows the suite (greedy unless told otherwise), and rows that share a prompt count as one
cluster. Generation goes through the rollout engine that suits the device; answers and likelihoods are pure functions of
content and are kept in the cache, so that suites share them and a step that was stopped goes on.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from align.artifact.digests import of_value, write_json
from align.artifact.inputs import Inputs
from align.data.store_rows import RowWriter
from align.errors import Stopped
from align.evals.contract import as_type, ask_of
from align.evals.measured import Measured, report_of
from align.evals.opening import Opener
from align.evals.suites import MEASURE
from align.evals.work import Work, work_of
from align.specs import Suite
from align.specs.evaluate import MeasureSpec
from align.tracking import Tracker


def run(spec: MeasureSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    opener = Opener(spec, inputs.cache, tracker.note)
    source = inputs.model("model")
    report: dict[str, Any] = {"model": source.name, "suites": {}}
    metrics: dict[str, float] = {}
    work = work_of([asked(name, suite, inputs) for name, suite in spec.suites.items()], partial(_tell, tracker, spec))
    for position, (name, suite) in enumerate(spec.suites.items()):
        work.ask(position)
        ask, data = ask_of(name, suite, opener.subject(source), inputs, opener, work.begin)
        measured = MEASURE[suite.kind](ask)
        told = report_of(measured)
        for note in measured.notes:
            tracker.note(f"{name}: {note}")
        report["suites"][name] = {
            "kind": suite.kind,
            "data": data.digest if data else of_value(measured.clusters),
            **told,
        }
        metrics |= {f"{name}/{m}": parts["all"]["value"] for m, parts in told["metrics"].items() if "all" in parts}
        if measured.answers:
            _write_answers(out, name, measured)
    write_json(out / "report.json", report)
    return metrics


def _tell(tracker: Tracker, spec: MeasureSpec, work: Work) -> None:
    left = work.left()
    about = {f"seconds/{kind}": taken for kind, taken in work.taken().items()}
    about |= {} if left is None else {"seconds_left": left}
    tracker.progress(round(1000 * work.share()), 1000, suite=work.suite + 1, suites=len(spec.suites), **about)
    if tracker.stop_requested:
        raise Stopped


def asked(name: str, suite: Suite, inputs: Inputs) -> tuple[Suite, str, int, bool]:
    """What is known beforehand of a suite's work: the type of its rows, how many, and whether the model is its `against`."""
    where = f"suites.{name}"
    on_itself = f"{where}.against" in inputs and inputs.model(f"{where}.against").digest == inputs.model("model").digest
    if f"{where}.data" not in inputs:
        return suite, "", 0, on_itself
    rows = inputs.rows(f"{where}.data")
    return (
        suite,
        as_type(rows, suite.references()["data"][1].row_types),
        min(rows.rows, suite.limit or rows.rows),
        on_itself,
    )


def _write_answers(out: Path, suite: str, measured: Measured) -> None:
    first = next(iter(measured.values.values()))
    with RowWriter(out, "scored_generation", [suite]) as writer:
        about = zip(measured.answers, first, measured.slices, measured.axes, strict=True)
        for episode, score, part, axis in about:
            row = {
                "prompt": episode.answer.prompt,
                "completion": [{"role": "assistant", "content": episode.answer.text}],
                "score": score,
                "source": "model",
            }
            told = {"slice": part, "axis": axis}
            writer.write(suite, row | {name: value for name, value in told.items() if value})
