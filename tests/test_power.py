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


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_rows_that_could_show_no_difference_of_shares_at_all_are_said_to_be_too_few(here: Path, limit: int) -> None:
    """Two rows: (12.7 + .84) * .5 / sqrt(2) = 4.8; four: (3.18 + .84) * .25 = 1.006; five: 3.62 * .5 / sqrt(5) = .81."""
    path = write_recipe(here, [])
    seal_reports(path, {}, metrics=ROWS)
    found = told(path, "stages.evaluate.max_length=900", f"stages.evaluate.suites.preference.limit={limit}")
    few = "1 row is" if limit == 1 else f"{limit} rows are"
    assert str(found["preference"]).startswith(f"preference: {few} too few to show any difference in a share; ")
    assert found["preference"].to_json()["difference"] is None
    five = told(path, "stages.evaluate.max_length=900", "stages.evaluate.suites.preference.limit=5")["preference"]
    assert five.difference == pytest.approx(0.81, abs=0.005)


def test_a_difference_of_what_is_no_share_may_be_of_any_size(here: Path) -> None:
    """Differences of the last run: 0, 20 and 40 tokens; two rows show those of 12.7 and more standard deviations."""
    before = difference(
        Sample([0.0, 20.0, 40.0], None, "abc", "real"), Sample([0.0] * 3, None, "abc", "real")
    ).to_json()
    value = mean([0.0, 20.0, 40.0], "abc", "real").to_json() | {"difference": before}
    row = {"suite": "probes", "metric": "tokens", "slice": "all", "values": {"dpo": value}}
    path = write_recipe(here, [])
    seal_reports(path, {}, metrics=ROWS, joint=[row])
    found = told(path, "stages.evaluate.max_length=900", "stages.evaluate.suites.probes.limit=2")["probes"]
    assert found.difference == pytest.approx(detectable(2, 20.0)) and found.difference > 100


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
