"""The rows of a `compare` report as cells of a table: which are shown, with how many digits, and what stands out."""

from __future__ import annotations

import math
from typing import Any

from align.specs.asking import rank

ROWS_IN_FULL = 30  # a longer table tells a few numbers a suite, and the slices of the first alone
METRICS_OF_LONG = 5
ROUNDING = 1e-9  # an interval narrower than this has no width


def telling(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that a terminal shows: no axes; in a long table a suite's first numbers, and the slices of the very first."""
    rows = [r for r in rows if not (r.get("slice") or "").startswith("axis_")]
    if len(rows) <= ROWS_IN_FULL:
        return rows
    metrics: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda r: rank(r["metric"])):
        names = metrics.setdefault(row["suite"], [])
        if row["metric"] not in names and len(names) < METRICS_OF_LONG:
            names.append(row["metric"])
    return [
        r
        for r in rows
        if r["metric"] == metrics[r["suite"]][0]
        or ((r.get("slice") or "all") == "all" and r["metric"] in metrics[r["suite"]])
    ]


def row_count(row: dict[str, Any]) -> int | None:
    return max((v["n"] for v in row["values"].values() if v and v.get("n")), default=None)


def half_width(value: dict[str, Any] | None) -> float | None:
    if not value or value.get("low") is None or value.get("high") is None:
        return None
    return (value["high"] - value["low"]) / 2


def cell(row: dict[str, Any], model: str) -> str:
    """`0.71 ± 0.02`, with as many decimals as the narrowest interval of the row deserves; `-` where there is no value."""
    value = row["values"].get(model)
    if not value or value.get("value") is None:
        return "-"
    places = _places(row)
    text = f"{value['value']:z,.{places}f}"
    half = half_width(value)
    return text if half is None else f"{text} ± {half:.{places}f}"


def _places(row: dict[str, Any]) -> int:
    values = [v for v in row["values"].values() if v and v.get("value") is not None]
    halves = [h for v in values if (h := half_width(v)) and h > ROUNDING]
    largest = max((abs(v["value"]) for v in values), default=0.0)
    if halves:
        return min(4, max(0 if largest >= 100 else 2 if largest < 10 else 1, math.ceil(-math.log10(min(halves)) - 0.3)))
    return 0 if largest >= 100 else 1 if largest >= 10 else 3


def beyond(row: dict[str, Any], model: str) -> int:
    """+1 or -1 when the paired difference from the baseline lies wholly on one side of zero, else 0."""
    difference = (row["values"].get(model) or {}).get("difference") or {}
    if difference.get("low") is None or difference.get("high") is None:
        return 0
    return 1 if difference["low"] > 0 else -1 if difference["high"] < 0 else 0
