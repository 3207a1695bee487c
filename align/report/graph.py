"""The pipeline as a drawing: where each step's box stands, and how the lines between them run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from align.plan import Plan

WIDTH, HEIGHT = 140, 46  # of a box
ACROSS, DOWN = 40, 14  # between boxes
MARGIN = 2
ROUNDS = 4  # of ordering, each way


@dataclass(frozen=True)
class Box:
    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """From the right side of one box to the left side of another, as an SVG path."""

    start: str
    end: str
    path: str


@dataclass(frozen=True)
class Drawing:
    width: float
    height: float
    boxes: list[Box]
    lines: list[Line]


def draw(plan: Plan) -> Drawing:
    """Layers from left to right, each step as near to what reads it as its inputs allow (Sugiyama et al. 1981).

    A line that passes a layer has a place of its own in it, so that no line runs behind a box.
    """
    inputs = {name: _inputs(plan, name) for name in plan.steps}
    layers = _layers(inputs)
    chains = [_chain(parent, name, layers) for name in inputs for parent in inputs[name]]
    parents: dict[str, list[str]] = {name: [] for name in inputs}
    for chain in chains:
        for start, end in pairwise(chain):
            parents.setdefault(end, []).append(start)
            layers.setdefault(end, layers[start] + 1)
    columns = _ordered(layers, {name: parents[name] for name in layers})
    heights = [sum(_height(n, inputs) + DOWN for n in column) - DOWN for column in columns]
    boxes: dict[str, Box] = {}
    for number, column in enumerate(columns):
        y = MARGIN + (max(heights) - heights[number]) / 2
        for name in column:
            boxes[name] = Box(name, MARGIN + number * (WIDTH + ACROSS), y)
            y += _height(name, inputs) + DOWN
    lines = [Line(c[0], c[-1], _path([boxes[n] for n in c])) for c in chains]
    width = len(columns) * (WIDTH + ACROSS) - ACROSS + 2 * MARGIN
    return Drawing(width, max(heights) + 2 * MARGIN, [boxes[n] for n in inputs], lines)


def _inputs(plan: Plan, name: str) -> list[str]:
    return list(dict.fromkeys(e.step for e in plan.steps[name].edges.values() if e.step))


def _layers(parents: dict[str, list[str]]) -> dict[str, int]:
    """A step's layer: after all its inputs, and right before the first step that reads it. `parents` is in plan order."""
    layer: dict[str, int] = {}
    for name, inputs in parents.items():
        layer[name] = max((layer[p] + 1 for p in inputs), default=0)
    for name in reversed(parents):
        readers = [layer[n] for n, inputs in parents.items() if name in inputs]
        if readers:
            layer[name] = min(readers) - 1
    return layer


def _chain(start: str, end: str, layers: dict[str, int]) -> list[str]:
    """A line's way: its two steps, and a place in each layer that it passes. Lines from one step share their way."""
    return [start, *(f"{start}>{number}" for number in range(layers[start] + 1, layers[end])), end]


def _height(name: str, steps: dict[str, list[str]]) -> float:
    return HEIGHT if name in steps else 0


def _ordered(layers: dict[str, int], parents: dict[str, list[str]]) -> list[list[str]]:
    """The steps of each layer, ordered by the mean place of their neighbours so that few lines cross."""
    columns: list[list[str]] = [[] for _ in range(max(layers.values()) + 1)]
    for name, number in layers.items():
        columns[number].append(name)
    children = {name: [n for n in parents if name in parents[n]] for name in parents}
    for _ in range(ROUNDS):
        for neighbours, order in ((parents, columns), (children, columns[::-1])):
            for column in order:
                place = {n: (i + 0.5) / len(c) for c in columns for i, n in enumerate(c)}
                column.sort(key=lambda n, near=neighbours, at=place: _mean([at[p] for p in near[n]], at[n]))
    return columns


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _path(boxes: list[Box]) -> str:
    """From the first box to the last, level where it passes a layer."""
    x, y = boxes[0].x + WIDTH, boxes[0].y + HEIGHT / 2
    path = f"M{x:.1f} {y:.1f}"
    for box in boxes[1:]:
        to_y = box.y + (HEIGHT / 2 if box is boxes[-1] else 0)
        bend = (box.x - x) * 0.55
        path += f"C{x + bend:.1f} {y:.1f} {box.x - bend:.1f} {to_y:.1f} {box.x:.1f} {to_y:.1f}"
        x, y = box.x, to_y
        if box is not boxes[-1]:
            x += WIDTH
            path += f"H{x:.1f}"
    return path
