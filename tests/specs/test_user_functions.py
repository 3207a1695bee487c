"""A person's own scorer in an evaluate stage: where it may be named, how it is checked, and what enters the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from align import plan as plans
from align.artifact.store import Store
from align.errors import RecipeError
from align.recipe import load
from align.specs.evaluate import MeasureSpec
from align.specs.suites import GenerationSuite, HealthSuite
from tests.measuring import seal_reports, write_recipe

USED: dict[str, dict[str, Any]] = {
    "generation": {"scorers": ["stops", "FILE"]},
    "transfer": {"scorer": "FILE"},
    "health": {"against": "sft", "proxy": "FILE", "gold": "FILE"},
    "frontier": {"against": "sft", "proxy": "FILE", "gold": "FILE"},
    "preference": {"against": "sft", "by": "FILE", "gold": "FILE"},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewards.py").write_text("def score(prompt, completion):\n    return 1.0\n")
    return tmp_path


def measure(file: str, **runtime: Any) -> MeasureSpec:
    def put(value: Any) -> Any:
        return [put(each) for each in value] if isinstance(value, list) else file if value == "FILE" else value

    suites = {kind: {"data": "d", **{k: put(v) for k, v in told.items()}} for kind, told in USED.items()}
    return MeasureSpec.model_validate({"model": "dpo", "suites": suites, **runtime})


def test_a_file_is_no_stage_and_its_metric_is_named_as_its_function(here: Path) -> None:
    spec = measure("file:rewards.py:score")
    assert {name for name, _ in spec.references().values()} == {"dpo", "d", "sft"}
    assert spec.suites["generation"].measures() == ("stops", "score")


def test_it_counts_by_what_it_says_wherever_a_suite_names_it(here: Path) -> None:
    before = measure("file:rewards.py:score")
    (here / "moved.py").write_bytes((here / "rewards.py").read_bytes())
    assert measure("file:moved.py:score", scorer_timeout=5.0).identity() == before.identity()
    (here / "moved.py").write_text("def score(prompt, completion):\n    return 2.0\n")
    after, told = measure("file:moved.py:score").identity(), before.identity()
    assert {path for path, value in after.items() if value != told[path]} == {
        f"suites.{suite}.{field}"
        for suite, settings in USED.items()
        for field, value in settings.items()
        if "FILE" in value
    }
    assert "moved.py" not in str(after)


def test_what_cannot_be_a_scorer_is_refused(here: Path) -> None:
    (here / "broken.py").write_text("def score(prompt, completion):\nreturn 1.0\n")
    (here / "other.py").write_text("def score(prompt, completion):\n    return 2.0\n")
    for name, said in (
        ("file:rewards.py:scor", r"has no function scor\. Did you mean score\?"),
        ("file:broken.py:score", "broken.py, line 2: "),
        ("file:nowhere.py:score", "there is no file"),
        ("stop", r"stop is no scorer\. Did you mean stops\?"),
    ):
        with pytest.raises(ValidationError, match=said):
            HealthSuite(data="d", against="sft", gold=name)
    with pytest.raises(ValidationError, match=r"file:rewards\.py:score and file:other\.py:score both tell score"):
        GenerationSuite(data="d", scorers=["file:rewards.py:score", "file:other.py:score"])


def test_a_changed_file_measures_again_and_the_plan_says_so(here: Path) -> None:
    path, named = write_recipe(here, []), "stages.evaluate.suites.probes.scorers=[stops, 'file:rewards.py:score']"
    recipe = load(path, [named])
    seal_reports(recipe, {})
    store = Store(here / ".align")
    assert not plans.make(recipe, store).to_run()
    (here / "rewards.py").write_text("def score(prompt, completion):\n    return 2.0\n")
    changed = plans.make(load(path, [named]), store)
    assert {s for s in changed.steps if changed.steps[s].action == "run"} == {
        "evaluate", "evaluate.base", "evaluate.sft", "evaluate.dpo",
    }  # fmt: skip
    assert "scorers" in str(changed.steps["evaluate.sft"].reason)
    (here / "rewards.py").write_text("def score(prompt, completion)\n    return 2.0\n")
    with pytest.raises(RecipeError, match=r"suites\.probes\.scorers\.1 +rewards\.py, line 1: "):
        load(path, [named])
