"""References and what is shown of artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from align import lineage
from align.artifact.store import Store
from align.errors import UserError
from align.plan import Plan
from tests.cli.conftest import Align


def test_an_artifact_is_found_by_step_recipe_file_part_key_and_folder(here: Path, sealed: Callable[..., Plan]) -> None:
    plan = sealed()
    key = plan.steps["sft"].key
    folder = f".align/sft-{key[:12]}"
    for given in ("small:sft", "small.yaml:sft", key, key[:6], f"sft-{key[:12]}", folder, f"{folder}/model"):
        assert lineage.resolve(given).sealed.manifest.key == key, given
    assert lineage.resolve("small:chat.train").part == "train"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("small:sfx", "Did you mean small:sft?"),
        ("smal:sft", "Did you mean small:sft?"),
        ("small:chat.holdot", "no part holdot"),
        ("ffffffff", "Recipes that ran here: small"),
        ("nowhere/at/all", "no such artifact"),
        ("small", "this is a recipe. Name one of its steps, such as small:dpo"),
        ("small.yaml", "this is a recipe. Name one of its steps, such as small.yaml:dpo"),
    ],
)
def test_a_wrong_reference_says_what_there_is(given: str, said: str, here: Path, sealed: Callable[..., Plan]) -> None:
    sealed()
    with pytest.raises(UserError) as caught:
        lineage.resolve(given)
    assert said in str(caught.value)


def test_a_recipe_that_never_ran_is_said_to_be_so(here: Path) -> None:
    with pytest.raises(UserError, match="has not run yet"):
        lineage.resolve("small.yaml:sft")


def test_an_ambiguous_key_lists_what_it_could_be(here: Path, sealed: Callable[..., Plan]) -> None:
    plan = sealed()
    keys = [s.key for s in plan.steps.values()]
    store = Store(Path(".align"))
    artifacts = lineage.artifacts(store)
    assert len(artifacts) == len(keys)
    twin = store.root / f"sft-{keys[0][:12]}"  # another kind whose key begins the same
    twin.mkdir()
    original = store.folder(plan.steps["chat"].kind, keys[0])
    (twin / "manifest.json").write_text((original / "manifest.json").read_text())
    with pytest.raises(UserError, match="2 artifacts begin so"):
        lineage.resolve(keys[0][:8])


def test_the_lineage_goes_down_to_the_sources_and_says_what_changed(
    here: Path, align: Align, sealed: Callable[..., Plan]
) -> None:
    sealed()
    told = align("show", "small:dpo")
    for name in ("small:dpo", "policy: small:sft", "model: small:pretrain", "source: quickstart:corpus"):
        assert name in told.out
    assert "rebuilt since" not in told.out and max(map(len, told.out.splitlines())) <= 80
    sealed("pretrain", content="other weights")
    assert "rebuilt since" in align("show", "small:dpo").out


def test_the_store_and_a_run_are_shown(here: Path, align: Align, sealed: Callable[..., Plan]) -> None:
    assert "no artifacts yet" in align("show").out
    sealed()
    told = align("show").out
    assert "6 artifacts" in told and "small" in told and "pretrain" in told
    for given in ("small", "small.yaml"):
        run = align("show", given).out
        assert "loss 1.5" in run and "align chat small:" in run
    unfinished = here / ".align" / "dpo-000000000000.partial" / "checkpoints"
    unfinished.mkdir(parents=True)
    (unfinished / "weights").write_bytes(bytes(2000))
    (here / ".align" / "sft-111111111111").mkdir()
    (here / ".align" / "sft-111111111111" / "manifest.json").write_text("{")
    assert "cannot be read: sft-111111111111" in align("show").out
    assert "dpo-000000000000.partial  2.0 kB" in align("show").out
