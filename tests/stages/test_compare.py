from __future__ import annotations

import json
from pathlib import Path

import pytest

from align.artifact.inputs import Inputs, ReportInput
from align.evals.measured import Measured, summarize
from align.specs import CompareSpec
from align.stages import compare
from tests.tiny import Recorder


def report(folder: Path, name: str, values: list[float], slices: list[str | None]) -> ReportInput:
    measured = Measured(clusters=[str(i) for i in range(len(values))], slices=slices)
    measured.add("gold", "share", values)
    measured.add("loss", "real", values, [2.0] * len(values))
    rows = {"values": measured.values, "weights": measured.weights, "clusters": measured.clusters, "slices": slices}
    rows["scales"] = measured.scales
    suite = {"kind": "generation", "data": "d", "metrics": summarize(measured), "rows": rows}
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"model": name, "suites": {"probes": suite}}))
    return ReportInput(name, path, name)


@pytest.fixture
def table(tmp_path: Path) -> dict:
    """sft scores 0, 0, 1, 1; dpo is better by .5 on the near half, the same on the far half."""
    slices = ["near", "near", "far", "far"]
    named = {
        "reports.0": report(tmp_path, "sft", [0.0, 0.2, 0.7, 1.0], slices),
        "reports.1": report(tmp_path, "dpo", [0.5, 0.7, 0.7, 1.0], slices),
    }
    spec = CompareSpec(reports=["evaluate.sft", "evaluate.dpo"], names=["sft", "dpo"], baseline="sft")
    recorder = Recorder()
    told = compare.run(spec, Inputs(named, tmp_path / "cache"), tmp_path, recorder)
    return {"told": told, "tables": recorder.tables, **json.loads((tmp_path / "report.json").read_text())}


def row(table: dict, part: str, metric: str = "gold") -> dict:
    return next(r for r in table["rows"] if r["slice"] == part and r["metric"] == metric)


def test_models_stand_side_by_side_with_the_direction_that_is_better(table: dict) -> None:
    assert table["models"] == ["sft", "dpo"] and table["baseline"] == "sft"
    assert row(table, "all")["better"] == "higher"
    assert row(table, "all")["values"]["dpo"]["value"] == pytest.approx(0.725)
    assert table["told"]["dpo/probes/gold"] == pytest.approx(0.725)


def test_the_tracking_service_gets_every_number_as_a_table(table: dict) -> None:
    ((_, name, lines),) = table["tables"]
    assert name == "comparison" and len(lines) == sum(len(r["values"]) for r in table["rows"])
    (far,) = [line for line in lines if line[:4] == ["probes", "gold", "far", "dpo"]]
    assert far[4] == row(table, "far")["values"]["dpo"]["value"] and far[8] == 0


def test_the_difference_is_paired_over_the_same_rows(table: dict) -> None:
    near = row(table, "near")["values"]["dpo"]["difference"]
    assert near["value"] == pytest.approx(0.5)
    assert (near["low"], near["high"]) == (-1, 1)  # a share that is .5 higher on each of two rows may yet be anything
    losses = row(table, "near", "loss")["values"]["dpo"]["difference"]
    assert losses["value"] == pytest.approx(0.25)
    assert losses["high"] - losses["low"] == pytest.approx(0, abs=1e-9)  # .25 on every row: nothing varies
    assert row(table, "far")["values"]["dpo"]["difference"]["value"] == 0
    assert row(table, "all")["values"]["dpo"]["difference"]["value"] == pytest.approx(0.25)
    assert "difference" not in row(table, "all")["values"]["sft"]


def test_a_difference_tells_how_often_chance_alone_would_show_it(table: dict) -> None:
    """Two of four rows differ, both for the better: of the four choices of signs two are as far from zero."""
    told = row(table, "all")["values"]["dpo"]["difference"]
    assert (told["p"], told["test"]) == (0.5, "exact permutation")


def test_losses_a_token_are_compared_as_ratios(table: dict) -> None:
    told = row(table, "all", "loss")["values"]["dpo"]["difference"]
    assert told["value"] == pytest.approx(0.125) and told["low"] < 0.125 < told["high"]
