"""Training curves as small drawings: which metrics, on which scale, with how many points."""

from __future__ import annotations

import math
from dataclasses import dataclass

from align import words
from align.artifact import points
from align.artifact.points import Point, Values

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 20  # room for the labels around the drawing
MOST_POINTS = 400


@dataclass(frozen=True)
class Series:
    name: str
    path: str
    dots: list[tuple[float, float]]  # where there are few points
    values: Values  # as the pointer reads them


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """One metric, in training and where it was also measured on held-out rows."""

    title: str
    series: list[Series]
    across: list[Tick]
    up: list[Tick]
    told: str  # what it shows, in words
    first: bool


def charts(logged: list[Point]) -> list[Chart]:
    """A chart for each metric that has at least two values, the most telling first."""
    return [_chart(metric, found) for metric, found in points.curves(logged).items()]


def _chart(title: str, found: dict[str, Values]) -> Chart:
    everything = [v for values in found.values() for v in values]
    steps, heights = [s for s, _ in everything], [v for _, v in everything]
    left, right = min(steps), max(steps)
    up = ticks(min(heights), max(heights))
    low, high = min(up[0], *heights), max(up[-1], *heights)

    def place(step: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (step - left) / ((right - left) or 1)
        return round(x, 1), round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / ((high - low) or 1), 1)

    return Chart(
        words.LABELS.get(title, title.replace("_", " ").replace("/", " · ")),
        [_series(_label(name), values, place) for name, values in found.items()],
        [Tick(place(s, low)[0], words.short(s)) for s in dict.fromkeys((left, right))],
        [Tick(place(left, v)[1], text) for v, text in zip(up, labels(up), strict=True)],
        "; ".join(_told(_label(name), values) for name, values in found.items()),
        title in points.TELLING,
    )


def _label(name: str) -> str:
    return "held out" if name.startswith("eval_") else "training"


def _series(name: str, values: Values, place) -> Series:
    kept = thinned(values)
    at = [place(*v) for v in kept]
    path = "M" + "L".join(f"{x} {y}" for x, y in at)
    return Series(name, path, at if len(at) <= 12 else [], [(s, float(f"{v:.5g}")) for s, v in kept])


def _told(name: str, values: Values) -> str:
    (first, began), (last, ended) = values[0], values[-1]
    return (
        f"{name}: {words.number(began)} at step {first:.0f}, {words.number(ended)} at step {last:.0f}, "
        f"between {words.number(min(v for _, v in values))} and {words.number(max(v for _, v in values))}"
    )


def thinned(values: Values, most: int = MOST_POINTS) -> Values:
    """At most `most` points: of each stretch the lowest and the highest, so that no spike is lost; the ends are kept."""
    if len(values) <= most:
        return values
    size = math.ceil((len(values) - 2) / (most // 2 - 1))
    kept = [values[0]]
    for start in range(1, len(values) - 1, size):
        stretch = values[start : min(start + size, len(values) - 1)]
        kept += sorted({min(stretch, key=lambda v: v[1]), max(stretch, key=lambda v: v[1])})
    return [*kept, values[-1]]


def labels(values: list[float]) -> list[str]:
    """What stands beside each tick: short, with as many digits as tell them apart (`5.9912`, `5.9914`)."""
    told = list(map(words.short, values))
    digits = 4
    while len(set(told)) < len(set(values)) and digits < 13:
        told, digits = [f"{value:.{digits}g}" for value in values], digits + 1
    return told


def ticks(low: float, high: float, count: int = 3) -> list[float]:
    """Round numbers that span a range: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [float(f"{step * i:.12g}") for i in range(first, last + 1)]
