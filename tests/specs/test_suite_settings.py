"""The settings of suites: each kind has its own, and a mistake is told where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from align import plan as plans
from align import recipe
from align.artifact.store import Store
from align.errors import RecipeError
from align.specs import CompareSpec
from align.specs.suites import SUITES

RECIPE = """\
name: small
base: ./base
data:
  probes: {source: quickstart:probes, as: prompt}
  chat: {source: quickstart:chat, as: messages}
  pairs: {source: quickstart:pairs, as: preference, holdout: 0.1}
stages:
  sft: {kind: sft, model: base, data: chat, learning_rate: 1e-3, max_steps: 1}
  hidden: {kind: sft, model: sft, data: chat, learning_rate: 1e-3, max_steps: 1}
  dpo: {kind: dpo, policy: hidden, data: pairs, learning_rate: 1e-3, max_steps: 1}
  evaluate:
    kind: evaluate
    models: [base, sft, dpo]
    suites:
      kl: {data: probes, against: sft, max_new_tokens: 8}
      shape: {kind: format, data: probes, structure: list}
"""


def problems(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        recipe.load(path)
    return {p.key: p.message for p in caught.value.problems}


def test_models_know_the_evaluated_one_they_grew_from_past_those_that_are_not(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    joined = recipe.load(tmp_path / "r.yaml").steps()["evaluate"]
    assert isinstance(joined, CompareSpec)
    assert joined.parents == {"sft": "base", "dpo": "sft"}


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("structure: list", "structur: list", "stages.evaluate.suites.shape.structur", "Did you mean structure?"),
        ("structure: list", "structure: yaml", "stages.evaluate.suites.shape.structure", "'json', 'list' or 'tags'"),
        ("structure: list", "pattern: '('", "stages.evaluate.suites.shape.pattern", "no regular expression"),
        ("against: sft, ", "", "stages.evaluate.suites.kl.against", "is missing"),
        ("kind: format, ", "", "stages.evaluate.suites.shape.kind", "is missing"),
        ("kind: format", "kind: fromat", "stages.evaluate.suites.shape.kind", "Did you mean format?"),
        ("max_new_tokens: 8", "scorers: [stops]", "stages.evaluate.suites.kl.scorers", "unknown key"),
        (
            "kl: {data: probes, against: sft, max_new_tokens: 8}",
            "preference: {data: probes, against: sft}",
            "stages.evaluate.suites.preference.data",
            "probes holds prompt rows, expected preference rows",
        ),
        (
            "{kind: format,",
            "{kind: format, temprature: 1,",
            "stages.evaluate.suites.shape.temprature",
            "mean temperature",
        ),
        ("structure: list", "structure: lists", "stages.evaluate.suites.shape.structure", "Did you mean list?"),
        ("suites:", "chat_template: chatlm\n    suites:", "stages.evaluate.chat_template", "Did you mean chatml?"),
        (
            "kind: format",
            "kind: health, against: sft, gold: legnth",
            "stages.evaluate.suites.shape.gold",
            "mean length?",
        ),
        (
            "kind: format",
            "kind: health, against: sft, proxy: 'scorer:legnth'",
            "stages.evaluate.suites.shape.proxy",
            "Did you mean scorer:length?",
        ),
        ("against: sft", "against: pairs", "stages.evaluate.suites.kl.against", "pairs gives rows, expected a model"),
    ],
)
def test_a_mistake_in_a_suite_is_told_at_its_place(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    assert old in RECIPE
    assert said in problems(tmp_path, RECIPE.replace(old, new))[key]


OPEN = ("generation", "benchmark")  # their scorers and tasks name the metrics


def test_every_kind_of_suite_says_which_way_its_metrics_are_better() -> None:
    for kind, suite in SUITES.items():
        assert suite.model_fields["kind"].default == kind
        assert set(suite.metrics.values()) <= {"higher", "lower", None} and (suite.metrics or kind in OPEN)
        assert suite.__doc__


def test_models_from_elsewhere_are_measured_beside_those_of_the_recipe(tmp_path: Path) -> None:
    for name in ("base", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    text = RECIPE.replace(
        "base: ./base", f"base: {tmp_path}/base\nmodels: {{theirs: {tmp_path}/theirs, hub: org/model}}"
    )
    (tmp_path / "r.yaml").write_text(text.replace("models: [base, sft, dpo]", "models: [base, theirs, hub, dpo]"))
    plan = plans.make(recipe.load(tmp_path / "r.yaml"), Store(tmp_path / "store"))
    theirs, hub = (plan.steps[f"evaluate.{name}"].edges["model"].source for name in ("theirs", "hub"))
    assert theirs and theirs.kind == "folder" and theirs.location == f"{tmp_path}/theirs"
    assert hub and (hub.kind, hub.location, hub.digest) == ("hub", "org/model", "")  # pinned at first run
    assert plan.steps["evaluate.theirs"].key != plan.steps["evaluate.base"].key
    taken = problems(tmp_path, text.replace("{theirs:", "{sft: x, theirs:"))
    assert taken["models.sft"] == "the name sft is taken"
    wrong = problems(tmp_path, text.replace("models: [base, sft, dpo]", "models: [base, their]"))
    assert "Did you mean theirs?" in wrong["stages.evaluate.models.1"]
