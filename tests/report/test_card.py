from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from align.artifact.manifest import Manifest, Parent
from align.artifact.store import Sealed, Store
from align.errors import ArtifactError
from align.plan import Plan
from align.report import card
from tests.report.conftest import SAID, SCORES
from tests.report.finished import RECIPE, finish


def sealed(finished: tuple[Plan, Store], name: str) -> Sealed:
    plan, store = finished
    found = store.find(plan.steps[name].kind, plan.steps[name].key)
    assert found
    return found


def test_the_hub_reads_its_metadata_and_every_measured_number(finished: tuple[Plan, Store]) -> None:
    told = ModelCard(card.card(sealed(finished, "dpo"), finished[1])).data
    whole = told.to_dict()
    assert (whole["library_name"], whole["pipeline_tag"]) == ("transformers", "text-generation")
    assert told.tags == ["align", "pretrain", "sft", "dpo"] and told.base_model is None
    assert told.eval_results
    found = {r.metric_type: r.metric_value for r in told.eval_results}
    assert found["gold"] == pytest.approx(0.41) and told.eval_results[0].dataset_name == "probes"


def test_it_says_what_was_measured_learnt_from_and_is_not_known(finished: tuple[Plan, Store]) -> None:
    text = card.card(sealed(finished, "dpo"), finished[1])
    assert "Trained from random weights by pretrain, sft and dpo" in text
    assert "| probes | gold |  | 0.41 (" in text and "difference from sft" in text and "| far |" in text
    for name in ("pretrain", "sft", "dpo"):
        assert f"`{sealed(finished, name).manifest.digest[:12]}`" in text
    assert "| pairs | quickstart:pairs | preference | 120 | 117 | 3 |" in text
    assert "beta 0.1" in text and "torch 2.13.0" in text and "align run small.yaml" in text
    assert "licence was not stated" in text


def test_the_data_behind_a_mixture_is_told(tmp_path: Path) -> None:
    mixed = RECIPE.replace("  probes:", "  both: {mix: {chat: 0.8, more: 0.2}, as: messages}\n  probes:", 1)
    mixed = mixed.replace("  pairs:", "  more: {source: quickstart:chat, as: messages, limit: 9}\n  pairs:")
    made = finish(tmp_path, SAID, SCORES, mixed.replace("data: chat,", "data: both,"))
    text = card.card(sealed(made, "dpo"), made[1])
    assert "| small:sft | sft | both.train |" in text
    assert "| both | chat.train, more.train | messages |" in text
    assert "| more | quickstart:chat | messages | 120 | 117 | 3 |" in text


def test_a_checkpoint_that_nobody_measured_says_so(finished: tuple[Plan, Store]) -> None:
    text = card.card(sealed(finished, "pretrain"), finished[1])
    assert "It was not evaluated" in text and "## Results" not in text and "model-index" not in text


def test_a_measurement_of_other_weights_under_the_same_key_does_not_count(finished: tuple[Plan, Store]) -> None:
    rebuilt = sealed(finished, "dpo")
    rebuilt = replace(rebuilt, manifest=replace(rebuilt.manifest, digest="0" * 64))
    assert card.measured_of(rebuilt, finished[1]) == []


def test_base_and_data_sets_of_the_hub_are_named_and_folders_of_this_machine_are_not(
    finished: tuple[Plan, Store], tmp_path: Path
) -> None:
    base = Parent("d" * 64, "hub", source="org/base", revision="c" * 40)
    data = Parent("e" * 64, "hub", source="org/rows", revision="b" * 40)
    one = sealed(finished, "sft")
    rows = Sealed(tmp_path, replace(_of(finished, "chat"), parents={"source": data}))
    origin = card.Origin([one], {"rows": rows}, base)
    told = card.metadata(one, origin, [])
    assert told["base_model"] == "org/base" and told["datasets"] == ["org/rows"]
    folder = Parent("d" * 64, "folder", source=str(tmp_path / "secret" / "my-model"))
    assert card._source(folder) == "my-model" and "base_model" not in card.metadata(
        one, card.Origin([one], {}, folder), []
    )


def test_the_licence_is_the_one_that_the_base_folder_states(tmp_path: Path) -> None:
    base = Parent("d" * 64, "folder", source=str(tmp_path))
    assert card.license_of(base) is None
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Base\n")
    assert card.license_of(base) == "apache-2.0"
    (tmp_path / "README.md").write_text("---\n: [broken\n---\n")
    assert card.license_of(base) is None


def test_names_cannot_break_out_of_a_table() -> None:
    assert card._text("a|b\n<script> & c") == "a\\|b &lt;script> &amp; c"


def test_rows_have_no_model_card(finished: tuple[Plan, Store]) -> None:
    with pytest.raises(ArtifactError, match="holds no model"):
        card.card(sealed(finished, "chat"), finished[1])


def _of(finished: tuple[Plan, Store], name: str) -> Manifest:
    return sealed(finished, name).manifest
