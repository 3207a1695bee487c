"""preference: which is preferred; see PreferenceSuite for the metrics.

On pairs, log pi(chosen) against log pi(rejected), and against a reference the implicit reward log pi - log pi_ref (the
accuracy that DPO training logs; ties count as half). With `by`, two models' own answers to the same prompts: contest.py.
"""

from __future__ import annotations

from align.data.render import render_preference
from align.evals import asking
from align.evals.asking import Subject, Tokens
from align.evals.contract import Ask
from align.evals.measured import Measured, about
from align.evals.suites import contest


def measure(ask: Ask) -> Measured:
    of_pairs = ask.row_type == "preference"
    measured = about(ask.rows)
    if of_pairs:
        _likelihood(ask, measured)
    if ask.suite.by:
        contest.hold(ask, measured)
    return measured


def _likelihood(ask: Ask, measured: Measured) -> None:
    chosen, rejected = sides(ask, ask.subject)
    measured.add("accuracy", "share", [wins(c - r) for c, r in zip(chosen, rejected, strict=True)])
    if ask.suite.against:
        theirs = sides(ask, ask.others.model("against"))
        margins = [c - r - (a - b) for c, r, a, b in zip(chosen, rejected, *theirs, strict=True)]
        measured.add("reward_accuracy", "share", [wins(m) for m in margins])
        measured.add("logratio_margin", "real", margins)


def sides(ask: Ask, subject: Subject) -> tuple[list[float], list[float]]:
    """log pi(answer | prompt) of each row's chosen and rejected answer, stop token included."""
    told: list[Tokens] = []
    for pair in render_preference(ask.rows, subject.tokenizer):
        for ids in (pair.chosen_ids, pair.rejected_ids):
            told.append((pair.prompt_ids + ids, [0] * len(pair.prompt_ids) + [1] * len(ids)))
    found = asking.logprobs(subject, told, ask.begin())
    return found[::2], found[1::2]


def wins(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)
