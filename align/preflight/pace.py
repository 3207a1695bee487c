"""How long a step will take, from how long its trial took: what is done once, and what grows with its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from align.artifact.inputs import Inputs
from align.evals.measured import Row
from align.evals.work import ANSWER, READ, documents, passes
from align.inspection.measures import texts_of
from align.job import spec_of
from align.loop.arguments import device
from align.preflight.context import Context
from align.specs import PpoSpec
from align.stages.measure import asked

STEPS = 3  # of a training stage's trial; the first of them warms up
UPDATES = 2  # of PPO's; the first one warms up
# Rows whose arithmetic takes as long as reading the weights, which each step of sampling does once.
STEP_ROWS = {"cpu": 8, "cuda": 64}


def of_a_step(marks: Mapping[int, float], seconds: float) -> float:
    """Seconds of an optimizer step of a trial; `marks`: when each of its steps ended."""
    times = [marks[step] for step in sorted(marks) if 0 < step <= STEPS]
    return min((b - a for a, b in pairwise(times)), default=seconds / STEPS)


def shorter(usual: float, longest: float) -> float:
    """How many times fewer tokens rows usually have than the longest, which a trial reads; 1 where it is not known."""
    return min(1.0, usual / longest) if usual and longest else 1.0


def of_an_update(metrics: Mapping[str, float]) -> float:
    """Seconds of the last update of PPO's trial."""
    return sum(metrics[f"seconds/{part}"] for part in ("rollout", "scoring", "update"))


def of_an_episode(metrics: Mapping[str, float], whole: PpoSpec, tried: PpoSpec, prompt_tokens: float) -> float:
    """Seconds of one of PPO's episodes with all its epochs and tokens, by the last update of the trial.

    Sampling grows with the new tokens, learning with all of them.
    """
    longer = whole.max_new_tokens / tried.max_new_tokens
    learnt = (whole.max_new_tokens + prompt_tokens) / (tried.max_new_tokens + prompt_tokens)
    sampling = (metrics["seconds/rollout"] + metrics["seconds/scoring"]) * longer
    return (sampling + metrics["seconds/update"] * whole.epochs / tried.epochs * learnt) / tried.batch_size


def of_an_evaluation(
    context: Context, step: str, tried: Any, inputs: Inputs, taken: Mapping[str, float], seconds: float
) -> float:
    """Seconds of a measure step: each kind of pass (align/evals/work.py) takes as much longer as it has more to do.

    `taken`: seconds of each kind in the trial, which took `seconds`; the rest of them is spent once.
    """
    before: dict[str, float] = defaultdict(float)
    after: dict[str, float] = defaultdict(float)
    for (name, suite), few in zip(spec_of(context.jobs[step]).suites.items(), tried.suites.values(), strict=True):
        _, row_type, rows, on_itself = asked(name, few, inputs)
        entry = context.entry_of(step, f"suites.{name}.data")
        there, usual = (entry[0].total[entry[1]], _usual(entry[0].rows[entry[1]], rows)) if entry else (rows, 1.0)
        there = min(there, suite.limit or there)
        for kind, each in passes(few, row_type, on_itself):
            before[kind] += each * _rows(kind, rows or documents(few))
        for kind, each in passes(suite, row_type, on_itself):
            after[kind] += each * _rows(kind, there or documents(suite)) * (usual if kind == READ else 1.0)
    return seconds + sum(each * (after[kind] / before[kind] - 1) for kind, each in taken.items() if before.get(kind))


def _rows(kind: str, rows: int) -> int:
    """Rows that cost what these do: a step of sampling has a part that does not grow with them."""
    return rows + STEP_ROWS[device().type] if kind == ANSWER else rows


def _usual(sample: Sequence[Row], read: int) -> float:
    """How long rows usually are beside the longest, which a trial reads."""
    sizes = sorted((sum(map(len, texts_of(row).values())) for row in sample), reverse=True)
    return shorter(sum(sizes) / max(1, len(sizes)), sum(sizes[:read]) / max(1, len(sizes[:read])))
