from __future__ import annotations

import json
from pathlib import Path

import pytest

from align import plan as plans
from align import sweep
from align.artifact.store import Store
from align.errors import RecipeError, UserError
from tests.test_pipeline import RECIPE, align


def test_a_comma_outside_brackets_and_quotes_makes_an_axis() -> None:
    overrides, axes = sweep.split_arguments(
        ["seed=3", "a.b=1,2,2", "a.targets=[q, v]", "a.lists=[1, 2],[3]", "a.text='x, y',z"]
    )
    assert overrides == ["seed=3", "a.targets=[q, v]"]
    assert [(a.key, a.values) for a in axes] == [
        ("a.b", ("1", "2")),
        ("a.lists", ("[1, 2]", "[3]")),
        ("a.text", ("'x, y'", "z")),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["stages.dpo.beta=0.1"], "nothing is varied"), (["a=1,2", "a=3,4"], "a is varied twice")],
)
def test_a_sweep_of_nothing_or_of_one_key_twice_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sweep.split_arguments(arguments)


def variants(folder: Path, *arguments: str) -> list[sweep.Variant]:
    (folder / "tiny.yaml").write_text(RECIPE)
    return sweep.variants(folder / "tiny.yaml", *sweep.split_arguments(list(arguments)))


def test_variants_share_every_step_that_no_axis_reaches(tmp_path: Path) -> None:
    made = variants(tmp_path, "stages.dpo.beta=0.1,0.3", "stages.sft.learning_rate=1e-3,2e-3,3e-3")
    assert [v.recipe.name for v in made] == [f"tiny-sweep-{n}" for n in range(1, 7)]
    steps, count = sweep.to_run([plans.make(v.recipe, Store(tmp_path / "store")) for v in made])
    kinds = [s.kind for s in steps]
    assert {k: kinds.count(k) for k in ("pretrain", "sft", "dpo", "measure", "compare")} == {
        "pretrain": 1, "sft": 3, "dpo": 6, "measure": 9, "compare": 6,
    }  # fmt: skip
    assert count == len(steps)


def test_a_wrong_value_is_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"stages\.dpo\.beta"):
        variants(tmp_path, "stages.dpo.beta=0.1,high")


def test_a_point_is_labelled_by_the_settings_that_reach_it(tmp_path: Path) -> None:
    made = variants(tmp_path, "stages.dpo.beta=0.1,0.3", "stages.sft.learning_rate=1e-3,2e-3")
    store = Store(tmp_path / "store")
    points = {}
    for variant in made:
        for step in plans.make(variant.recipe, store).steps.values():
            if step.kind == "measure":
                model = step.name.rpartition(".")[2]
                points.setdefault(step.key, sweep.Point(model, dict(variant.settings), step.key, variant))
    assert [p.label for p in sweep.labelled(points, made, store)] == [
        "sft learning_rate=1e-3",
        "sft learning_rate=2e-3",
        "dpo beta=0.1, learning_rate=1e-3",
        "dpo beta=0.1, learning_rate=2e-3",
        "dpo beta=0.3, learning_rate=1e-3",
        "dpo beta=0.3, learning_rate=2e-3",
    ]


def test_axes_that_end_alike_keep_their_stage() -> None:
    both = {"stages.sft.learning_rate": "1", "stages.dpo.learning_rate": "2", "seed": "0"}
    assert [sweep.short(k, both) for k in both] == ["sft.learning_rate", "dpo.learning_rate", "seed"]


@pytest.mark.slow
def test_a_sweep_makes_what_is_shared_once_tells_failures_and_ends_with_every_point(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    axes = ["stages.dpo.beta=0.1,0.3", "stages.dpo.learning_rate=1e-3,1e30"]  # the second rate does not stay finite
    done = align(tmp_path, "sweep", "tiny.yaml", *axes, "--json")
    assert done.returncode == 2 and "2 of 4 variants failed" in done.stderr and "Traceback" not in done.stderr
    told = json.loads(done.stdout.splitlines()[0])
    assert [bool(v["error"]) for v in told["variants"]] == [False, True, False, True]
    assert [(p["model"], p["settings"]) for p in told["points"]] == [
        ("sft", {}),
        ("dpo", {"stages.dpo.beta": "0.1"}),
        ("dpo", {"stages.dpo.beta": "0.3"}),
    ]
    assert all(value["n"] > 0 for point in told["points"] for value in point["values"])
    assert len(list((tmp_path / ".align").glob("sft-*"))) == 1


FRONTIER = "      frontier: {data: probes, against: sft, proxy: 'scorer:length', gold: stops, max_new_tokens: 8}\n"


@pytest.mark.slow
def test_a_frontier_holds_every_variant_and_best_of_n_under_one_harness(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE + FRONTIER)
    done = align(
        tmp_path, "sweep", "tiny.yaml", "stages.dpo.beta=0.1,0.3", "--best-of", "1,2,4", "--frontier", "--json"
    )
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout.splitlines()[0])["points"]
    assert [p["model"] for p in points] == ["sft", "dpo", "dpo"]
    told = {v["metric"] for v in points[0]["values"] if v["suite"] == "frontier" and v["slice"] == "all"}
    assert {"proxy", "gold", "kl", "best_of_4_proxy", "best_of_4_gold", "best_of_4_kl"} <= told
    drawing = (tmp_path / "tiny-frontier.svg").read_text()
    assert drawing.count("best of") == 1 + 2 * 3  # the legend, and three dots on each of two panels
    again = align(tmp_path, "sweep", "tiny.yaml", "stages.dpo.beta=0.1,0.3", "--best-of", "1,2,4", "--dry-run")
    assert "nothing to run" in again.stdout


def test_a_frontier_needs_its_suite(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    with pytest.raises(UserError, match="no frontier suite"):
        sweep.frontier_settings(tmp_path / "tiny.yaml", [], None)
