"""Every suite's rows as they are prepared, held against what the suite needs of them; no model is asked."""

from __future__ import annotations

import difflib
import re
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from align.artifact.inputs import RowsInput
from align.data.store_rows import read_rows
from align.errors import UserError, did_you_mean
from align.evals import rows as needs
from align.evals.contract import as_type
from align.evals.suites.benchmark import EXTRA
from align.findings import Finding
from align.job import spec_of
from align.models.inputs import input_of
from align.preflight.context import Context
from align.specs import Suite
from align.specs.suites import BenchmarkSuite
from align.specs.task_files import is_file

TASK_NAME = re.compile(r"""^["']?(?:task|group|tag)["']?:[ \t]*["']?([\w.+-]+)""", re.M)


def examine(context: Context, steps: set[str] | None = None) -> None:
    """A problem for each suite (of these steps) that would refuse its rows; suites of several models are looked at once."""
    seen: set[str] = set()
    for step, job in context.jobs.items():
        stage = step.rpartition(".")[0]
        if job.kind != "measure" or stage in seen or (steps is not None and step not in steps):
            continue
        seen.add(stage)
        for name, suite in spec_of(job).suites.items():
            where = f"stages.{stage}.suites.{name}"
            try:
                _examine(context, step, f"suites.{name}.data", suite, where)
            except UserError as error:
                context.add(_problem(error, where, job.edges.get(f"suites.{name}.data", {}).get("name", "")))


def _problem(error: UserError, where: str, data: str) -> Finding:
    """The error as a finding about its suite, which a scorer does not know of, and about the rows by their name."""
    remedy = str(UserError("", "", error.expected, error.remedy))
    remedy = remedy[:1].upper() + remedy[1:]
    if not error.where.startswith(where):
        found = f"{error.where}: {error.found}" if error.where else error.found
        return Finding("problem", f"{where}.data ({data})", found, remedy)
    return Finding("problem", error.where.replace(f"{where}.data", f"{where}.data ({data})", 1), error.found, remedy)


def _examine(context: Context, step: str, field: str, suite: Suite, where: str) -> None:
    if isinstance(suite, BenchmarkSuite):
        _benchmarks(context, suite, where)
    edge = context.jobs[step].edges.get(field)
    sealed = context.store.find(edge["kind"], edge["key"]) if edge and "key" in edge else None
    if edge is None or sealed is None:
        return
    source = input_of(edge["name"], sealed, edge["part"], context.store)
    assert isinstance(source, RowsInput)
    wanted = as_type(source, suite.references()["data"][1].row_types)
    rows = list(islice(read_rows(source.files, source.type, wanted), suite.limit))
    if rows:
        needs.check(suite, rows, wanted, where)


def _benchmarks(context: Context, suite: BenchmarkSuite, where: str) -> None:
    """Whether lm-eval is there and has tasks of these names; it is not imported, which would take seconds."""
    found = find_spec("lm_eval")
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"{where}.tasks", "lm-eval is not installed", "", f"Benchmarks are an extra: pip install '{EXTRA}'"
        )
    named = {
        name
        for file in Path(found.submodule_search_locations[0], "tasks").rglob("*.yaml")
        for name in TASK_NAME.findall(file.read_text(encoding="utf-8", errors="replace"))
    }
    for task in suite.tasks:
        if named and not is_file(task) and task not in named:
            near = did_you_mean(task, difflib.get_close_matches(task, named, 1, 0.6)) or "lm-eval ls tasks names them."
            context.add(Finding("warning", f"{where}.tasks", f"no file of lm-eval names a task {task}", near))
