from __future__ import annotations

import json
from pathlib import Path

import pytest

from align import plan as plans
from align import power
from align.artifact.store import Store
from align.estimates import Sample, detectable, difference, mean
from align.recipe import load
from tests.measuring import seal_reports, write_recipe

ROWS = {"probes": {"rows/train": 500.0}, "pairs": {"rows/train": 400.0, "rows/holdout": 80.0}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(path: Path, *overrides: str) -> dict[str, power.Detectable]:
    store = Store(Path(".align"))
    return {d.suite: d for d in power.of_plan(plans.make(load(path, list(overrides)), store), store)}


def test_before_anything_was_measured_a_quarter_of_the_answers_is_assumed_to_change(here: Path) -> None:
    """The parts that are asked count, cut at the limit: 500 prompts, and 80 held-out pairs of which 50 are asked."""
    path = write_recipe(here, [])
    seal_reports(path, {}, metrics=ROWS)
    Path(".align/recipes/judged.json").unlink()
    found = told(path, "stages.evaluate.max_length=900", "stages.evaluate.suites.preference.limit=50")
    assert {name: (d.rows, d.difference) for name, d in found.items()} == {
        "probes": (500, detectable(500, 0.5)), "preference": (50, detectable(50, 0.5)),
    }  # fmt: skip
    assert str(found["probes"]) == (
        "probes: 500 rows can show a difference of 0.063 in a share, if a quarter of the answers changes sides"
    )


def test_what_was_measured_before_says_how_much_rows_vary(here: Path) -> None:
    """Differences of the last run: 0, .2 and .4, so a row's standard deviation is .2."""
    before = difference(Sample([0.5, 0.7, 0.9], None, "abc", "real"), Sample([0.5] * 3, None, "abc", "real")).to_json()
    value = mean([0.5, 0.7, 0.9], "abc", "real").to_json()
    row = {
        "suite": "probes",
        "metric": "gold",
        "slice": "all",
        "values": {"sft": value, "dpo": value | {"difference": before}},
    }
    path = write_recipe(here, [])
    seal_reports(path, {}, metrics=ROWS, joint=[row])
    found = told(path, "stages.evaluate.max_length=900")["probes"]
    assert found.metric == "gold" and found.difference == pytest.approx(detectable(500, 0.2))


def test_nothing_is_told_of_what_is_measured_already_or_compared_with_nothing(here: Path) -> None:
    path = write_recipe(here, [])
    seal_reports(path, {}, metrics=ROWS)
    assert told(path) == {}
    assert told(path, "stages.evaluate.models=[dpo]", "stages.evaluate.max_length=900") == {}


def test_a_plan_tells_it_before_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from align import cli

    path = write_recipe(here, [])
    seal_reports(path, {}, metrics=ROWS)
    assert cli.run(["plan", str(path), "stages.dpo.beta=0.3"]) == 0
    assert "  probes: 500 rows can show a difference of 0.063 in a share" in capsys.readouterr().out
    assert cli.run(["plan", str(path), "stages.dpo.beta=0.3", "--json"]) == 0
    assert {d["suite"] for d in json.loads(capsys.readouterr().out)["detectable"]} == {"probes", "preference"}
