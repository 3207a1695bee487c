"""Statistics of measured rows: intervals (of align.estimates), tests and bootstraps on the same prompts.

Everything here counts prompts, not rows, as evidence, and everything random is drawn from a given seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from align.estimates import METHODS, Estimate, Sample, Scale, bounded, difference, mean, ratio
from align.paired import EXACT_CLUSTERS, exact_permutation, mcnemar

__all__ = ["Estimate", "bootstrap", "mean", "paired_difference", "paired_test", "ratio"]

DRAWS = 9_999
TOLD_EVERY = 50  # draws of a bootstrap
CHUNK = 1 << 20  # signs or draws held at once


def paired_difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    clusters: Sequence[Hashable],
    scale: Scale,
    our_weights: Sequence[float] | None = None,
    their_weights: Sequence[float] | None = None,
) -> Estimate:
    """Ours less theirs over the same rows with a 95 % interval; with weights (tokens, bytes) of the two ratios."""
    return difference(Sample(ours, our_weights, clusters, scale), Sample(theirs, their_weights, clusters, scale))


def paired_test(
    ours: Sequence[float], theirs: Sequence[float], clusters: Sequence[Hashable], seed: int = 0
) -> tuple[float, str]:
    """p of "no difference" on the same prompts, two-sided, and the test's name.

    McNemar's exact test for yes/no answers to prompts asked once; otherwise a permutation test that exchanges the models
    prompt by prompt (Fisher 1935): exact for few prompts that differ, else over seeded draws.
    """
    changes = _by_cluster([a - b for a, b in zip(ours, theirs, strict=True)], clusters)
    changes = changes[changes != 0]
    if not len(changes):
        return 1.0, "no prompt differs"
    if len(set(clusters)) == len(clusters) and set(np.abs(changes)) == {1.0}:
        return mcnemar(int((changes > 0).sum()), len(changes)), "McNemar"
    if len(changes) <= EXACT_CLUSTERS:
        return exact_permutation(changes.tolist()), "exact permutation"
    observed = abs(changes.sum()) * (1 - 1e-12)
    rng, hits, left = np.random.default_rng(seed), 0, DRAWS
    while left:
        count = min(left, max(1, CHUNK // len(changes)))
        signs = rng.integers(0, 2, (count, len(changes)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ changes) >= observed).sum())
        left -= count
    return (hits + 1) / (DRAWS + 1), "permutation"


def _by_cluster(values: Sequence[float], clusters: Sequence[Hashable]) -> np.ndarray:
    """Sums of values by cluster, clusters in order of first appearance."""
    places: dict[Hashable, int] = {}
    index = [places.setdefault(c, len(places)) for c in clusters]
    return np.bincount(index, weights=np.asarray(values, dtype=float), minlength=len(places))


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    clusters: Sequence[Hashable],
    seed: int = 0,
    draws: int = 2_000,
    progress: Callable[[int, int], None] = lambda done, total: None,
    scale: Scale = "real",
) -> Estimate:
    """Any statistic of chosen rows with a 95 % interval from resampled prompts (Efron 1979; a cluster bootstrap).

    `statistic` maps row indices to a number: with two models' values of the same rows in it the bootstrap is paired. The
    interval is value ± t * (standard deviation of the draws), so that it can be had at every confidence, within `scale`.
    """
    members: dict[Hashable, list[int]] = {}
    for row, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(row)
    groups = [np.array(rows) for rows in members.values()]
    value = float(statistic(np.arange(len(clusters))))
    if len(groups) < 2:
        return Estimate(value, -math.inf, math.inf, len(clusters), len(groups))
    rng = np.random.default_rng(seed)
    drawn = []
    for done in range(draws):
        if done % TOLD_EVERY == 0:
            progress(done, draws)
        drawn.append(statistic(np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])))
    se = float(np.std(drawn, ddof=1)) * math.sqrt(len(groups) / (len(groups) - 1))
    return bounded(value, len(clusters), len(groups), se, METHODS[scale])
