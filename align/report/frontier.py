"""Reward against KL: what each bit of distance from the reference bought, and where only the proxy thinks it did.

Points of one family (a model under several settings, or best-of-n) are joined in the order of their KL. Where the proxy reward
rises along such a line while gold falls, both beyond their 95 % intervals, the policy has learnt to please the proxy alone
(Gao, Schulman and Hilton 2023, 2210.10760).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from align import words
from align.report.curves import ticks

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 24, 48
COLOURS = ("#1f6f8b", "#b5522b", "#5b7f2b", "#7a4f9e", "#8a6d00", "#3d3d3d")


@dataclass(frozen=True)
class Reading:
    """A number with half its 95 % interval."""

    value: float
    half: float = 0.0


@dataclass(frozen=True)
class Place:
    """One model: how far it went (nats a sequence), what the proxy gives it, and what gold does, where there is gold."""

    family: str
    label: str
    kl: Reading
    reward: Reading
    gold: Reading | None = None


def families(places: list[Place]) -> dict[str, list[Place]]:
    """The places by family, each in the order of its KL."""
    found: dict[str, list[Place]] = {}
    for place in sorted(places, key=lambda p: p.kl.value):
        found.setdefault(place.family, []).append(place)
    return found


def overoptimised(places: list[Place]) -> list[Place]:
    """The places that the proxy prefers to one with less KL of the same family, and gold does not, both surely."""
    marked = []
    for line in families(places).values():
        for index, place in enumerate(line):
            if any(_surely(b.reward, place.reward) and _surely(place.gold, b.gold) for b in line[:index]):
                marked.append(place)
    return marked


def told(places: list[Place]) -> str:
    """The finding in words; without a gold scorer there is none."""
    if not any(place.gold for place in places):
        return "without a gold scorer it tells of no overoptimisation"
    marked = [place.label for place in overoptimised(places)]
    return f"proxy up, gold down: {words.listed(marked)}" if marked else "gold falls nowhere where the proxy rises"


def _surely(less: Reading | None, more: Reading | None) -> bool:
    return less is not None and more is not None and more.value - less.value > math.hypot(less.half, more.half)


def draw(places: list[Place], title: str, reward_name: str = "proxy reward", gold_name: str = "gold") -> str:
    """An SVG of its own: the proxy's reward above, gold below on its own scale where there is gold, both against KL."""
    panels: list[tuple[str, list[Reading | None]]] = [(reward_name, [p.reward for p in places])]
    if any(p.gold for p in places):
        panels.append((gold_name, [p.gold for p in places]))
    height = HEIGHT if len(panels) == 1 else int(HEIGHT * 1.4)
    step = (height - TOP - BOTTOM) / len(panels)
    right = ticks(0, max(p.kl.value for p in places) or 1.0, 5)
    body = [
        _panel(places, readings, name, right, TOP + step * i, TOP + step * (i + 1) - (32 if i + 1 < len(panels) else 0))
        for i, (name, readings) in enumerate(panels)
    ]
    body += [_tick_below(at, right, height) for at in right]
    body.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 10}" text-anchor="middle">KL, nats a sequence</text>'
    )
    body += _legend(places)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _panel(
    places: list[Place], readings: list[Reading | None], name: str, right: list[float], top: float, bottom: float
) -> str:
    known = [r for r in readings if r]
    up = ticks(min(r.value - r.half for r in known), max(r.value + r.half for r in known), 4)
    low, high = up[0], max(up[-1], up[0] + 1e-9)

    def y(value: float) -> float:
        return round(bottom - (bottom - top) * (value - low) / (high - low), 1)

    drawn = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v)}" y2="{y(v)}" stroke="#e3e3e3"/>'
        f'<text x="{LEFT - 8}" y="{y(v) + 4}" text-anchor="end" fill="#555">{v:g}</text>'
        for v in up
    ]
    drawn.append(f'<text x="{LEFT}" y="{top - 8}" font-weight="600">{escape(name)}</text>')
    reading_of = {id(place): reading for place, reading in zip(places, readings, strict=True)}
    marked = {id(p) for p in overoptimised(places)}
    for colour, line in zip(_colours(places), families(places).values(), strict=True):
        at = [(_x(p.kl.value, right), y(r.value), p, r) for p in line if (r := reading_of[id(p)])]
        joined = " ".join(f"{a},{b}" for a, b, _, _ in at)
        drawn.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for a, b, place, reading in at:
            drawn.append(f'<line x1="{a}" x2="{a}" y1="{y(reading.value - reading.half)}" '
                         f'y2="{y(reading.value + reading.half)}" stroke="{colour}"/>')  # fmt: skip
            ring = f'<circle cx="{a}" cy="{b}" r="8" fill="none" stroke="#c00" stroke-width="2"/>'
            drawn.append(
                f'<circle cx="{a}" cy="{b}" r="3.5" fill="{colour}"><title>{escape(_told(place))}</title></circle>'
            )
            drawn.append(ring if id(place) in marked else "")
    return "".join(drawn)


def _x(kl: float, right: list[float]) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, kl) / (right[-1] or 1), 1)


def _tick_below(at: float, right: list[float], height: int) -> str:
    return f'<text x="{_x(at, right)}" y="{height - BOTTOM + 16}" text-anchor="middle" fill="#555">{at:g}</text>'


def _colours(places: list[Place]) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(len(families(places)))]


def _legend(places: list[Place]) -> list[str]:
    x, drawn = WIDTH - RIGHT + 16, []
    for i, (colour, name) in enumerate(zip(_colours(places), families(places), strict=True)):
        drawn.append(f'<circle cx="{x}" cy="{TOP + 20 * i}" r="4" fill="{colour}"/>')
        drawn.append(f'<text x="{x + 12}" y="{TOP + 20 * i + 4}">{escape(name)}</text>')
    if overoptimised(places):
        y = TOP + 20 * len(families(places)) + 8
        drawn.append(f'<circle cx="{x}" cy="{y}" r="6" fill="none" stroke="#c00" stroke-width="2"/>')
        drawn.append(f'<text x="{x + 12}" y="{y + 4}">proxy up, gold down</text>')
    return drawn


def _told(place: Place) -> str:
    gold = f", gold {place.gold.value:.3g}" if place.gold else ""
    return f"{place.label}: KL {place.kl.value:.3g}, reward {place.reward.value:.3g}{gold}"
