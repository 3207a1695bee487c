"""Quantiles and tails of the normal and of Student's t distribution. Plain Python, as the estimates are that ask for them."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist


def normal_quantile(level: float) -> float:
    """The z of a two-sided interval: 1.96 at .95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


@lru_cache(maxsize=4096)
def student_t(freedom: int, level: float = 0.95) -> float:
    """The t of a two-sided interval: 2.776 at 4 degrees of freedom and .95; by bisection, to 7 digits or more."""
    if freedom > 200:
        return _expanded_t(freedom, normal_quantile(level))
    tail = 1 - level
    low, high = 0.0, 1.0
    while two_tails(high, freedom) > tail:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if two_tails(middle, freedom) > tail else (low, middle)
    return (low + high) / 2


def _expanded_t(freedom: int, z: float) -> float:
    """Fisher and Cornish's expansion about the normal quantile (Abramowitz and Stegun, 26.7.5)."""
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3


def two_tails(t: float, freedom: int) -> float:
    """P(|T| > t) = I_x(freedom / 2, 1 / 2) with x = freedom / (freedom + t^2)."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function by its continued fraction (Numerical Recipes, section 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    total = d
    for m in range(1, 500):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + step * d or tiny)
            c = 1 + step / c or tiny
            total *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return front * total / a
