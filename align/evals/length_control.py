"""Win rates and gains at equal length: what of them is not length (Dubois et al. 2024, 2404.04475)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from align.estimates import Estimate, Scale, bounded
from align.evals.statistics import bootstrap

RIDGE = 0.05  # holds the fit where one side always wins, or where length alone decides
STEPS = 50


def win_rate_at_equal_length(
    wins: Sequence[float], longer_by: Sequence[float], clusters: Sequence[Hashable]
) -> Estimate:
    """sigma(theta) of P(win) = sigma(theta + phi tanh(d / sd(d))), d = how much longer the answer is; ties are half wins.

    The interval is that of theta (cluster-robust, with Student's t), mapped through sigma.
    """
    y, d = np.asarray(wins, dtype=float), np.asarray(longer_by, dtype=float)
    spread = float(d.std())
    x_N2 = np.stack([np.ones_like(y), np.tanh(d / spread) if spread else np.zeros_like(y)], axis=1)
    weights = np.zeros(2)
    for _ in range(STEPS):
        p = _sigmoid(x_N2 @ weights)
        gradient = x_N2.T @ (y - p) - RIDGE * weights
        curvature = (x_N2 * (p * (1 - p))[:, None]).T @ x_N2 + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    p = _sigmoid(x_N2 @ weights)
    bread = np.linalg.inv((x_N2 * (p * (1 - p))[:, None]).T @ x_N2 + RIDGE * np.eye(2))
    places: dict[Hashable, int] = {}
    index = np.array([places.setdefault(c, len(places)) for c in clusters])
    scores = np.zeros((len(places), 2))
    np.add.at(scores, index, x_N2 * (y - p)[:, None])
    count = len(places)
    value = float(_sigmoid(weights[0]))
    if count < 2:
        return Estimate(value, -np.inf, np.inf, len(y), count)
    variance = bread @ (scores.T @ scores * count / (count - 1)) @ bread
    se = float(np.sqrt(variance[0, 0]))
    return bounded(value, len(y), count, se * value * (1 - value), "logit")


def gain_at_equal_length(
    gains: Sequence[float],
    longer_by: Sequence[float],
    clusters: Sequence[Hashable],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    scale: Scale = "real",
) -> Estimate | None:
    """a of gain = a + b tanh(d / sd(d)) by least squares, d = how much longer the answer is; None where d is constant, not 0."""
    y, d = np.asarray(gains, dtype=float), np.asarray(longer_by, dtype=float)
    spread = float(d.std())
    if not spread and d.any():
        return None
    x = np.tanh(d / spread) if spread else d

    def intercept(rows: np.ndarray) -> float:
        offset = x[rows] - x[rows].mean()
        total = float(offset @ offset)
        slope = float(offset @ y[rows]) / total if total else 0.0
        return float(y[rows].mean() - slope * x[rows].mean())

    return bootstrap(intercept, clusters, seed, progress=progress, scale=scale)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
