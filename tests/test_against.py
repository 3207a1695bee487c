"""`against:` in a recipe: typed edges, part of the key, and a leak that does not reach training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align import plan as plans
from align import recipe
from align.artifact.store import Store
from align.errors import RecipeError
from align.plan import Plan
from tests.data.leakage.test_scan import BRIDGE, chat, lines, prompts
from tests.sealing import seal_step
from tests.test_pipeline import align

RECIPE = """\
name: leaks
data:
  chat:  {source: chat.jsonl, as: messages, against: [pairs.holdout, exam]}
  pairs: {source: quickstart:pairs, as: preference, limit: 60, holdout: 0.3}
  exam:  {source: exam.jsonl, as: prompt}
  other: {source: other.jsonl, as: prompt}
  corpus: {source: quickstart:corpus, as: text, limit: 20}
stages:
  pretrain: {kind: pretrain, data: corpus, learning_rate: 1e-3, architecture: {layers: 1, width: 16, heads: 2, vocab_size: 300}}
store: store
"""


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "leaks.yaml").write_text(RECIPE)
    write(tmp_path / "chat.jsonl", [chat(text, "well") for text in [*prompts(20), f"My exam says: {BRIDGE}"]])
    write(tmp_path / "exam.jsonl", [{"prompt": "Name a fruit."}, {"prompt": BRIDGE}])
    write(tmp_path / "other.jsonl", [{"prompt": "Name a river."}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(home: Path, *overrides: str) -> Plan:
    return plans.make(recipe.load(home / "leaks.yaml", list(overrides)), Store(home / "store"))


def sealed(home: Path, *overrides: str) -> Plan:
    plan = make(home, *overrides)
    for name in ("pairs", "exam", "other", "chat"):
        seal_step(Store(home / "store"), plan, name)
    return make(home, *overrides)


def test_against_draws_edges_and_orders_the_steps(home: Path) -> None:
    plan = make(home)
    edges = plan.steps["chat"].edges
    assert {name: (edge.step, edge.part) for name, edge in edges.items() if edge.step} == {
        "against.0": ("pairs", "holdout"),
        "against.1": ("exam", "train"),
    }
    order = list(plan.steps)
    assert order.index("chat") > max(order.index("pairs"), order.index("exam"))


def test_a_changed_reference_reruns_the_step_with_that_reason(home: Path) -> None:
    assert sealed(home).steps["chat"].action == "reuse"
    write(home / "exam.jsonl", [{"prompt": "Name a tree."}])
    plan = make(home)
    assert plan.steps["exam"].reason == "exam.jsonl changed"
    assert plan.steps["chat"].reason == "input exam changed"
    assert plan.steps["pairs"].action == "reuse"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("data.chat.against=[pairs.holdout, exam, other]", "input other is new"),
        ("data.chat.against=[pairs.holdout]", "input against.1 is gone"),
        ("data.chat.against=[pairs.train, exam]", "input pairs changed"),
        ("data.chat.leaks=keep", "leaks quarantine -> keep"),
    ],
)
def test_another_against_reruns_the_step_with_that_reason(home: Path, override: str, reason: str) -> None:
    sealed(home)
    assert make(home, override).steps["chat"].reason == reason


@pytest.mark.parametrize(
    ("override", "key", "told"),
    [
        ("data.chat.against=[exams]", "data.chat.against.0", "Did you mean exam?"),
        ("data.chat.against=[exam.holdout]", "data.chat.against.0", "exam has no part holdout"),
        ("data.chat.against=[pretrain]", "data.chat.against.0", "pretrain gives a model, expected"),
        ("data.exam.against=[chat]", "data.chat", "a circle: chat -> exam -> chat"),
        ("data.pairs.against=[pairs.holdout]", "data.chat", "a circle: pairs -> pairs"),
    ],
)
def test_what_cannot_be_held_against_is_told_with_its_line(home: Path, override: str, key: str, told: str) -> None:
    with pytest.raises(RecipeError) as refused:
        make(home, override)
    (problem,) = refused.value.problems
    assert problem.key == key and told in problem.message


def test_a_planted_leak_is_quarantined_by_a_run_and_another_reference_runs_it_again(home: Path) -> None:
    first = align(home, "run", "leaks.yaml", "--only", "pairs", "--only", "exam", "--only", "other", "--only", "chat")
    assert first.returncode == 0, first.stderr + first.stdout
    store = Store(home / "store")

    def artifact() -> Any:
        kind, _, key = store.last_keys("leaks")["chat"].partition("-")
        return store.open(kind, key)

    held = artifact()
    assert held.manifest.metrics["leakage/rows"] == held.manifest.metrics["leakage/exam/ngram"] == 1
    assert held.manifest.rows == {"train": 20} and "quarantine.jsonl" in held.manifest.files
    (evidence,) = lines(held.path)
    assert evidence["question"] == BRIDGE and evidence["values"]["messages"][0]["content"].endswith(BRIDGE)
    assert any("quarantined 1 of 21 rows" in note for note in held.manifest.notes)

    reason = make(home, "data.chat.against=[other]").steps["chat"].reason
    assert reason == "input other changed, input against.1 is gone"
    again = align(home, "run", "leaks.yaml", "--only", "chat", "data.chat.against=[other]")
    assert again.returncode == 0, again.stderr
    assert artifact().manifest.rows == {"train": 21} and artifact().manifest.metrics["leakage/rows"] == 0

    refused = align(home, "run", "leaks.yaml", "--only", "chat", "data.chat.leaks=refuse")
    assert (
        refused.returncode == 2 and "1 rows repeat questions of pairs.holdout, exam, such as row 21" in refused.stderr
    )
    assert "Traceback" not in refused.stderr
