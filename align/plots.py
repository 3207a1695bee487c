"""Pictures for artifacts, papers and W&B: curves, reliability of a reward model, comparisons, reward against KL.

Each function gives a matplotlib figure; `draw` writes those that an artifact's files allow into its plots/ folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from align.artifact import points
from align.artifact.points import Point

COLOURS = ("#7d7b74", "#1f6fb5", "#c8641b", "#3b8a4a", "#8b4fa8", "#b03060", "#007f86", "#9a7d0a")
INK, DIM, RULE = "#1d1d1b", "#6b6a65", "#dedcd4"
DPI = 120
MOST_CURVES = 6
FOLDER = "plots"


def draw(folder: Path) -> list[tuple[int, Path]]:
    """Writes plots/NAME.png for what a folder's metrics.jsonl and report.json hold; gives each with the last logged step."""
    logged = points.read(folder / "metrics.jsonl")
    path = folder / "report.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    figures: dict[str, Figure] = {}
    if points.curves(logged):
        figures["curves"] = curves(logged)
    if report.get("calibration"):
        figures["reliability"] = reliability(report["calibration"])
    if report.get("baseline") and _wholes(report):
        figures["comparison"] = comparison(report)
    last = int(logged[-1]["step"]) if logged else 0
    return [(last, _save(figure, folder / FOLDER / f"{name}.png")) for name, figure in figures.items()]


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    return path


def curves(logged: Sequence[Point]) -> Figure:
    """The most telling metrics over the steps; where one was also measured on held-out rows, both."""
    all_ = list(points.curves(list(logged)).items())
    found = ([c for c in all_ if c[0] in points.TELLING] or all_)[:MOST_CURVES]
    across = min(3, len(found))
    down = -(-len(found) // across)
    figure = _sheet(across, down, 4, 2.7, 0.55)
    for place, (metric, series) in enumerate(found, 1):
        axes = _plain(figure.add_subplot(down, across, place), metric.replace("_", " "))
        for name, values in series.items():
            held_out = name.startswith("eval_")
            steps, heights = zip(*values, strict=True)
            marker = "o" if len(values) <= 12 else None
            label = "held out" if held_out else "training"
            axes.plot(steps, heights, color=COLOURS[2 if held_out else 1], lw=1.4, marker=marker, ms=3, label=label)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=8)
    return figure


def reliability(calibration: Mapping[str, Any]) -> Figure:
    """How sure a reward model is against how often it is right (DeGroot and Fienberg 1983); dots grow with their pairs."""
    bins = calibration["bins"]
    figure = _sheet(1, 1, 4, 4, 0.6, 0.5)
    axes = _plain(figure.add_subplot(), f"ECE {calibration['ece']:.3f}, {sum(b['pairs'] for b in bins):,} pairs")
    axes.plot([0.5, 1], [0.5, 1], color=DIM, lw=1, ls=(0, (3, 3)))
    most = max(b["pairs"] for b in bins)
    sizes = [12 + 110 * b["pairs"] / most for b in bins]
    axes.scatter([b["confidence"] for b in bins], [b["accuracy"] for b in bins], s=sizes, color=COLOURS[1], zorder=2)
    axes.set(xlim=(0.48, 1.02), ylim=(-0.03, 1.03), xlabel="confidence", ylabel="accuracy")
    return figure


def comparison(report: Mapping[str, Any]) -> Figure:
    """Every metric of every suite with the 95 % interval of each model, each on its own scale."""
    rows, models = _wholes(report), report["models"]
    across = min(3, len(rows))
    down = -(-len(rows) // across)
    figure = _sheet(across, down, 3.8, 0.75 + 0.26 * len(models), 0.3 + 0.075 * max(map(len, models)))
    for place, row in enumerate(rows, 1):
        axes = _plain(figure.add_subplot(down, across, place), f"{row['suite']}: {row['metric'].replace('_', ' ')}")
        for height, model in enumerate(models):
            _estimate(axes, row["values"].get(model), height, COLOURS[height % len(COLOURS)])
        axes.set_yticks(range(len(models)), models)
        axes.set_ylim(len(models) - 0.4, -0.6)
    return figure


def _wholes(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [r for r in report["rows"] if (r.get("slice") or "all") == "all"]


def _estimate(axes: Axes, value: Mapping[str, Any] | None, height: float, colour: str) -> None:
    if not value or value.get("value") is None:
        return
    if value.get("low") is not None and value.get("high") is not None:
        axes.plot([value["low"], value["high"]], [height, height], color=colour, lw=1.6)
    axes.plot(value["value"], height, "o", color=colour, ms=4.5)


def _sheet(across: int, down: int, width: float, height: float, left: float, bottom: float = 0.28) -> Figure:
    """A figure for a grid of drawings, with room in inches at the left of and below each.

    Set by hand: matplotlib's own layouts draw everything twice, and a step should not wait for its pictures.
    """
    figure = Figure(figsize=(width * across, height * down))
    right, top = 0.2, 0.3
    figure.subplots_adjust(
        left=left / (width * across), right=1 - right / (width * across),
        bottom=bottom / (height * down), top=1 - top / (height * down),
        wspace=(left + right) / (width - left - right), hspace=(bottom + top) / (height - bottom - top),
    )  # fmt: skip
    return figure


def _plain(axes: Axes, title: str) -> Axes:
    axes.set_title(title, fontsize=9, loc="left", color=INK)
    axes.grid(color=RULE, lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, labelcolor=DIM, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return axes
