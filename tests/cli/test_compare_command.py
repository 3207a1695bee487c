from __future__ import annotations

import json
from pathlib import Path

import pytest

from align.recipe import load
from tests.cli.conftest import Align
from tests.measuring import seal_reports, suite, write_recipe

GOLD = {"sft": [0.1, 0.5, 0.4, 0.6], "dpo": [0.5, 0.8, 0.7, 0.9], "base": [0.0] * 4}


@pytest.fixture
def twice(here: Path) -> None:
    path = write_recipe(here, [])
    measured = {model: {"probes": suite({"gold": values})} for model, values in GOLD.items()}
    said = {"sft": ["same", "b", "\x1b[31mc", "d"], "dpo": ["same", "B" * 400, "", "z"]}
    seal_reports(path, measured, said=said)
    changed = measured | {"dpo": {"probes": suite({"gold": [0.1, 0.2, 0.3, 0.4]})}}
    seal_reports(load(path, ["stages.dpo.beta=0.3"]), changed, metrics={"dpo": {"loss": 0.9}}, said=said)


def test_a_comparison_goes_from_settings_to_measurements_to_answers(twice: None, align: Align) -> None:
    told = align("compare", "judged.yaml", "stages.dpo.beta=0.3")
    assert (told.code, told.err) == (0, "")
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    order = ["dpo beta 0.1 0.3", "follows from that: evaluate.dpo and evaluate", "loss 1.5 0.9"]
    assert [lines.index(line) for line in order] == sorted(lines.index(line) for line in order)
    assert "gold 0.725 ± 0.272 0.250 ± 0.205 -0.475 ± 0.152* .125 4" in lines  # of 2^4 exchanges 2 differ as much
    assert "** also after Holm's correction for 1 difference: none" in told.out
    assert "p of no difference, paired by prompt: exact permutation (1)" in told.out


def test_answers_are_shown_on_one_line_and_harmless(twice: None, align: Align) -> None:
    told = align("compare", "judged:sft", "judged:dpo").out
    assert "probes of sft, dpo: answers that differ most" in told
    assert "\x1b" not in told and "[31mc" in told and "(nothing)" in told and "question 0" not in told
    assert "B" * 400 not in "".join(told.split())


def test_equal_runs_are_the_same(twice: None, align: Align) -> None:
    assert "They are the same" in align("compare", "judged", "judged").out


def test_json_holds_everything(twice: None, align: Align) -> None:
    told = json.loads(align("compare", "judged.yaml", "stages.dpo.beta=0.3", "--json", "--samples", "1").out)
    assert told["differences"]["steps"][0]["settings"] == {"beta": [0.1, 0.3]}
    (row,) = [r for r in told["measured"] if r["metric"] == "gold"]
    assert row["difference"]["value"] == pytest.approx(-0.475) and row["model"] == "dpo"
    assert (row["p"], row["p_holm"], row["test"]) == (0.125, 0.125, "exact permutation")
    assert told["b"]["missing"] == [] and told["samples"] == []  # both runs' dpo said the same


def test_a_run_that_is_missing_is_told_with_its_command(twice: None, align: Align) -> None:
    told = align("compare", "judged.yaml", "stages.dpo.beta=0.9")
    assert "not sealed: dpo, evaluate.dpo and evaluate" in told.out
    assert "Run it: align run judged.yaml stages.dpo.beta=0.9" in told.out
