"""frontier: proxy and gold reward against the distance from a reference, for policies and for best-of-n alike.

One harness for all: answers are sampled at temperature 1 from the model, scored by the proxy and by gold, and their KL is taken
as in the kl suite. Best-of-n is measured on the reference itself, from as many groups of n as the drawn answers make.
"""

from __future__ import annotations

import math

from align.evals import asking
from align.evals.contract import Ask
from align.evals.measured import Measured, about
from align.specs.asking import scale_of


def measure(ask: Ask) -> Measured:
    reference = ask.alike(ask.others.model("against"))
    measured = about(ask.rows)
    measured.answers = ask.answers(temperature=1.0)
    measured.add("proxy", ask.scale("proxy"), ask.scores("proxy", ask.subject, measured.answers))
    if ask.suite.gold:
        measured.add("gold", scale_of(ask.suite.gold), ask.scored(ask.suite.gold, measured.answers))
    said = [asking.tokens_of(episode) for episode in measured.answers]
    ours = asking.logprobs(ask.subject, said, ask.begin())
    theirs = asking.logprobs(reference, said, ask.begin())
    measured.add("kl", "real", [a - b for a, b in zip(ours, theirs, strict=True)])
    measured.add("tokens", "real", [len(e.completion.token_ids) for e in measured.answers])
    if ask.suite.best_of and ask.subject.digest == reference.digest:
        _best_of(ask, measured)
    return measured


def _best_of(ask: Ask, measured: Measured) -> None:
    """Adds best_of_N_proxy, _gold and _kl: per prompt the mean over its groups of N answers."""
    count, rows = max(ask.suite.best_of), len(ask.rows)
    drawn = [row for row in ask.rows for _ in range(count)]
    answers = ask.answers(temperature=1.0, rows=drawn)
    proxy = ask.scores("proxy", ask.subject, answers)
    gold = ask.scored(ask.suite.gold, answers) if ask.suite.gold else None
    for n in ask.suite.best_of:
        best = [[max(group, key=proxy.__getitem__) for group in _groups(row, count, n)] for row in range(rows)]
        measured.add(f"best_of_{n}_proxy", ask.scale("proxy"), [_mean(proxy, chosen) for chosen in best])
        if gold:
            measured.add(f"best_of_{n}_gold", scale_of(ask.suite.gold), [_mean(gold, chosen) for chosen in best])
        measured.add(f"best_of_{n}_kl", "real", [math.log(n) - (n - 1) / n] * rows)


def _groups(row: int, count: int, n: int) -> list[range]:
    """Positions of one row's drawn answers, in groups of n."""
    return [range(start, start + n) for start in range(row * count, (row + 1) * count, n)]


def _mean(values: list[float], chosen: list[int]) -> float:
    return sum(values[i] for i in chosen) / len(chosen)
