"""Estimates with intervals. Rows that share a prompt are one cluster: they are not independent evidence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval from `n` rows in `clusters` independent groups."""

    value: float
    low: float
    high: float
    n: int
    clusters: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; an interval without bounds has nulls."""
        return {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in asdict(self).items()}


def mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """The mean with a 95 % interval: Wilson's for independent yes/no values, else cluster-robust with Student's t."""
    estimate = ratio(values, [1.0] * len(values), clusters)
    if estimate.clusters == estimate.n and set(values) <= {0.0, 1.0}:
        low, high = wilson(sum(values), len(values))
        return Estimate(estimate.value, low, high, estimate.n, estimate.clusters)
    return estimate


def ratio(numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """sum(y) / sum(x) with the delta-method interval over clusters (Liang and Zeger 1986; Cochran 1977, eq. 6.4).

    Raises ValueError without rows. One cluster alone gives an infinite interval.
    """
    if not numerators:
        raise ValueError("an estimate needs at least one row")
    total = math.fsum(denominators)
    value = math.fsum(numerators) / total
    residuals: dict[Hashable, float] = defaultdict(float)
    for y, x, cluster in zip(numerators, denominators, clusters, strict=True):
        residuals[cluster] += y - value * x
    count = len(residuals)
    if count == 1:
        return Estimate(value, -math.inf, math.inf, len(numerators), 1)
    variance = math.fsum(r * r for r in residuals.values()) / total**2 * count / (count - 1)
    half = student_t(count - 1) * math.sqrt(variance)
    return Estimate(value, value - half, value + half, len(numerators), count)


def paired_difference(ours: Sequence[float], theirs: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """Mean of ours - theirs over the same rows, with a cluster-robust 95 % interval."""
    return ratio([a - b for a, b in zip(ours, theirs, strict=True)], [1.0] * len(ours), clusters)


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share (1927): sound at 0 and at 1, where the normal interval has no width."""
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t (exact for 1 and 2 degrees of freedom, else Hill 1970, error below 1e-3)."""
    if freedom == 1:
        return math.tan(math.pi * LEVEL / 2)
    if freedom == 2:
        return LEVEL * math.sqrt(2 / (1 - LEVEL**2))
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4
