"""Votes on the command line: counted, checked, sealed, and then a data source like any other; and model cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from align import plan as plans
from align.artifact.store import Store
from align.recipe import load
from align.report import generations
from align.report.collect import collect
from tests.cli.conftest import Align
from tests.report.conftest import SAID, SCORES
from tests.report.finished import finish
from tests.report.test_votes import CHOICES, line


@pytest.fixture
def cast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished recipe in the current folder, and a file with votes on it."""
    monkeypatch.chdir(tmp_path)
    plan, store = finish(tmp_path, SAID, SCORES)
    (suite,) = generations.read(collect(plan, store))
    path = tmp_path / "v.jsonl"
    path.write_text("".join(line(suite, row, who) for row, who in CHOICES.items()), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("warm_python")
def test_votes_become_a_sealed_data_entry_that_a_recipe_reuses(cast: Path, align: Align) -> None:
    told = align("votes", "v.jsonl", "small.yaml")
    assert told.code == 0, told.err
    assert "dpo against sft" in told.out and "0.625 (" in told.out
    assert "2 won, 1 lost, 1 as good, 1 skipped" in " ".join(told.out.split())
    assert "2 preference rows (1 tie, 1 skip and 1 empty answer make none)" in told.out
    recipe = Path("next.yaml")
    recipe.write_text("name: next\ndata: {votes: {source: v.preference.jsonl, as: preference}}\nstages: {}\n")
    step = plans.make(load(recipe), Store(Path(".align"))).steps["votes"]
    assert step.action == "reuse" and step.about["rows/train"] == 2


def test_votes_on_other_answers_are_refused_and_nothing_is_written(cast: Path, align: Align) -> None:
    cast.write_text(cast.read_text().replace(SAID["dpo"][0], "other words"))
    told = align("votes", "v.jsonl", "small.yaml", "--json")
    assert told.code == 2 and "changed after it was exported" in json.loads(told.out)["error"]["message"]
    assert not Path("v.preference.jsonl").exists()


def test_votes_that_prefer_nothing_are_counted_and_seal_nothing(cast: Path, align: Align) -> None:
    kept = [text for text in cast.read_text().split("\n") if '"tie"' in text or '"skip"' in text]
    cast.write_text("\n".join(kept))
    told = align("votes", "v.jsonl")
    assert told.code == 0 and "No preference rows: 1 tie and 1 skip" in told.out
    assert json.loads(align("votes", "v.jsonl", "--json").out)["preferences"]["artifact"] is None


def test_no_figure_of_votes_is_cut_off_at_80_columns(cast: Path, align: Align, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    kept = [text for text in cast.read_text().split("\n") if '"tie"' in text or '"skip"' in text]
    cast.write_text(
        "\n".join(kept).replace('"dpo"', '"the policy after update 1000"').replace('"sft"', '"the one before it"')
    )
    said = align("votes", "v.jsonl").out.splitlines()
    table = said[said.index("") + 1 : said.index("", said.index("") + 1)]
    assert max(map(len, said)) <= 80
    words = {word for row in table for word in row.split()}
    assert words >= {
        "policy",
        "after",
        "update",
        "1000",
        "against",
        "before",
        "it",
        "0.5",
        "1",
        "as",
        "good,",
        "skipped",
    }


def test_an_exported_model_carries_its_card(cast: Path, align: Align) -> None:
    told = align("card", "small:dpo")
    assert told.code == 0 and told.out.startswith("---\nlibrary_name: transformers\n")
    assert align("card", "small:dpo", "-o", "c.md").code == 0 and Path("c.md").read_text() == told.out
    exported = align("export", "small:dpo", "out")
    assert exported.code == 0, exported.err
    assert "with a model card" in exported.out and Path("out/README.md").read_text() == told.out
    assert align("card", "small:chat").code == 2


def test_a_run_ends_with_how_to_see_its_report(cast: Path, align: Align) -> None:
    assert "report: align report small.yaml\n" in align("run", "small.yaml").out
    assert "report: align report small.yaml seed=0\n" in align("run", "small.yaml", "seed=0").out
    Path(".align").rename("other place")
    told = align("run", "small.yaml", "--store", "other place").out
    assert "more: align show small --store 'other place'" in told
    assert "report: align report small.yaml --store 'other place'\n" in told
