"""generation: the model answers every prompt and named scorers score the answers."""

from __future__ import annotations

from align.evals.contract import Ask
from align.evals.measured import Measured, about
from align.specs.asking import metrics_of


def measure(ask: Ask) -> Measured:
    measured = about(ask.rows)
    measured.answers = ask.answers()
    for name in ask.suite.scorers:
        scales = metrics_of(name)
        for metric, values in ask.told_by(name, measured.answers).items():
            measured.add(metric, scales[metric], values)
    return measured
