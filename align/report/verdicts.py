"""A recipe's gates and its forgetting ledger as rows of a report."""

from __future__ import annotations

from dataclasses import dataclass

from align import words
from align.gates import Judgement, written
from align.report import tables
from align.report.collect import Seen


@dataclass(frozen=True)
class Gate:
    verdict: str
    mark: str
    text: str
    figure: str
    remark: str


def gates(judgement: Judgement) -> list[Gate]:
    """Every gate in the order judged; those that wait or could not be judged say why."""
    judged = [
        Gate(v.verdict, written.MARKS[v.verdict], v.gate, written.figure(v), written.remark(v))
        for v in judgement.verdicts
    ]
    waiting = [Gate("waiting", "·", w.gate, "", f"waits for {words.listed(w.steps)}") for w in judgement.waiting]
    problems = [Gate("not judged", "!", p.key, "", p.message) for p in judgement.problems]
    return [*judged, *waiting, *problems]


def counted(judgement: Judgement) -> str:
    """`gates: 3 passed, 1 failed`; empty without gates."""
    told = written.counted(judgement)
    return f"gates: {told}" if told else ""


@dataclass(frozen=True)
class Entry:
    """What one step of the chain forgot by a suite, and all steps since the root; more is worse."""

    model: str
    parent: str
    root: str
    suite: str
    metric: str
    step: str
    total: str


def ledger(seen: dict[str, Seen]) -> list[Entry]:
    told = [e for s in seen.values() if s.step.kind == "compare" and s.report for e in s.report.get("ledger") or []]
    return [
        Entry(
            e["model"], e["parent"], e["root"], e["suite"], str(words.LABELS.get(e["metric"], e["metric"].replace("_", " "))),
            tables.interval(e["step"], "+"), tables.interval(e["total"], "+"),
        )
        for e in told
    ]  # fmt: skip
