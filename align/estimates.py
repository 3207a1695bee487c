"""Estimates with intervals at any confidence, from rows that may share a prompt.

Rows of one prompt are one cluster: they are not independent evidence. Plain Python, so that gates can be judged without
opening a numeric library.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

from align.quantiles import normal_quantile, student_t

LEVEL = 0.95
POWER = 0.8
SHARE_SD = 0.5  # of paired differences of yes/no answers when a quarter of the answers changes sides

# What a quantity can be, whatever was seen of it: a share of something (a row may count in part) lies in [0, 1], the
# difference of two shares or a correlation is signed, in [-1, 1], and anything else is real. Who measures says which.
Scale = Literal["share", "signed", "real"]

# How bounds follow from value and standard error: Student's t (signed: cut at -1 and 1), Wilson's score interval for yes/no
# answers (1927), Student's t on the logit of any other share, or Bonett and Price's adjusted interval for a paired difference
# of yes/no answers (2012).
Method = Literal["t", "wilson", "logit", "bonett_price", "t_signed"]
METHODS: dict[Scale, Method] = {"share": "logit", "signed": "t_signed", "real": "t"}
SCALES: dict[Method, Scale] = {
    "wilson": "share", "logit": "share", "bonett_price": "signed", "t_signed": "signed", "t": "real",
}  # fmt: skip
LIMITS: dict[Scale, tuple[float, float]] = {"share": (0.0, 1.0), "signed": (-1.0, 1.0), "real": (-math.inf, math.inf)}
NOTHING = 1e-12  # a standard error that is rounding alone


class Sample(NamedTuple):
    """Measured rows: values, what each is divided by (tokens, bytes; None for a plain mean), the cluster of each, and what
    the quantity can be.
    """

    values: Sequence[float]
    weights: Sequence[float] | None
    clusters: Sequence[Hashable]
    scale: Scale


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
        if self.method == "logit" and 0 < self.value < 1:
            return self._logit(half)
        least, most = LIMITS[self.scale]
        return max(least, self.value - half), min(most, self.value + half)

    @property
    def scale(self) -> Scale:
        """What the quantity can be."""
        return SCALES[self.method]

    def _logit(self, half: float) -> tuple[float, float]:
        """The delta method on log(p / (1 - p)), whose bounds are shares at any width."""
        centre, half = math.log(self.value / (1 - self.value)), half / (self.value * (1 - self.value))
        low, high = ((1 + math.tanh((centre + side * half) / 2)) / 2 for side in (-1, 1))
        return low, high

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


def bounded(value: float, n: int, clusters: int, se: float | None, method: Method) -> Estimate:
    """An estimate with its 95 % interval, which follows from the rest."""
    bare = Estimate(value, -math.inf, math.inf, n, clusters, se, method)
    low, high = bare.bounds()
    return replace(bare, low=low, high=high)


def mean(values: Sequence[float], clusters: Sequence[Hashable], scale: Scale) -> Estimate:
    """The mean with a 95 % interval: Wilson's for yes/no answers, Bonett and Price's for answers that changed (-1, 0, 1) to
    prompts asked once, else cluster-robust with Student's t, within what `scale` allows.
    """
    found = ratio(values, [1.0] * len(values), clusters, scale)
    if found.se is None:
        return found
    if scale == "share" and set(values) <= {0.0, 1.0}:
        _, parts = _linearised(Sample(values, None, clusters, scale))
        return bounded(found.value, found.n, found.clusters, _standard_error(parts), "wilson")
    if scale == "signed" and set(values) <= {-1.0, 0.0, 1.0} and found.clusters == found.n:
        return _bonett_price(found.value, values)
    return found


def ratio(
    numerators: Sequence[float], denominators: Sequence[float], clusters: Sequence[Hashable], scale: Scale = "real"
) -> Estimate:
    """sum(y) / sum(x) with the delta-method interval over clusters (Liang and Zeger 1986; Cochran 1977, eq. 6.4).

    Raises ValueError without rows. One cluster alone gives an infinite interval.
    """
    value, parts = _linearised(Sample(numerators, denominators, clusters, scale))
    return bounded(value, len(numerators), len(parts), _error(value, parts, scale), METHODS[scale])


def difference(ours: Sample, theirs: Sample) -> Estimate:
    """The mean (or ratio) of `ours` less that of `theirs`, with an interval that knows which clusters both share.

    The same rows in the same order are paired; rows without a common cluster are independent (Welch's interval).
    """
    (a, parts), (b, others) = _linearised(ours), _linearised(theirs)
    n, scale = min(len(ours.values), len(theirs.values)), of_difference(ours.scale, theirs.scale)
    if not parts.keys() & others.keys():
        errors = _error(a, parts, ours.scale), _error(b, others, theirs.scale)
        return _welch(a - b, n, (errors[0], len(parts)), (errors[1], len(others)), scale)
    if scale == "signed" and _same_rows(ours, theirs):
        changes = [x - y for x, y in zip(ours.values, theirs.values, strict=True)]
        if len(parts) == n and set(ours.values) | set(theirs.values) <= {0.0, 1.0}:
            return _bonett_price(a - b, changes)
        if not any(changes):  # no row speaks of a variance, so each prompt counts as one answer that might have changed
            return _bonett_price(0.0, [0.0] * len(parts))
    both = {c: parts.get(c, 0.0) - others.get(c, 0.0) for c in parts.keys() | others.keys()}
    return bounded(a - b, n, len(both), _error(a - b, both, scale), METHODS[scale])


def of_difference(ours: Scale, theirs: Scale) -> Scale:
    """What a difference can be: of two shares it is signed."""
    return "signed" if ours == theirs == "share" else "real"


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


def _error(value: float, parts: dict[Hashable, float], scale: Scale) -> float | None:
    """The standard error. Where no row of a bounded quantity differs from another that is no certainty: as if each limit had
    been met once more (Agresti and Caffo 2000).
    """
    return _no_certainty(_standard_error(parts), value, len(parts), scale)


def _no_certainty(found: float | None, value: float, n: int, scale: Scale) -> float | None:
    if found is None or found > NOTHING or scale == "real":
        return found
    limits = LIMITS[scale]
    centre = (n * value + sum(limits)) / (n + 2)
    spread = n * (value - centre) ** 2 + sum((limit - centre) ** 2 for limit in limits)
    return math.sqrt(spread) / (n + 2)


def apart(ours: Estimate, theirs: Estimate) -> Estimate:
    """The difference of two estimates whose rows are not known, as if they were of different prompts."""
    told = [(_no_certainty(e.se, e.value, e.clusters, e.scale), e.clusters) for e in (ours, theirs)]
    return _welch(
        ours.value - theirs.value, min(ours.n, theirs.n), told[0], told[1], of_difference(ours.scale, theirs.scale)
    )


def _welch(
    value: float, n: int, ours: tuple[float | None, int], theirs: tuple[float | None, int], scale: Scale
) -> Estimate:
    """Welch (1947): the degrees of freedom that two unequal variances leave, told as clusters."""
    (first, count), (second, other) = ours, theirs
    if first is None or second is None or min(count, other) < 2:
        return bounded(value, n, 1, None, METHODS[scale])
    variance = first**2 + second**2
    spread = first**4 / (count - 1) + second**4 / (other - 1)
    freedom = variance**2 / spread if spread else min(count, other) - 1
    return bounded(value, n, max(2, math.floor(freedom) + 1), math.sqrt(variance), METHODS[scale])


def _same_rows(ours: Sample, theirs: Sample) -> bool:
    """Whether both are plain means over the same rows, of several prompts."""
    plain = ours.weights is None and theirs.weights is None
    return plain and list(ours.clusters) == list(theirs.clusters) and len(set(ours.clusters)) > 1


def _bonett_price(value: float, changes: Sequence[float]) -> Estimate:
    """Bonett and Price (2012): one answer more changed each way, so that no change at all is no certainty either."""
    n = len(changes)
    moved = sum(c != 0 for c in changes) + 2
    centre = math.fsum(changes) / (n + 2)
    return bounded(value, n, n, math.sqrt((moved / (n + 2) - centre**2) / (n + 2)), "bonett_price")


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
        """For a new seed and new prompts: the widths of both on each side, squared and added (Zou and Donner 2008)."""
        value, both = self.over.value, [e.bounds(level) for e in (self.over, self.within)]
        least, most = LIMITS[self.within.scale]
        low, high = math.hypot(*(value - low for low, _ in both)), math.hypot(*(high - value for _, high in both))
        if math.isinf(low + high):
            return -math.inf, math.inf
        return max(least, value - low), min(most, value + high)


def over_seeds(runs: Sequence[Sample], less: Sequence[Sample] | None = None) -> Seeds:
    """The mean over training seeds, with what seeds vary and what prompts vary kept apart (never pooled).

    `over`: Student's t over the seeds' values, n = seeds: what another training run would give. One seed bounds nothing.
    `within`: the same mean's interval over prompts, for these models as they are. `less`: what is taken off each run, of
    the same rows. Raises ValueError unless every run was asked the same prompts in the same order.
    """
    if any(list(s.clusters) != list(runs[0].clusters) for s in [*runs, *(less or ())]):
        raise ValueError("runs of several seeds are summarised over the same prompts")
    found, scale = [_linearised(sample) for sample in runs], runs[0].scale
    if less:
        taken, scale = [_linearised(sample) for sample in less], of_difference(scale, less[0].scale)
        found = [(a - b, {c: p[c] - q[c] for c in p}) for (a, p), (b, q) in zip(found, taken, strict=True)]
    parts = {c: math.fsum(p[c] for _, p in found) / len(found) for c in found[0][1]}
    value = math.fsum(v for v, _ in found) / len(found)
    error = _error(value, parts, scale)
    if error is not None and scale == "share" and all(set(s.values) <= {0.0, 1.0} and s.weights is None for s in runs):
        low, high = wilson(value, len(parts))
        error = max(error, (high - low) / 2 / normal_quantile(LEVEL))  # where nobody ever errs, rows show no variance
    return _seeds([value for value, _ in found], len(runs[0].values), len(parts), error, scale)


def seeds_of(found: Sequence[Estimate]) -> Seeds:
    """The same of estimates whose rows are not known: `within` as if all seeds erred alike on the prompts, its widest."""
    errors = [e.se for e in found if e.se is not None]
    error = math.fsum(errors) / len(errors) if len(errors) == len(found) else None
    n, clusters = min(e.n for e in found), min(e.clusters for e in found)
    return _seeds([e.value for e in found], n, clusters, error, found[0].scale)


def _seeds(values: Sequence[float], n: int, clusters: int, error: float | None, scale: Scale) -> Seeds:
    """Seeds that agree are told so: that they are few is what the prompts' interval is added for."""
    value, parts = _linearised(Sample(values, None, range(len(values)), scale))
    over = bounded(value, len(values), len(values), _standard_error(parts), METHODS[scale])
    return Seeds(over, bounded(value, n, clusters, error, METHODS[scale]), tuple(values))


def detectable(clusters: int, sd: float = SHARE_SD, level: float = LEVEL, power: float = POWER) -> float:
    """The smallest difference that so many prompts show with the given power; `sd` is that of a prompt's difference.

    Two-sided at `level` (Cohen 1988, section 2.4, with t for z). Infinite for a single prompt.
    """
    if clusters < 2:
        return math.inf
    return (student_t(clusters - 1, level) + NormalDist().inv_cdf(power)) * sd / math.sqrt(clusters)
