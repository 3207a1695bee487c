"""A slice that no row has is told as soon as the rows are prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from align import asked
from align import plan as plans
from align.artifact.digests import write_json
from align.artifact.manifest import Manifest
from align.artifact.store import Store
from align.errors import RecipeError
from align.plan import Plan
from align.recipe import load
from tests.measuring import suite, write_recipe
from tests.sealing import seal_step

TRANSFER = "      transfer: {data: probes, scorer: quickstart}\n"
SAFETY = "      safety: {data: probes, harmful: [rude]}\n"
MEMORY = "      memorisation: {data: chat, heldout: chat}\n"
THERE = {"slices/train": 3.0, "slices/train/in_domain": 9.0, "slices/train/near": 5.0, "slices/train/fra": 4.0}
AXES = {"axes/train": 1.0, "axes/train/rude": 2.0}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(folder: Path, extra: str, gates: list[str], counts: dict[str, float] | None = None) -> Plan:
    """The plan of a recipe whose probes are prepared, with so many rows of each slice and axis."""
    recipe, store = load(write_recipe(folder, gates, extra)), Store(folder / ".align")
    told = {"rows/train": 18.0, **(THERE | AXES if counts is None else counts)}
    plan = plans.make(recipe, store)
    if plan.steps["probes"].action == "run":
        seal_step(store, plan, "probes", metrics=told)
    return plans.make(recipe, store)


def problems(plan: Plan) -> dict[str, str]:
    with pytest.raises(RecipeError) as caught:
        asked.check(plan)
    assert all(p.line > 1 for p in caught.value.problems)
    return {p.key: p.message for p in caught.value.problems}


def test_a_suite_that_names_a_missing_slice_is_told_with_the_slices_there(tmp_path: Path) -> None:
    assert problems(planned(tmp_path, TRANSFER, [])) == {
        "stages.evaluate.suites.transfer.far": "no row has the slice far. Did you mean fra? There are fra (4 rows), "
        "in_domain (9 rows), near (5 rows). Or say far: null."
    }


def test_a_suite_that_takes_an_axis_or_a_slice_finds_both(tmp_path: Path) -> None:
    asked.check(planned(tmp_path, SAFETY, []))
    (told,) = problems(planned(tmp_path, SAFETY.replace("rude", "rdue"), [])).values()
    assert "no row has the slice or axis rdue. Did you mean rude?" in told and "rude (2 rows)" in told


def test_rows_without_any_slice_are_told_as_such(tmp_path: Path) -> None:
    (told,) = problems(planned(tmp_path, SAFETY, [], {"slices/train": 0.0, "axes/train": 0.0})).values()
    assert "The rows have no slice or axis at all" in told


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("dpo.probes.gold.naer > 0.5", 'probes has no slice "naer". Did you mean near?'),
        ("dpo.probes.gold.near - sft.probes.gold.neer > 0", 'probes has no slice "neer". Did you mean near?'),
        ("dpo.memorisation.loss.trian < 2", 'memorisation has no slice "trian". Did you mean train?'),
    ],
)
def test_a_gate_on_a_missing_slice_is_told_before_anything_is_measured(gate: str, said: str, tmp_path: Path) -> None:
    assert problems(planned(tmp_path, MEMORY, [gate])) == {"gates.0": said}


@pytest.mark.parametrize("gate", ["dpo.probes.gold.near > 0", "dpo.probes.gold > 0", "dpo.probes.gold.axis_rude > 0"])
def test_a_gate_on_a_slice_or_axis_that_is_there_is_sound(gate: str, tmp_path: Path) -> None:
    asked.check(planned(tmp_path, "", [gate]))


@pytest.mark.parametrize("counts", [{}, {"slices/train": 300.0, "axes/train": 0.0}])
def test_nothing_is_said_where_the_slices_are_not_known(counts: dict[str, float], tmp_path: Path) -> None:
    asked.check(planned(tmp_path, TRANSFER, ["dpo.probes.gold.nowhere > 0.5"], counts))


def test_a_baseline_of_other_rows_is_refused_before_anything_trains(tmp_path: Path) -> None:
    """The digest of the rows is in the baseline, and in the manifest of what is prepared now."""
    gate = "dpo.probes.gold - baseline.dpo.probes.gold > 0"
    plan = planned(tmp_path, "", [f"{gate}\nbaseline: old.json"])
    artifact = plan.steps["probes"].artifact
    assert artifact
    now = Manifest.read(artifact).digest
    for data, metric, said in (
        (now, "gold", None),
        ("0123456789", "gold", f"was measured on other rows (digest 01234567, now {now[:8]}) and proves nothing"),
        (now, "facts", "old.json holds no dpo.probes.gold"),
    ):
        reports = {"evaluate.dpo": {"suites": {"probes": suite({metric: [0.5, 0.6]}, data=data)}}}
        write_json(tmp_path / "old.json", {"schema": "align/baseline", "metrics": {}, "reports": reports})
        if said is None:
            asked.check(plan)
        else:
            assert said in problems(plan)["gates.0"]
