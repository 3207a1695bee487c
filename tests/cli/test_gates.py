from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from align.recipe import load
from tests.cli.conftest import Align
from tests.measuring import seal_reports, suite, write_recipe

VALUES = [0.6, 0.7, 0.8, 0.9, 0.7, 0.8]


@pytest.fixture
def judged(here: Path) -> Any:
    """Seals everything, with made-up measurements, under a recipe with these gates."""

    def seal(*gates: str, extra: str = "") -> None:
        told = {"probes": suite({"gold": VALUES}), "preference": suite({"accuracy": [1.0, 0.0, 1.0, 1.0]})}
        seal_reports(write_recipe(here, gates, extra), dict.fromkeys(("base", "sft", "dpo"), told))

    return seal


def test_gates_that_pass_end_in_0_and_are_shown(judged: Any, align: Align) -> None:
    judged("dpo.probes.gold > 0.5", "sft.loss < 2")
    told = align("gate", "judged.yaml")
    assert (told.code, told.err) == (0, "")
    assert "✓  dpo.probes.gold > 0.5  0.75 (0.66 to 0.84)  n = 6" in told.out
    assert "each end of an interval holds with confidence 0.95" in told.out


@pytest.mark.parametrize("columns", [80, 160])
def test_no_gate_and_no_figure_is_broken(
    columns: int, judged: Any, align: Align, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "dpo.preference.accuracy - sft.preference.accuracy >= 0 or inconclusive"
    judged("dpo.probes.gold > 0.5", long)
    lines = [line.strip() for line in align("gate", "judged.yaml").out.splitlines()]
    shown = next(line for line in lines if f"?  {long}" in line)
    assert sum("0.75 (0.66 to 0.84)" in line and line.endswith("n = 6") for line in lines) == 1
    assert any("n = 4, paired, it stands on the threshold" in line for line in lines)
    assert ("n = 4" in shown) == (columns == 160)
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize(
    ("gate", "code"),
    [("dpo.probes.gold > 0.9", 3), ("dpo.probes.gold > 0.74", 3), ("dpo.probes.gold > 0.74 or inconclusive", 0),
     ("dpo.probes.gold > 0.9 or inconclusive", 3), ("sft.vigour < 2", 2)],
)  # fmt: skip
def test_the_exit_code_is_the_verdict(gate: str, code: int, judged: Any, align: Align) -> None:
    judged("sft.loss < 2", gate)
    for command in (("gate", "judged.yaml"), ("run", "judged.yaml"), ("run", "judged.yaml", "--json")):
        told = align(*command)
        assert "--json" not in command or len(json.loads(told.out)["gates"]) == 2
        assert told.code == code, command
        assert "Traceback" not in told.err and "fault of align" not in told.err
        assert ("1 of 2 gates did not pass" in told.err) == (code == 3)


def test_a_run_with_nothing_to_do_still_judges_and_shows(judged: Any, align: Align) -> None:
    judged("dpo.probes.gold > 0.9")
    told = align("run", "judged.yaml")
    assert told.code == 3 and "nothing to do" in told.out
    assert "✗  dpo.probes.gold > 0.9" in told.out


def test_json_is_one_object_with_every_verdict(judged: Any, align: Align) -> None:
    judged("dpo.probes.gold > 0.9", "dpo.probes.gold - sft.probes.gold >= -0.1")
    for command in ("gate", "run"):
        gates = json.loads(align(command, "judged.yaml", "--json").out)["gates"]
        assert [g["verdict"] for g in gates] == ["fail", "pass"]
        assert gates[0]["blocks"] and gates[0]["threshold"] == 0.9 and gates[0]["line"] == 17
        assert gates[1]["paired"] and gates[1]["low"] == gates[1]["high"] == 0


def test_what_was_never_produced_is_one_paragraph_after_the_verdicts(judged: Any, align: Align) -> None:
    judged("sft.loss < 2", "sft.vigour < 2")
    told = align("gate", "judged.yaml")
    assert "✓  sft.loss < 2" in told.out
    assert told.err.startswith("judged.yaml: 1 gate could not be judged:\n  line 18   sft.vigour < 2   sft never told")


def test_gates_given_as_an_override_are_judged_and_told_as_such(judged: Any, align: Align) -> None:
    judged("dpo.probes.gold > 0.9")
    assert align("gate", "judged.yaml", "gates=[sft.loss < 2]").code == 0
    assert "\n  override sft.vigour < 2   sft never told" in align("gate", "judged.yaml", "gates=[sft.vigour < 2]").err


def test_gates_wait_for_steps_that_are_not_sealed(judged: Any, align: Align) -> None:
    judged("sft.loss < 2", "dpo.loss < 2")
    told = align("gate", "judged.yaml", "stages.dpo.beta=0.5")
    assert told.code == 2 and "·  dpo.loss < 2" in told.out and "waits for dpo" in told.out
    assert "1 gate cannot be judged before dpo. Run it: align run judged.yaml stages.dpo.beta=0.5." in told.err


def test_a_part_of_a_recipe_ends_in_0_while_its_gates_wait(judged: Any, align: Align) -> None:
    judged("dpo.probes.gold > 0.9")
    told = align("run", "judged.yaml", "stages.dpo.beta=0.5", "--until", "sft")
    assert told.code == 0 and "waits for evaluate.dpo and evaluate" in told.out


def test_a_sweep_tells_its_gates_and_blocks_on_none(judged: Any, align: Align, here: Path) -> None:
    judged("dpo.loss < 1")
    recipe = load(here / "judged.yaml", ["stages.dpo.beta=0.3"])
    seal_reports(recipe, {model: {} for model in ("base", "sft", "dpo")}, metrics={"dpo": {"loss": 0.5}})
    told = align("sweep", "judged.yaml", "stages.dpo.beta=0.1,0.3")
    assert told.code == 0, told.err
    assert "gates of beta=0.1: 1 failed" in told.out and "gates of beta=0.3: 1 passed" in told.out


def test_a_sweep_of_seeds_ends_with_what_they_say_together(judged: Any, align: Align, here: Path) -> None:
    judged("dpo.probes.gold > 0.5")
    row = {"suite": "probes", "metric": "gold", "slice": "all"}
    for seed in (3, 4):
        told = {"probes": suite({"gold": [v + seed / 100 for v in VALUES]})}
        joint = [{**row, "values": {"dpo": told["probes"]["metrics"]["gold"]["all"]}}]
        seal_reports(
            load(here / "judged.yaml", [f"seed={seed}"]), dict.fromkeys(("base", "sft", "dpo"), told), joint=joint
        )
    told = align("sweep", "judged.yaml", "seed=3,4", "--store", ".align")
    assert told.code == 0, told.err
    assert "what CI would say: align gate judged.yaml seed=3,4 --store .align\n" in told.out
    assert "all seeds on a page: align report judged.yaml seed=3 --store .align\n" in told.out
    assert align("report", "judged.yaml", "seed=3").code == 0


def test_a_recipe_without_gates_passes_nothing(judged: Any, align: Align) -> None:
    judged()
    told = align("gate", "judged.yaml")
    assert told.code == 2 and "the recipe has no gates" in told.err
    assert align("run", "judged.yaml").code == 0


def test_reports_for_machines_are_written_also_when_a_gate_fails(judged: Any, align: Align, here: Path) -> None:
    judged("dpo.probes.gold > 0.9")
    assert align("gate", "judged.yaml", "--junit", "out/gates.xml", "--markdown", "gates.md").code == 3
    assert ElementTree.fromstring((here / "out" / "gates.xml").read_text())[0].get("failures") == "1"
    assert "1 failed" in (here / "gates.md").read_text()
    told = align("gate", "judged.yaml", "--junit", str(here))
    assert told.code == 2 and "cannot be written" in told.err


def test_a_saved_baseline_is_what_a_later_run_is_held_against(judged: Any, align: Align, here: Path) -> None:
    judged()
    told = align("gate", "judged.yaml", "--save-baseline", "base.json")
    assert told.code == 0 and "Wrote base.json" in told.out and (here / "base.json").is_file()
    judged("dpo.probes.gold - baseline.dpo.probes.gold >= 0", extra="baseline: base.json\n")
    assert align("gate", "judged.yaml").code == 0
    (here / "base.json").unlink()
    for command in (("gate", "judged.yaml"), ("run", "judged.yaml", "stages.dpo.beta=0.9")):
        told = align(*command)
        assert told.code == 2 and "there is no such baseline" in told.err and told.out == ""


def test_gates_are_judged_in_under_half_a_second(judged: Any, align: Align) -> None:
    judged("dpo.probes.gold > 0.5", "dpo.probes.gold > 0.74")
    began = time.monotonic()
    align("gate", "judged.yaml")
    assert time.monotonic() - began < 0.5
