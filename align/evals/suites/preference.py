"""preference: whether the model gives the chosen answer the higher likelihood; against a reference, the higher implicit reward.

accuracy          log pi(chosen) > log pi(rejected)
reward_accuracy   the same of log pi - log pi_ref (the accuracy DPO training logs); ties count as half
"""

from __future__ import annotations

from align.data.render import render_preference
from align.evals import asking
from align.evals.asking import Subject, Tokens
from align.evals.contract import Ask
from align.evals.measured import Measured, about


def measure(ask: Ask) -> Measured:
    passes = 2 if ask.suite.against else 1
    chosen, rejected = sides(ask, ask.subject, (0, passes))
    measured = about(ask.rows)
    measured.add("accuracy", [wins(c - r) for c, r in zip(chosen, rejected, strict=True)])
    if ask.suite.against:
        theirs = sides(ask, ask.others.model("against"), (1, passes))
        margins = [c - r - (a - b) for c, r, a, b in zip(chosen, rejected, *theirs, strict=True)]
        measured.add("reward_accuracy", [wins(m) for m in margins])
        measured.add("logratio_margin", margins)
    return measured


def sides(ask: Ask, subject: Subject, part: tuple[int, int] = (0, 1)) -> tuple[list[float], list[float]]:
    """log pi(answer | prompt) of each row's chosen and rejected answer, stop token included."""
    told: list[Tokens] = []
    for pair in render_preference(ask.rows, subject.tokenizer):
        for ids in (pair.chosen_ids, pair.rejected_ids):
            told.append((pair.prompt_ids + ids, [0] * len(pair.prompt_ids) + [1] * len(ids)))
    found = asking.logprobs(subject, told, ask.part(*part))
    return found[::2], found[1::2]


def wins(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)
