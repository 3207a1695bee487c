"""health: what preference training does beside its purpose; see HealthSuite for the metrics.

Everything is held against the model that training began with, on the same rows. Likelihood displacement: 2410.08847. A
proxy that rises while gold does not is over-optimised (Gao et al. 2022, 2210.10760).
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import pstdev

import numpy as np

from align.estimates import Sample, Scale, difference, of_difference
from align.evals import statistics
from align.evals.contract import Ask
from align.evals.length_control import gain_at_equal_length
from align.evals.measured import Measured, about
from align.evals.suites.preference import sides
from align.evals.suites.transfer import rank_correlation
from align.scoring.episode import Episode
from align.specs.asking import scale_of

REPEATED = 4  # tokens


def measure(ask: Ask) -> Measured:
    against = ask.others.model("against")
    of_pairs = ask.row_type == "preference"
    measured = about(ask.rows)
    ours = measured.answers = ask.answers()
    theirs = ask.answers(against)
    _scores(ask, measured, ours, theirs)
    _answers(measured, ours, theirs)
    if of_pairs:
        chosen = sides(ask, ask.subject)[0]
        gains = [c - r for c, r in zip(chosen, sides(ask, ask.alike(against))[0], strict=True)]
        measured.add("chosen_gain", "real", gains)
        measured.add("displaced", "share", [gain < 0 for gain in gains])
    return measured


def _scores(ask: Ask, measured: Measured, ours: list[Episode], theirs: list[Episode]) -> None:
    """Proxy and gold: scores, gains, and by how much more the proxy gained."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    scales: dict[str, Scale] = {}
    if ask.suite.gold:
        golds = ask.scored(ask.suite.gold, ours), ask.scored(ask.suite.gold, theirs)
        found["gold"], scales["gold"] = golds, scale_of(ask.suite.gold)
    if ask.suite.proxy:
        against = ask.others.model("against")
        mine = ask.scores("proxy", ask.subject, ours)
        found["proxy"], scales["proxy"] = (mine, ask.scores("proxy", against, theirs)), ask.scale("proxy")
    standard: dict[str, list[float]] = {}
    for name, (now, before) in found.items():
        gains = [a - b for a, b in zip(now, before, strict=True)]
        measured.add(name, scales[name], now)
        gained = of_difference(scales[name], scales[name])
        measured.add(f"{name}_gain", gained, gains)
        longer = [len(a.completion.token_ids) - len(b.completion.token_ids) for a, b in zip(ours, theirs, strict=True)]
        at_equal = gain_at_equal_length(gains, longer, measured.clusters, ask.subject.seed, ask.begin(), gained)
        if at_equal:
            measured.whole[f"{name}_gain_controlled"] = at_equal
        if spread := pstdev(before):
            standard[name] = [gain / spread for gain in gains]
    if len(standard) == 2:
        measured.add(
            "overoptimisation", "real", [p - g for p, g in zip(standard["proxy"], standard["gold"], strict=True)]
        )
    if "proxy" in found:
        progress = ask.begin()
        scores, lengths = np.array(found["proxy"][0]), np.array([float(len(e.completion.token_ids)) for e in ours])
        if np.ptp(scores) and np.ptp(lengths):
            measured.whole["proxy_length_correlation"] = statistics.bootstrap(
                lambda rows: rank_correlation(scores[rows], lengths[rows]), measured.clusters, ask.subject.seed,
                progress=progress, scale="signed",
            )  # fmt: skip


def _answers(measured: Measured, ours: list[Episode], theirs: list[Episode]) -> None:
    now, before = ([e.completion.token_ids for e in side] for side in (ours, theirs))
    measured.add("tokens", "real", [len(ids) for ids in now])
    longer = [len(a) - len(b) for a, b in zip(now, before, strict=True)]
    measured.add("length_growth", "real", longer, [len(b) for b in before])
    said, was = ([_repeated(ids) for ids in side] for side in (now, before))
    measured.add("repetition", "share", said)
    measured.add("repetition_gain", "signed", [a - b for a, b in zip(said, was, strict=True)])
    ours_2, theirs_2 = _distinct(now), _distinct(before)
    measured.add("distinct_2", "share", *ours_2)
    samples = [Sample(v, w, c, "share") for v, w, c in (_counted(*theirs_2, measured), _counted(*ours_2, measured))]
    if all(len(sample.values) for sample in samples):
        measured.whole["distinct_2_drop"] = difference(*samples)


def _repeated(ids: list[int]) -> float:
    """The share of 4-grams that stood in the answer before."""
    grams = [tuple(ids[i : i + REPEATED]) for i in range(len(ids) - REPEATED + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _distinct(answers: list[list[int]]) -> tuple[list[float], list[float]]:
    """Per answer, sum of 1 / count over its bigrams and their number: their ratio over all is distinct-2 (1510.03055)."""
    bigrams = [list(pairwise(ids)) for ids in answers]
    counts = Counter(gram for row in bigrams for gram in row)
    return [sum(1 / counts[g] for g in row) for row in bigrams], [float(len(row)) for row in bigrams]


def _counted(
    values: list[float], weights: list[float], measured: Measured
) -> tuple[list[float], list[float], list[str]]:
    rows = [i for i, w in enumerate(weights) if w]
    return [values[i] for i in rows], [weights[i] for i in rows], [measured.clusters[i] for i in rows]
