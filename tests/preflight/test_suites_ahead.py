"""Rows that a suite would refuse stop a run before it trains, and a trial asks one row of every kind."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from align import plan as plans
from align.artifact.store import Store
from align.data.store_rows import RowWriter
from align.job import job_of
from align.preflight import glance
from align.preflight.context import _of_every_kind
from align.recipe import load
from tests.measuring import write_recipe
from tests.sealing import seal_step
from tests.subjects import user

ROWS = [{"prompt": user("what is a fox ?"), "slice": part} for part in ("in_domain", "near", "far")]


def written(rows: list[dict[str, Any]], folder: Path) -> None:
    with RowWriter(folder, "prompt") as writer:
        for row in rows:
            writer.write("train", row)


def looked_at(folder: Path, suites: str) -> list[dict[str, Any]]:
    """Problems of a recipe whose probes are prepared and whose other data are not."""
    recipe, store = load(write_recipe(folder, [], suites)), Store(folder / ".align")
    seal_step(store, plans.make(recipe, store), "probes", report={}, also=partial(written, ROWS))
    plan = plans.make(recipe, store)
    jobs = [job_of(plan, step, str(store.root)).to_json() for step in plan.steps.values()]
    told: list[dict[str, Any]] = []
    glance.look({"recipe": "judged", "jobs": jobs, "to_run": list(plan.steps), "store": str(store.root)}, told.append)
    return [event["finding"] for event in told if event["event"] == "finding"]


def test_rows_that_a_suite_would_refuse_are_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suites = "      transfer: {data: probes, scorer: stops, limit: 2}\n      instruction: {data: probes}\n"
    found = {f["subject"]: f["found"] for f in looked_at(tmp_path, suites) if f["state"] == "problem"}
    assert found["stages.evaluate.suites.transfer.far"] == "no row of the first 2 (its limit) has the slice far"
    assert found["stages.evaluate.suites.instruction.data (probes), row 1"] == "it asks for no instruction"
    (own,) = found.keys() - {
        f"stages.evaluate.suites.{suite}" for suite in ("transfer.far", "instruction.data (probes), row 1")
    }
    assert own.startswith("stages.evaluate.suites.") and own.endswith(
        ".data (probes)"
    )  # its scorer knows another world


def test_benchmarks_without_their_library_are_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {f["subject"]: f["found"] for f in looked_at(tmp_path, "      benchmark: {tasks: [arc_easy]}\n")}
    installed = find_spec("lm_eval") is not None
    assert found.get("stages.evaluate.suites.benchmark.tasks") == (None if installed else "lm-eval is not installed")


def test_a_benchmark_that_nobody_has_is_told_with_the_one_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval as it lies on the disk: a package whose files name its tasks."""
    folder = tmp_path / "lm_eval"
    (folder / "tasks" / "arc").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('it is not imported')")
    (folder / "tasks" / "arc" / "easy.yaml").write_text('tag:\n  - ai2\n"task": "arc_easy"\n')
    (folder / "tasks" / "arc" / "group.yaml").write_text("group: arc\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    told = looked_at(tmp_path, "      benchmark: {tasks: [arc_easy, arc, arc_eazy]}\n")
    (found,) = [f for f in told if f["subject"].endswith("benchmark.tasks")]
    assert (found["state"], found["found"]) == ("warning", "no file of lm-eval names a task arc_eazy")
    assert found["remedy"] == "Did you mean arc_easy?"


def test_a_trials_few_rows_are_of_every_kind() -> None:
    rows: list[dict[str, Any]] = [
        {"n": 0},
        {"n": 1, "slice": "a"},
        {"n": 2, "slice": "a", "axis": "x"},
        {"n": 3, "slice": "b"},
    ]
    assert [row["n"] for row in _of_every_kind(rows)] == [1, 2, 3, 0]
