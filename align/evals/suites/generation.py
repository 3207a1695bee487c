"""generation: the model answers every prompt and named scorers score the answers."""

from __future__ import annotations

from align.evals.contract import Ask
from align.evals.measured import Measured, about
from align.scoring.named import SCORERS
from align.specs.asking import METRICS_OF_SCORER


def measure(ask: Ask) -> Measured:
    measured = about(ask.rows)
    measured.answers = ask.answers()
    for name in ask.suite.scorers:
        scores = [SCORERS[name](episode.answer) for episode in measured.answers]
        for metric, scale in METRICS_OF_SCORER[name].items():
            measured.add(metric, scale, [s[metric] for s in scores])
    return measured
