"""Tests of "no difference" on the same prompts, and what several of them at once amount to. Plain Python, as estimates are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

from align.estimates import Sample, difference
from align.quantiles import two_tails

EXACT_CLUSTERS = 14  # all 2^14 signs are tried up to here


def paired_p(ours: Sample, theirs: Sample) -> tuple[float, str]:
    """p of "no difference", two-sided, and the test's name; both samples are of the same rows in the same order.

    McNemar's exact test for yes/no answers to prompts asked once; of few prompts that differ every exchange of the two models
    (Fisher 1935); else Student's t over prompts, which is also that of ratios. nan where one prompt is all there is.
    """
    if ours.weights is None and theirs.weights is None:
        changes = _by_cluster([a - b for a, b in zip(ours.values, theirs.values, strict=True)], ours.clusters)
        if not changes:
            return 1.0, "no prompt differs"
        if len(set(ours.clusters)) == len(ours.clusters) and {abs(c) for c in changes} == {1.0}:
            return mcnemar(sum(c > 0 for c in changes), len(changes)), "McNemar"
        if len(changes) <= EXACT_CLUSTERS:
            return exact_permutation(changes), "exact permutation"
    found = difference(ours, theirs)
    if not found.se:
        return (1.0 if found.value == 0 else math.nan), "t"
    return two_tails(abs(found.value) / found.se, found.clusters - 1), "t"


def mcnemar(wins: int, n: int) -> float:
    """Of `n` prompts that changed sides so many did so for the better; under "no difference" each way is as likely."""
    less = min(wins, n - wins)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(less + 1)) / 2**n)


def exact_permutation(changes: Sequence[float]) -> float:
    """The share of all exchanges of the two models, prompt by prompt, that differ by as much as was found."""
    sums = [0.0]
    for change in changes:
        sums = [s + sign * change for s in sums for sign in (1, -1)]
    observed = abs(math.fsum(changes)) * (1 - 1e-12)
    return sum(abs(s) >= observed for s in sums) / len(sums)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for all of them (Holm 1979): below .05 of all, with probability .95, none without a difference."""
    adjusted, most = [math.nan] * len(ps), 0.0
    told = [i for i in range(len(ps)) if not math.isnan(ps[i])]
    for rank, index in enumerate(sorted(told, key=lambda i: ps[i])):
        most = max(most, min(1.0, ps[index] * (len(told) - rank)))
        adjusted[index] = most
    return adjusted


def _by_cluster(values: Sequence[float], clusters: Sequence[Hashable]) -> list[float]:
    """Sums by cluster, clusters in order of first appearance; those that sum to nothing are left out."""
    sums: dict[Hashable, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value
    return [s for s in sums.values() if s]
