"""Gates over several seeds, by hand: four prompts, three seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from align import cli, sweep
from align import plan as plans
from align.artifact.store import Store
from align.gates import Judgement, seeds, written
from align.recipe import load
from tests.measuring import seal_reports, suite, write_recipe

BASE = [0.2, 0.3, 0.4, 0.5]
SEEDS = ["seed=0,1,2"]


def sealed(folder: Path, gates: list[str], gains: list[float], data: str = "same", losses: Any = None) -> Path:
    """Three runs whose dpo gains so much on every prompt of sft's, which no seed changes."""
    path = write_recipe(folder, gates)
    for variant, gain, number in zip(sweep.seeded(str(path), SEEDS), gains, range(3), strict=True):
        rows = "rows" if data == "same" else f"rows {number}"
        measured = {
            "sft": {"probes": suite({"gold": BASE}, data=rows)},
            "dpo": {"probes": suite({"gold": [b + gain for b in BASE]}, data=rows)},
        }
        seal_reports(variant.recipe, measured, metrics={"dpo": {"loss": (losses or [1.0, 1.0, 1.0])[number]}})
    return path


def judged(path: Path) -> Judgement:
    variants = sweep.seeded(str(path), SEEDS)
    return seeds.judge(load(path), {v.told: plans.make(v.recipe, Store(Path(".align"))).steps for v in variants})


def test_one_lucky_seed_passes_no_gate(here: Path) -> None:
    """Gains of .0, .0 and .3: mean .1 ± t(2) * .1 at .9, se .3 / 3; prompts add nothing, as each gained the same."""
    path = sealed(here, ["dpo.probes.gold - sft.probes.gold > 0"], [0.0, 0.0, 0.3])
    (found,) = judged(path).verdicts
    assert found.verdict == "inconclusive" and found.blocks and found.paired
    assert found.value == pytest.approx(0.1) and found.seeds == pytest.approx((0.0, 0.0, 0.3))
    assert found.high == pytest.approx(0.1 + 2.91999 * 0.1, abs=1e-4)
    # with 10 seeds t(9) * .1 * sqrt(3 / 10) = 1.8331 * .05477 = .1004, with 11 t(10) * .1 * sqrt(3 / 11) = .0946
    assert found.seeds_to_decide == 11 and "about 11 seeds would decide" in written.remark(found)


def test_seeds_that_agree_pass(here: Path) -> None:
    path = sealed(here, ["dpo.probes.gold - sft.probes.gold > 0.15"], [0.2, 0.21, 0.22])
    (found,) = judged(path).verdicts
    assert (found.verdict, found.n) == ("pass", 4)
    assert "3 seeds: 0.200, 0.210, 0.220" in written.remark(found)


def test_prompts_count_also_where_seeds_agree(here: Path) -> None:
    """Mean .56 over four prompts with se .0645: ± t(3) * .0645 at .9 = .152, and the seeds' ± t(2) * .00577 = .017."""
    path = sealed(here, ["dpo.probes.gold > 0.42"], [0.2, 0.21, 0.22])
    (found,) = judged(path).verdicts
    within, over = 2.35336 * math.sqrt(0.05 / 3 / 4), 2.91999 * 0.01 / math.sqrt(3)
    assert found.low == pytest.approx(0.56 - math.hypot(within, over), abs=1e-4)
    assert found.verdict == "inconclusive"
    assert "seeds alone would not decide: ask more prompts" in written.remark(found)


def test_what_no_seed_changes_is_judged_as_one_run(here: Path) -> None:
    (found,) = judged(sealed(here, ["sft.probes.gold > 0.1"], [0.0, 0.0, 0.3])).verdicts
    assert found.seeds == () and found.note == "the same in every seed" and found.verdict == "pass"


def test_plain_numbers_of_several_seeds_get_an_interval_and_equality_holds_in_each(here: Path) -> None:
    """Losses 1, 2, 3: 2 ± t(2) / sqrt(3) at .9 = 1.686."""
    path = sealed(here, ["dpo.loss < 2.5", "dpo.loss < 4", "dpo.loss == 1"], [0.1] * 3, losses=[1.0, 2.0, 3.0])
    first, second, exact = judged(path).verdicts
    assert first.high == pytest.approx(2 + 2.91999 / math.sqrt(3), abs=1e-4)
    assert [v.verdict for v in (first, second, exact)] == ["inconclusive", "pass", "fail"]
    assert exact.value == 2.0 and "in each seed" in exact.note


def test_seeds_that_were_asked_other_rows_have_no_mean(here: Path) -> None:
    (problem,) = judged(sealed(here, ["dpo.probes.gold > 0"], [0.1, 0.2, 0.3], data="other")).problems
    assert "measured on other rows in some seed" in problem.message


def test_a_seed_that_has_not_run_is_waited_for(here: Path) -> None:
    path = write_recipe(here, ["dpo.probes.gold > 0"])
    seal_reports(load(path, ["seed=0"]), {"dpo": {"probes": suite({"gold": BASE})}})
    (waiting,) = judged(path).waiting
    assert waiting.steps == tuple(f"{s} of seed={n}" for n in (1, 2) for s in ("evaluate.dpo", "evaluate"))


def test_the_command_line_judges_several_seeds_and_nothing_else(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sealed(here, ["dpo.probes.gold - sft.probes.gold > 0"], [0.0, 0.0, 0.3])
    assert cli.run(["gate", str(path), "seed=0,1,2", "--markdown", "gates.md"]) == 3
    assert "3 seeds" in " ".join(capsys.readouterr().out.split()) and "3 seeds" in Path("gates.md").read_text()
    assert cli.run(["gate", str(path), "stages.dpo.beta=0.1,0.2"]) == 2
    assert "stages.dpo.beta: gates are judged over seeds, and this is none" in capsys.readouterr().err
    assert cli.run(["gate", str(path), "seed=0,1", "--save-baseline", "b.json"]) == 2
    assert "a baseline is of one run" in capsys.readouterr().err
