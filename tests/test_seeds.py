from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from align import cli, seeds, sweep
from align.artifact.store import Store
from align.cli import sweeping
from align.recipe import load
from tests.measuring import seal_reports, suite, write_recipe

GOLD = {"0": [0.2, 0.4, 0.6], "1": [0.4, 0.6, 0.8]}


@pytest.fixture
def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[sweep.Point], Store]:
    """Two seeds of dpo, each with two betas; of beta 0.3 the second seed was asked other prompts."""
    monkeypatch.chdir(tmp_path)
    arguments = ["stages.dpo.seed=0,1", "stages.dpo.beta=0.1,0.3"]
    made = sweep.variants(write_recipe(tmp_path, []), *sweep.split_arguments(arguments))
    store, points = Store(tmp_path / ".align"), {}
    for variant in made:
        seed, beta = variant.settings.values()
        probes = suite({"gold": GOLD[seed]}, data="others" if (seed, beta) == ("1", "0.3") else "these")
        measured = {"base": {}, "sft": {}, "dpo": {"probes": probes}}
        row = {"suite": "probes", "metric": "gold", "slice": "all"}
        values = {"dpo": probes["metrics"]["gold"]["all"]}
        seal_reports(variant.recipe, measured, joint=[{**row, "values": values}])
        sweep.measured(variant, store, points)
    return [p for p in sweep.labelled(points, made, store) if p.model == "dpo"], store


def test_seeds_of_one_setting_are_summarised_over_seeds_and_prompts_apart(
    swept: tuple[list[sweep.Point], Store],
) -> None:
    """Means .4 and .6: over seeds .5 ± t(1) * .1; the three prompts of both together have se = .2 / sqrt(3)."""
    (found, other) = seeds.summarised(*swept)
    assert found.label == "dpo beta=0.1, 2 seeds" and found.settings == {"stages.dpo.beta": "0.1"}
    told = found.figures["probes", "gold", "all"]
    assert told.values == pytest.approx((0.4, 0.6))
    assert (told.over.value, told.over.n) == (pytest.approx(0.5), 2)
    assert told.over.high == pytest.approx(0.5 + 12.7062 * 0.1, abs=1e-4)
    assert told.within.se == pytest.approx(0.2 / 3**0.5)
    assert other.figures == {}  # its seeds were asked other prompts


def test_what_seeds_say_stands_under_the_points(
    swept: tuple[list[sweep.Point], Store], capsys: pytest.CaptureFixture[str]
) -> None:
    sweeping.show(swept[0], seeds.summarised(*swept))
    told = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert "dpo beta=0.1, 2 seeds 0.50 ± 1.27" in lines
    assert "dpo beta=0.3, 2 seeds -" in lines
    assert "as another training run would vary" in " ".join(told.split())


def test_nothing_is_summarised_without_seeds(swept: tuple[list[sweep.Point], Store]) -> None:
    points, store = swept
    assert seeds.summarised(points[:2], store) == []


def test_one_model_asked_under_several_seeds_is_no_other_training_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = sweep.variants(write_recipe(tmp_path, []), *sweep.split_arguments(["stages.evaluate.seed=0,1"]))
    store, points = Store(tmp_path / ".align"), {}
    for variant in made:
        probes = suite({"gold": GOLD["0"]})
        row = {"suite": "probes", "metric": "gold", "slice": "all", "values": {"dpo": probes["metrics"]["gold"]["all"]}}
        seal_reports(variant.recipe, {"base": {}, "sft": {}, "dpo": {"probes": probes}}, joint=[row])
        sweep.measured(variant, store, points)
    shown = [p for p in sweep.labelled(points, made, store) if p.model == "dpo"]
    assert len(shown) == 2 and seeds.summarised(shown, store) == []


def seal_seeds(folder: Path, told: dict[int, dict[str, list[float]]], base: Sequence[float] = (0.1, 0.1, 0.1)) -> Path:
    """A recipe whose sft and dpo have these gold scores by seed; its base is the same under each."""
    path = write_recipe(folder, [])
    for seed, gold in told.items():
        probes = {"base": suite({"gold": list(base)})} | {m: suite({"gold": gold[m]}) for m in ("sft", "dpo")}
        values = {m: {"value": 0.0, "n": 3} for m in probes}
        joint = [{"suite": "probes", "metric": "gold", "slice": "all", "better": "higher", "values": values}]
        seal_reports(load(path, [f"seed={seed}"]), {m: {"probes": s} for m, s in probes.items()}, joint=joint)
    return path


def test_runs_with_other_seeds_are_found_in_the_store_and_told_over_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dpo is better than base by .4 and .6 in the two seeds, which is .5 ± t(1) * .1 over seeds, and no model is base's."""
    monkeypatch.chdir(tmp_path)
    gold = {0: {"sft": [0.2, 0.4, 0.6], "dpo": [0.3, 0.5, 0.7]}, 7: {"sft": [0.4, 0.4, 0.4], "dpo": [0.7, 0.7, 0.7]}}
    path = seal_seeds(tmp_path, gold)
    store = Store(tmp_path / ".align")
    found = seeds.runs(load(path), store)
    assert list(found) == [0, 7]
    report = seeds.comparisons(found)["evaluate"]
    (row,) = report["rows"]
    assert report["baseline"] == "base" and row["values"]["base"]["low"] == pytest.approx(0.1)
    assert row["values"]["dpo"]["value"] == pytest.approx(0.6)
    assert row["values"]["dpo"]["difference"]["value"] == pytest.approx(0.5)
    report = seeds.comparisons(seeds.runs(load(path, ["stages.evaluate.baseline=sft"]), store))
    assert report == {}  # another comparison was never made
    assert seeds.comparisons({0: found[0]}) == {}


def test_the_report_shows_several_seeds_where_there_are_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one = {"sft": [0.2, 0.4, 0.6], "dpo": [0.3, 0.5, 0.7]}
    path = seal_seeds(tmp_path, {0: one})
    assert cli.run(["report", str(path)]) == 0
    assert "Over 2 seeds" not in (tmp_path / "judged-report.html").read_text()
    seal_seeds(tmp_path, {1: {"sft": [0.4, 0.4, 0.4], "dpo": [0.7, 0.7, 0.7]}})
    assert cli.run(["report", str(path)]) == 0
    page = (tmp_path / "judged-report.html").read_text()
    assert "Over 2 seeds: 0, 1" in page
    assert "0.60 ± 1.29" in page  # seeds .5 and .7: t(1) * .1; prompts, of the mean of both seeds: t(2) * .1 / sqrt(3)
    assert "With figures over seeds 0 and 1." in capsys.readouterr().out


def test_a_single_prompt_has_a_figure_over_seeds_but_no_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = seal_seeds(tmp_path, {0: {"sft": [0.2], "dpo": [0.4]}, 1: {"sft": [0.4], "dpo": [0.6]}}, base=[0.1])
    (row,) = seeds.comparisons(seeds.runs(load(path), Store(tmp_path / ".align")))["evaluate"]["rows"]
    assert (row["values"]["dpo"]["value"], row["values"]["dpo"]["low"]) == (pytest.approx(0.5), None)
    assert cli.run(["report", str(path)]) == 0
    assert "0.500" in (tmp_path / "judged-report.html").read_text()
