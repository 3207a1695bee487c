"""Benchmarks by lm-eval: what becomes of its results, and what people are told. tests/lm_eval_by_hand.py runs lm-eval itself."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from align.errors import UserError
from align.evals.asking import Subject
from align.evals.measured import summarize
from align.evals.suites.benchmark import measured_of
from align.specs import MeasureSpec
from align.specs.suites import BenchmarkSuite
from tests.subjects import asked


def sample(number: int, filtered: str = "none", **scores: Any) -> dict[str, Any]:
    return {"doc_id": number, "doc_hash": f"{number}abc", "filter": filtered, "metrics": list(scores), **scores}


FOUND = {
    "results": {
        "arc": {"alias": "arc", "sample_len": 4, "acc,none": 0.75, "acc_stderr,none": 0.25},
        "wiki": {"word_perplexity,none": 20.0, "word_perplexity_stderr,none": "N/A", "bits,none": 1.5, "bits_stderr,none": 0.1},
        "gsm8k": {"exact_match,strict-match": 0.0, "exact_match,flexible": 0.5, "exact_match_stderr,flexible": 0.5},
    },
    "samples": {
        "arc": [sample(n, acc=float(n > 0)) for n in range(4)],
        "wiki": [sample(n, word_perplexity=(-3.0, 4), bits=(-3.0, 8)) for n in range(3)],
        "gsm8k": [sample(n, f, exact_match=float(n * (f == "flexible"))) for n in range(2) for f in ("strict-match", "flexible")],
    },
}  # fmt: skip


def test_means_over_documents_are_kept_document_by_document() -> None:
    measured = measured_of(FOUND)
    assert len(measured.clusters) == 4 + 2  # documents, not answers: gsm8k's two filters read the same two
    assert [v for v, w in zip(measured.values["arc/acc"], measured.weights["arc/acc"], strict=True) if w] == [
        0,
        1,
        1,
        1,
    ]
    told = summarize(measured)
    assert told["arc/acc"]["all"]["value"] == 0.75 and told["arc/acc"]["all"]["n"] == 4
    assert told["gsm8k/exact_match/strict_match"]["all"]["value"] == 0
    assert told["gsm8k/exact_match/flexible"]["all"]["n"] == 2


def test_what_is_no_mean_has_the_interval_of_its_standard_error() -> None:
    bits, perplexity = (summarize(measured_of(FOUND))[f"wiki/{name}"]["all"] for name in ("bits", "word_perplexity"))
    assert bits["value"] == 1.5 and bits["n"] == 3
    assert (bits["low"], bits["high"]) == pytest.approx((1.5 - 1.95996 * 0.1, 1.5 + 1.95996 * 0.1), abs=1e-5)
    assert perplexity["value"] == 20.0 and perplexity["low"] is None  # lm-eval gives no standard error


def test_documents_that_are_the_same_count_each() -> None:
    twice = [{**sample(n, acc=float(n)), "doc_hash": "same"} for n in range(2)]
    found = {"results": {"t": {"acc,none": 0.5, "acc_stderr,none": 0.5}}, "samples": {"t": twice}}
    assert summarize(measured_of(found))["t/acc"]["all"] | {} and measured_of(found).values["t/acc"] == [0.0, 1.0]


def test_without_lm_eval_it_says_what_to_install(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(
        UserError, match=r"suites\.it\.tasks: lm-eval cannot be imported.*pip install 'align\[benchmarks\]'"
    ):
        asked(BenchmarkSuite(tasks=["arc_easy"]), subject, [])


def test_a_task_file_counts_by_what_it_and_the_files_it_names_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tasks"
    folder.mkdir()
    task, data, rules = folder / "own.yaml", tmp_path / "own.jsonl", folder / "rules.py"
    task.write_text(
        "task: own\ndataset_kwargs: {data_files: {test: own.jsonl}}\nprocess_results: !function rules.score\n"
    )
    data.write_text("{}\n")
    rules.write_text("score = 1\n")

    def identity(path: str = "tasks/own.yaml") -> Any:
        suites: Any = {"public": {"kind": "benchmark", "tasks": [path, "arc_easy"]}}
        return MeasureSpec(model="m", suites=suites).identity()["suites.public.tasks"]

    first = identity()
    assert first[1] == "arc_easy" and identity() == first
    for file in (data, rules, task):
        was = file.read_text()
        file.write_text(was + "#\n")
        assert identity() != first, file
        file.write_text(was)
    (tmp_path / "moved").mkdir()
    for file in (task, rules):
        file.rename(tmp_path / "moved" / file.name)
    assert identity("moved/own.yaml") == first


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (["none.yaml"], "there is no task file none.yaml"),
        (["arc", "arc"], "arc is named twice"),
        ([], "at least 1 item"),
    ],
)
def test_tasks_that_cannot_be_are_told_with_the_recipe(tasks: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BenchmarkSuite(tasks=tasks)


def test_an_interval_without_bounds_is_told_as_such() -> None:
    whole = measured_of({"results": {"t": {"f1,none": 0.3}}, "samples": {"t": [sample(0, f1=(1, 0))]}}).whole["t/f1"]
    assert math.isinf(whole.low) and math.isinf(whole.high) and whole.se is None
