"""Estimates with intervals at any confidence, from rows that may share a prompt.

Rows of one prompt are one cluster: they are not independent evidence. Plain Python, so that gates can be judged without
opening a numeric library.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

LEVEL = 0.95
POWER = 0.8
SHARE_SD = 0.5  # of paired differences of yes/no answers when a quarter of the answers changes sides

# How bounds follow from value and standard error: Student's t, Wilson's score interval for a share (1927), or Bonett and
# Price's adjusted interval for a paired difference of shares (2012).
Method = Literal["t", "wilson", "bonett_price"]


class Sample(NamedTuple):
    """Measured rows: values, what each is divided by (tokens, bytes; None for a plain mean), and the cluster of each."""

    values: Sequence[float]
    weights: Sequence[float] | None
    clusters: Sequence[Hashable]


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval from `n` rows in `clusters` independent groups; `se` is its standard error."""

    value: float
    low: float
    high: float
    n: int
    clusters: int
    se: float | None = None
    method: Method = "t"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; an interval without bounds has nulls."""
        return {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Estimate:
        """What `to_json` wrote; other keys are left alone. Without a standard error it is taken from the interval."""
        low, high = told.get("low"), told.get("high")
        found = cls(
            told["value"],
            -math.inf if low is None else low,
            math.inf if high is None else high,
            told.get("n") or 0,
            told.get("clusters") or told.get("n") or 0,
            told.get("se"),
            told.get("method", "t"),
        )
        if found.se is None and found.clusters > 1 and math.isfinite(found.high - found.low):
            return replace(found, se=(found.high - found.low) / 2 / student_t(found.clusters - 1), method="t")
        return found

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """The two-sided interval at a confidence level; each end alone is a one-sided bound at (1 + level) / 2."""
        if self.se is None or self.clusters < 2:
            return -math.inf, math.inf
        if self.method == "wilson":
            return self._wilson(level)
        if self.method == "bonett_price":
            centre, half = self.value * self.n / (self.n + 2), normal_quantile(level) * self.se
            return max(-1.0, centre - half), min(1.0, centre + half)
        half = student_t(self.clusters - 1, level) * self.se
        return self.value - half, self.value + half

    def _wilson(self, level: float) -> tuple[float, float]:
        """With rows that share prompts: as many rows as would give this standard error, and t for z."""
        if self.clusters == self.n:
            return wilson(self.value, self.n, normal_quantile(level))
        spread = self.value * (1 - self.value)
        effective = min(self.n, spread / self.se**2) if self.se and spread else self.clusters
        return wilson(self.value, effective, student_t(self.clusters - 1, level))

    def times(self, factor: float) -> Estimate:
        """The estimate that `factor` times as many rows of the same kind would give, if the value stayed as it is."""
        n, clusters = math.ceil(self.n * factor), math.ceil(self.clusters * factor)
        grown = replace(self, n=n, clusters=clusters, se=None if self.se is None else self.se / math.sqrt(factor))
        low, high = grown.bounds()
        return replace(grown, low=low, high=high)


def _estimate(value: float, n: int, clusters: int, se: float | None, method: Method = "t") -> Estimate:
    bare = Estimate(value, -math.inf, math.inf, n, clusters, se, method)
    low, high = bare.bounds()
    return replace(bare, low=low, high=high)


def mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """The mean with a 95 % interval: Wilson's for yes/no values, else cluster-robust with Student's t."""
    found = ratio(values, [1.0] * len(values), clusters)
    if found.se is not None and set(values) <= {0.0, 1.0}:
        return _estimate(found.value, found.n, found.clusters, found.se, "wilson")
    return found


def ratio(numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """sum(y) / sum(x) with the delta-method interval over clusters (Liang and Zeger 1986; Cochran 1977, eq. 6.4).

    Raises ValueError without rows. One cluster alone gives an infinite interval.
    """
    value, parts = _linearised(Sample(numerators, denominators, clusters))
    return _estimate(value, len(numerators), len(parts), _standard_error(parts))


def difference(ours: Sample, theirs: Sample) -> Estimate:
    """The mean (or ratio) of `ours` less that of `theirs`, with an interval that knows which clusters both share.

    The same rows in the same order are paired; rows without a common cluster are independent (Welch's interval).
    """
    (a, parts), (b, others) = _linearised(ours), _linearised(theirs)
    n = min(len(ours.values), len(theirs.values))
    if not parts.keys() & others.keys():
        return _independent(a - b, n, parts, others)
    if _paired_shares(ours, theirs):
        changes = [x - y for x, y in zip(ours.values, theirs.values, strict=True)]
        if len(parts) == n:
            return _bonett_price(a - b, changes)
        if not any(changes):  # no row speaks of a variance, so each prompt counts as one answer that might have changed
            return _bonett_price(0.0, [0.0] * len(parts))
    both = {c: parts.get(c, 0.0) - others.get(c, 0.0) for c in parts.keys() | others.keys()}
    return _estimate(a - b, n, len(both), _standard_error(both))


def _linearised(sample: Sample) -> tuple[float, dict[Hashable, float]]:
    """The ratio, and each cluster's share in its error: sum(y - R x) / sum(x)."""
    if not len(sample.values):
        raise ValueError("an estimate needs at least one row")
    weights = [1.0] * len(sample.values) if sample.weights is None else sample.weights
    total = math.fsum(weights)
    value = math.fsum(sample.values) / total
    parts: dict[Hashable, float] = defaultdict(float)
    for y, x, cluster in zip(sample.values, weights, sample.clusters, strict=True):
        parts[cluster] += (y - value * x) / total
    return value, parts


def _standard_error(parts: dict[Hashable, float]) -> float | None:
    count = len(parts)
    return math.sqrt(math.fsum(p * p for p in parts.values()) * count / (count - 1)) if count > 1 else None


def _independent(value: float, n: int, ours: dict[Hashable, float], theirs: dict[Hashable, float]) -> Estimate:
    """Welch (1947): the degrees of freedom that two unequal variances leave, told as clusters."""
    return _welch(value, n, (_standard_error(ours), len(ours)), (_standard_error(theirs), len(theirs)))


def apart(ours: Estimate, theirs: Estimate) -> Estimate:
    """The difference of two estimates whose rows are not known, as if they were of different prompts."""
    n = min(ours.n, theirs.n)
    return _welch(ours.value - theirs.value, n, (ours.se, ours.clusters), (theirs.se, theirs.clusters))


def _welch(value: float, n: int, ours: tuple[float | None, int], theirs: tuple[float | None, int]) -> Estimate:
    (first, count), (second, other) = ours, theirs
    if first is None or second is None or min(count, other) < 2:
        return _estimate(value, n, 1, None)
    variance = first**2 + second**2
    spread = first**4 / (count - 1) + second**4 / (other - 1)
    freedom = variance**2 / spread if spread else min(count, other) - 1
    return _estimate(value, n, max(2, math.floor(freedom) + 1), math.sqrt(variance))


def _paired_shares(ours: Sample, theirs: Sample) -> bool:
    """Whether both are yes/no answers to the same rows."""
    return (
        ours.weights is None
        and theirs.weights is None
        and list(ours.clusters) == list(theirs.clusters)
        and len(set(ours.clusters)) > 1
        and set(ours.values) | set(theirs.values) <= {0.0, 1.0}
    )


def _bonett_price(value: float, changes: Sequence[float]) -> Estimate:
    """Bonett and Price (2012): one answer more changed each way, so that no change at all is no certainty either."""
    n = len(changes)
    moved = sum(c != 0 for c in changes) + 2
    centre = math.fsum(changes) / (n + 2)
    return _estimate(value, n, n, math.sqrt((moved / (n + 2) - centre**2) / (n + 2)), "bonett_price")


def wilson(share: float, n: float, quantile: float | None = None) -> tuple[float, float]:
    """Wilson's interval for a share (1927): sound at 0 and at 1, where the normal interval has no width."""
    z = normal_quantile(LEVEL) if quantile is None else quantile
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


@dataclass(frozen=True)
class Seeds:
    """One figure of several training seeds. `over` speaks of a new seed; `within` only of new prompts to these models."""

    over: Estimate
    within: Estimate
    values: tuple[float, ...]

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """For a new seed and new prompts: the half widths of both, squared and added (Zou and Donner 2008)."""
        halves = [(e.bounds(level)[1] - e.bounds(level)[0]) / 2 for e in (self.over, self.within)]
        return self.over.value - math.hypot(*halves), self.over.value + math.hypot(*halves)


def over_seeds(runs: Sequence[Sample], less: Sequence[Sample] | None = None) -> Seeds:
    """The mean over training seeds, with what seeds vary and what prompts vary kept apart (never pooled).

    `over`: Student's t over the seeds' values, n = seeds: what another training run would give. One seed bounds nothing.
    `within`: the same mean's interval over prompts, for these models as they are. `less`: what is taken off each run, of
    the same rows. Raises ValueError unless every run was asked the same prompts in the same order.
    """
    if any(list(s.clusters) != list(runs[0].clusters) for s in [*runs, *(less or ())]):
        raise ValueError("runs of several seeds are summarised over the same prompts")
    found = [_linearised(sample) for sample in runs]
    if less:
        taken = [_linearised(sample) for sample in less]
        found = [(a - b, {c: p[c] - q[c] for c in p}) for (a, p), (b, q) in zip(found, taken, strict=True)]
    parts = {c: math.fsum(p[c] for _, p in found) / len(found) for c in found[0][1]}
    error = _standard_error(parts)
    if error is not None and not less and all(set(s.values) <= {0.0, 1.0} and s.weights is None for s in runs):
        low, high = wilson(math.fsum(v for v, _ in found) / len(found), len(parts))
        error = max(error, (high - low) / 2 / normal_quantile(LEVEL))  # where nobody ever errs, rows show no variance
    return _seeds([value for value, _ in found], len(runs[0].values), len(parts), error)


def seeds_of(found: Sequence[Estimate]) -> Seeds:
    """The same of estimates whose rows are not known: `within` as if all seeds erred alike on the prompts, its widest."""
    errors = [e.se for e in found if e.se is not None]
    error = math.fsum(errors) / len(errors) if len(errors) == len(found) else None
    return _seeds([e.value for e in found], min(e.n for e in found), min(e.clusters for e in found), error)


def _seeds(values: Sequence[float], n: int, clusters: int, error: float | None) -> Seeds:
    over = ratio(values, [1.0] * len(values), range(len(values)))
    return Seeds(over, _estimate(over.value, n, clusters, error), tuple(values))


def detectable(clusters: int, sd: float = SHARE_SD, level: float = LEVEL, power: float = POWER) -> float:
    """The smallest difference that so many prompts show with the given power; `sd` is that of a prompt's difference.

    Two-sided at `level` (Cohen 1988, section 2.4, with t for z). Infinite for a single prompt.
    """
    if clusters < 2:
        return math.inf
    return (student_t(clusters - 1, level) + NormalDist().inv_cdf(power)) * sd / math.sqrt(clusters)


def normal_quantile(level: float) -> float:
    """The z of a two-sided interval: 1.96 at .95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


@lru_cache(maxsize=4096)
def student_t(freedom: int, level: float = LEVEL) -> float:
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
