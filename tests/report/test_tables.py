from __future__ import annotations

from typing import Any

import pytest

from align import cells
from align.report import tables


def estimate(value: float, half: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 40, "clusters": 40, **more}


def report(better: str | None = "higher", difference: float = 0.2) -> dict[str, Any]:
    rows = [
        {"suite": "probes", "metric": "gold", "slice": part, "better": better, "values": {
            "sft": estimate(0.4, 0.1), "dpo": estimate(0.6, shift, difference=estimate(difference, 0.1))}}
        for part, shift in (("all", 0.1), ("far", 0.3))
    ]  # fmt: skip
    return {"baseline": "sft", "models": ["sft", "dpo"], "rows": rows}


def test_a_value_beyond_its_difference_is_starred_and_judged_by_which_way_is_better() -> None:
    (table,) = tables.comparison_tables(report())
    assert (table.rows[0].cells[1].text, table.rows[0].cells[1].beyond) == ("0.60 ± 0.10", True)
    for better, difference, verdict in (
        ("higher", 0.2, "better"), ("more", -0.2, "worse"), ("less", 0.2, "worse"), ("lower", -0.2, "better"),
        (None, 0.2, ""), ("higher", 0.05, ""),
    ):  # fmt: skip
        (table,) = tables.comparison_tables(report(better, difference))
        assert table.rows[0].cells[1].verdict == verdict, (better, difference)


def test_slices_stand_under_their_metric_on_its_scale() -> None:
    (table,) = tables.comparison_tables(report())
    assert [(r.label, r.part) for r in table.rows] == [("gold", False), ("far", True)]
    whole, far = table.rows[0].whiskers[1], table.rows[1].whiskers[1]
    assert whole.at == far.at and far.high == tables.PLOT_WIDTH - tables.EDGE and far.low < whole.low


def test_a_value_without_an_interval_is_a_dot_alone() -> None:
    told = report()
    told["rows"][0]["values"]["dpo"] |= {"low": None, "high": None}
    (table,) = tables.comparison_tables(told)
    dot = table.rows[0].whiskers[1]
    assert dot.low == dot.at == dot.high and table.rows[0].cells[1].text == "0.60"


def test_a_measured_model_alone_is_a_comparison_of_one() -> None:
    measured = {"model": "sft", "suites": {"probes": {"metrics": {"gold": {"all": estimate(0.4, 0.1)}}}}}
    (table,) = tables.comparison_tables(tables.single("sft", measured))
    assert table.models == ["sft"] and table.rows[0].cells[0].text == "0.40 ± 0.10"


def test_a_reward_report_gives_accuracy_by_slice_and_the_bins_of_its_reliability() -> None:
    bins = [{"low": 0.5, "high": 0.55, "confidence": 0.75, "accuracy": 0.5, "pairs": 9}]
    length = {"correlation": None, "longer_is_chosen": 0.5, "matched_pairs": 0, "matched_accuracy": None}
    found = tables.reward({
        "pairs": 9, "accuracy": estimate(0.7, 0.1), "by_slice": {"far": estimate(0.6, 0.2)}, "by_axis": {},
        "margin": estimate(1.0, 0.5), "calibration": {"ece": 0.25, "bins": bins}, "length": length,
    })  # fmt: skip
    assert ("slice far", "0.6 (0.4 to 0.8)", "40") in found.rows
    assert ("correlation of score and length", "–", "") in found.rows
    assert (found.bins[0].x, found.bins[0].y) == (pytest.approx(0.5), 0.5)


def test_a_long_table_folds_away_axes_and_names_the_metric_of_each_row() -> None:
    told = report()
    told["rows"] += [{**told["rows"][1], "slice": f"axis_{i}"} for i in range(tables.MOST_ROWS)]
    (table,) = tables.comparison_tables(told)
    assert [r.label for r in table.rows] == ["gold", "far"]
    assert [r.label for r in table.more] == [f"gold, axis {i}" for i in range(tables.MOST_ROWS)]


def test_what_rounds_to_nothing_has_no_sign() -> None:
    row = {"values": {"dpo": {"value": -0.0004, "low": -0.02, "high": 0.02, "n": 9}}}
    assert cells.cell(row, "dpo") == "0.00 ± 0.02"
