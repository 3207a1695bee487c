"""Two runs and two models, with made-up measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align import versus
from align.errors import ArtifactError, UserError
from align.recipe import load
from tests.measuring import seal_reports, suite, write_recipe

SFT, DPO, OTHER = [0.1, 0.5, 0.4, 0.8], [0.3, 0.6, 0.7, 0.8], [0.0, 0.6, 0.9, 0.9]
CHANGED = "stages.dpo.beta=0.3"


def told(values: list[float], **facts: Any) -> dict[str, Any]:
    return {"probes": suite({"gold": values}, ["near", "near", "far", "far"], **facts)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that ran as written, and once more with another beta."""
    monkeypatch.chdir(tmp_path)
    path = write_recipe(tmp_path, [])
    said = {"sft": ["a", "b", "c", "d"], "dpo": ["a", "x", "y", "z"]}
    seal_reports(path, {"base": told(SFT), "sft": told(SFT), "dpo": told(DPO)}, said=said)
    seal_reports(
        load(path, [CHANGED]), {"base": told(SFT), "sft": told(SFT), "dpo": told(OTHER)},
        metrics={"dpo": {"loss": 1.1}}, said={"dpo": ["a", "x", "<script>", "z"]},
    )  # fmt: skip
    return tmp_path


def test_a_recipe_with_a_setting_changed_is_held_against_itself_as_written(here: Path) -> None:
    a, b = versus.open_sides("judged.yaml", [CHANGED])
    found = versus.differences(a, b)
    assert [s.name for s in found.steps] == ["dpo", "evaluate.dpo", "evaluate"]
    dpo = found.steps[0]
    assert dpo.settings == {"beta": (0.1, 0.3)} and dpo.metrics["loss"] == (1.5, 1.1) and not dpo.data
    assert [s.name for s in found.steps if s.cause] == ["dpo"]
    assert set(found.same) == {"chat", "pairs", "probes", "sft", "evaluate.base", "evaluate.sft"}


def test_differences_on_the_same_rows_are_paired_and_taken_b_less_a(here: Path) -> None:
    """OTHER - DPO = -.3, 0, .2, .1: mean 0; on the far half .2 and .1: mean .15, se = .05, t(1) = 12.7."""
    (pair,) = versus.measured_pairs(*versus.open_sides("judged.yaml", [CHANGED]))
    rows = {r.part: r.difference for r in pair.rows}
    assert pair.model == "dpo" and not pair.other_rows
    assert rows["all"] and rows["all"].value == pytest.approx(0)
    assert rows["far"] and rows["far"].value == pytest.approx(0.15)
    assert rows["far"].high == pytest.approx(0.15 + 12.706 * 0.05, abs=1e-3)


def test_two_models_are_compared_by_what_the_store_measured_of_them(here: Path) -> None:
    (pair,) = versus.measured_pairs(*versus.open_sides("judged:sft", ["judged:dpo"]))
    assert pair.model == "sft, dpo"
    found = next(r.difference for r in pair.rows if r.part == "all")
    assert found and found.value == pytest.approx(sum(OTHER) / 4 - sum(SFT) / 4)  # the last run's dpo


def test_other_rows_give_no_difference(here: Path) -> None:
    path = here / "judged.yaml"
    again = load(path, [CHANGED, "stages.dpo.epochs=3"])
    seal_reports(again, {"base": told(SFT), "sft": told(SFT), "dpo": told(DPO, data="tomorrow")})
    (pair,) = versus.measured_pairs(*versus.open_sides("judged.yaml", [CHANGED, "stages.dpo.epochs=3"]))
    assert pair.other_rows == ["probes"] and all(r.difference is None for r in pair.rows)


def test_data_that_differ_are_told_by_digest_and_rows(here: Path) -> None:
    (here / "chat.jsonl").write_text('{"messages": []}\n')
    own = "data.chat.source=chat.jsonl"
    seal_reports(load(here / "judged.yaml", [own]), {"base": {}, "sft": {}, "dpo": {}})
    found = versus.differences(*versus.open_sides("judged.yaml", [own]))
    before, after = found.steps[0].data["source"]
    assert found.steps[0].name == "chat" and "chat (" in before and "chat.jsonl (" in after


def test_the_answers_that_differ_most_are_read_from_both(here: Path) -> None:
    """Scores differ by -.3, 0, .2, .1; the first answer is the same in both, so the third stands first."""
    pairs = versus.measured_pairs(*versus.open_sides("judged.yaml", [CHANGED]))
    (most,) = versus.answers(pairs, 5)
    assert (most.prompt, most.a, most.b, most.metric, most.scores) == (
        "question 2",
        "y",
        "<script>",
        "gold",
        (0.7, 0.9),
    )
    assert versus.answers(pairs, 0) == []


def test_answers_edited_after_sealing_are_refused(here: Path) -> None:
    pairs = versus.measured_pairs(*versus.open_sides("judged.yaml", [CHANGED]))
    file = pairs[0].a.path / "rows-probes.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"0")
    with pytest.raises(ArtifactError, match="does not match the hash"):
        versus.answers(pairs, 3)


@pytest.mark.parametrize(
    ("first", "rest", "said"),
    [
        ("judged", ["judged", "judged"], "this is a third"),
        ("judged", [], "nothing to compare it with"),
        ("judged:sft", [CHANGED], "settings can only be given with a recipe's file"),
        ("judged", ["judgd"], "there is no such artifact or recipe"),
        ("judged.yaml", ["data.chat.source=quickstart:pairs", "data.pairs.limit=3", "data.probes.limit=2", "base=./model2"],
         "does not exist"),
    ],
)  # fmt: skip
def test_sides_that_cannot_be_compared_are_told(first: str, rest: list[str], said: str, here: Path) -> None:
    with pytest.raises(UserError, match=said):
        versus.open_sides(first, rest)


def test_a_run_that_is_not_there_says_how_to_make_it(here: Path) -> None:
    _, b = versus.open_sides("judged.yaml", ["stages.dpo.beta=0.7"])
    assert b.missing == ["dpo", "evaluate.dpo", "evaluate"]
    assert versus.measured_pairs(*versus.open_sides("judged.yaml", ["stages.dpo.beta=0.7"])) == []


def test_differences_are_corrected_for_all_of_them_slices_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve prompts all better: p = 2 / 2^12, of three differences; six of them in a slice: 2 / 2^6."""
    monkeypatch.chdir(tmp_path)
    slices = ["near"] * 6 + ["far"] * 6
    body = {m: {"probes": suite({"gold": [v + i for i in range(12)]}, slices)} for m, v in (("sft", 0.0), ("dpo", 0.5))}
    seal_reports(write_recipe(tmp_path, []), {"base": body["sft"], **body})
    (pair,) = versus.measured_pairs(*versus.open_sides("judged:sft", ["judged:dpo"]))
    found = {r.part: (r.p, r.p_holm, r.sure) for r in pair.rows}
    assert found["all"] == (2 / 2**12, pytest.approx(3 * 2 / 2**12), True)
    assert found["near"] == (2 / 2**6, pytest.approx(2 * 2 / 2**6), False)
