"""The tables of a report: models side by side with intervals, and what a reward model is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from align import cells, words

PLOT_WIDTH, LINE = 150, 9  # of the drawing of a row's intervals, in pixels
EDGE = 5
MOST_ROWS = 12  # a longer table folds away what the terminal leaves out


@dataclass(frozen=True)
class Whisker:
    """An estimate as a dot on its interval; x in pixels."""

    model: int
    y: float
    low: float
    at: float
    high: float


@dataclass(frozen=True)
class Cell:
    model: str
    text: str
    beyond: bool = False  # differs from the baseline beyond the interval of the paired difference
    verdict: str = ""  # better, worse, or nothing where neither is known
    difference: str = ""


@dataclass(frozen=True)
class Row:
    label: str
    full: str  # the label with its metric, for a row that stands alone
    part: bool  # of a slice, which stands under the whole
    cells: list[Cell]
    count: str
    whiskers: list[Whisker]


@dataclass(frozen=True)
class Table:
    """One suite of a comparison."""

    title: str
    models: list[str]
    baseline: str
    rows: list[Row]
    more: list[Row]  # by slice and axis, folded away where the table is long
    starred: bool

    @property
    def plot_height(self) -> float:
        return LINE * len(self.models)


def comparison_tables(report: dict[str, Any]) -> list[Table]:
    """A table for each suite of a `compare` report."""
    suites = dict.fromkeys(row["suite"] for row in report["rows"])
    return [_table(report, suite, [r for r in report["rows"] if r["suite"] == suite]) for suite in suites]


def single(name: str, report: dict[str, Any]) -> dict[str, Any]:
    """A `measure` report of one model in the form of a comparison, for steps whose join has not been made."""
    rows = [
        {"suite": suite, "metric": metric, "slice": part, "better": None, "values": {name: estimate}}
        for suite, body in report["suites"].items()
        for metric, by_slice in body["metrics"].items()
        for part, estimate in by_slice.items()
    ]
    return {"baseline": name, "models": [name], "rows": rows}


def _table(report: dict[str, Any], suite: str, rows: list[dict[str, Any]]) -> Table:
    models = report["models"]
    of_metric = {r["metric"]: [s for s in rows if s["metric"] == r["metric"]] for r in rows}
    told = [_row(row, models, _range(of_metric[row["metric"]])) for row in rows]
    shown = [cells.telling(rows).count(row) > 0 or len(rows) <= MOST_ROWS for row in rows]
    starred = any(cell.beyond for row in told for cell in row.cells)
    first = [row for row, here in zip(told, shown, strict=True) if here]
    more = [replace(row, label=row.full) for row, here in zip(told, shown, strict=True) if not here]
    return Table(suite, models, report["baseline"], first, more, starred)


def _row(row: dict[str, Any], models: list[str], span: tuple[float, float]) -> Row:
    part = row.get("slice") or "all"
    metric = words.LABELS.get(row["metric"], row["metric"].replace("_", " "))
    count = cells.row_count(row)
    return Row(
        str(metric) if part == "all" else part.replace("_", " "),
        f"{metric}, {part.replace('_', ' ')}",
        part != "all",
        [_cell(row, model) for model in models],
        f"{count:,}" if count else "",
        _whiskers(row, models, span),
    )


def _cell(row: dict[str, Any], model: str) -> Cell:
    side = cells.beyond(row, model)
    better = {"higher": 1, "more": 1, "lower": -1, "less": -1}.get(row.get("better") or "", 0)
    verdict = {1: "better", -1: "worse"}.get(side * better, "")
    difference = (row["values"].get(model) or {}).get("difference")
    return Cell(model, cells.cell(row, model), side != 0, verdict, _difference(difference))


def _difference(difference: dict[str, Any] | None) -> str:
    """`+0.02 (+0.00 to +0.04), p 0.03`; empty without one."""
    if not difference:
        return ""
    p = difference.get("p")
    return interval(difference, "+") + ("" if p is None else f", p {'< 0.001' if p < 0.001 else f'{p:.2g}'}")


def interval(estimate: dict[str, Any] | None, sign: str = "") -> str:
    """`0.71 (0.69 to 0.73)`; `sign` "+" shows it also before positive numbers."""
    if not estimate or estimate.get("value") is None:
        return "–"
    value = f"{estimate['value']:{sign}.3g}"
    if estimate.get("low") is None or estimate.get("high") is None:
        return value
    return f"{value} ({estimate['low']:{sign}.3g} to {estimate['high']:{sign}.3g})"


def _range(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """From the least to the greatest end of the intervals of a metric, over its slices."""
    values = [v for row in rows for v in row["values"].values() if v]
    ends = [x for v in values for x in (v.get("value"), v.get("low"), v.get("high")) if x is not None]
    return min(ends, default=0.0), max(ends, default=0.0)


def _whiskers(row: dict[str, Any], models: list[str], span: tuple[float, float]) -> list[Whisker]:
    found = {m: v for m in models if (v := row["values"].get(m)) and v.get("value") is not None}
    ends = {m: [v.get("low"), v.get("high")] for m, v in found.items()}
    low, high = span

    def at(value: float | None, otherwise: float) -> float:
        value = otherwise if value is None else value
        return round(EDGE + (PLOT_WIDTH - 2 * EDGE) * ((value - low) / (high - low) if high > low else 0.5), 1)

    return [
        Whisker(
            models.index(m), LINE * (models.index(m) + 0.5),
            at(ends[m][0], v["value"]), at(v["value"], v["value"]), at(ends[m][1], v["value"]),
        )
        for m, v in found.items()
    ]  # fmt: skip


@dataclass(frozen=True)
class Bin:
    """A bin of a reliability diagram, as fractions of the drawing; `told` in words."""

    x: float
    y: float
    radius: float
    told: str


@dataclass(frozen=True)
class Reward:
    """What a reward model's report says of held-out pairs."""

    rows: list[tuple[str, str, str]]
    bins: list[Bin]
    error: str


def reward(report: dict[str, Any]) -> Reward:
    length, calibration = report["length"], report["calibration"]
    rows = [("accuracy", interval(report["accuracy"]), _n(report["accuracy"]))]
    for name in ("slice", "axis"):
        rows += [(f"{name} {k.replace('_', ' ')}", interval(v), _n(v)) for k, v in report[f"by_{name}"].items()]
    rows += [
        ("accuracy where lengths match", interval(length["matched_accuracy"]), f"{length['matched_pairs']:,}"),
        ("accuracy of preferring the longer", _plain(length["longer_is_chosen"]), f"{report['pairs']:,}"),
        ("correlation of score and length", _plain(length["correlation"]), ""),
        ("margin", interval(report["margin"]), _n(report["margin"])),
        ("expected calibration error", _plain(calibration["ece"]), f"{report['pairs']:,}"),
    ]
    most = max((b["pairs"] for b in calibration["bins"]), default=1)
    bins = [_bin(b, most) for b in calibration["bins"]]
    return Reward(rows, bins, _plain(calibration["ece"]))


def _bin(told: dict[str, Any], most: int) -> Bin:
    sure, right, pairs = told["confidence"], told["accuracy"], told["pairs"]
    words_ = f"says {sure:.0%}, is right {right:.0%} of the time, {pairs:,} pairs"
    return Bin(2 * sure - 1, right, 2 + 6 * (pairs / most) ** 0.5, words_)


def _n(estimate: dict[str, Any] | None) -> str:
    return f"{estimate['n']:,}" if estimate and estimate.get("n") else ""


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
