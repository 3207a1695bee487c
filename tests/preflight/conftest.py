"""Recipes of a few rows, checked in this process; the base is made in the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from align import plan as plans
from align.artifact.store import Store
from align.findings import Finding
from align.job import job_of
from align.preflight import entries, service
from align.preflight.context import Context, Tell
from align.recipe import load
from tests.tiny import write_base


def write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "base"
    write_base(folder)
    return folder


def break_weights(folder: Path) -> None:
    """One weight of the last norm is no number."""
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def context_of(text: str, folder: Path, tell: Tell = lambda event: None) -> Context:
    """A recipe's text, its entries read as check reads them, and nothing tried yet."""
    Path("recipe.yaml").write_text(text)
    store = Store(folder / "store")
    plan = plans.make(load("recipe.yaml"), store)
    jobs = {name: job_of(plan, step, str(store.root)) for name, step in plan.steps.items()}
    context = Context("tiny", jobs, store, folder / "scratch", tell)
    entries.examine(context)
    return context


Checked = tuple[list[Finding], dict[str, Any]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Checked]:
    """Findings of a recipe's text, and what was told at the end."""
    monkeypatch.chdir(tmp_path)

    def checked(text: str, **more: Any) -> Checked:
        Path("recipe.yaml").write_text(text)
        recipe, store = load("recipe.yaml"), Store(tmp_path / "store")
        plan = plans.make(recipe, store)
        jobs = [job_of(plan, step, str(store.root)).to_json() for step in plan.steps.values()]
        events: list[dict[str, Any]] = []
        request = {
            "do": "check",
            "recipe": recipe.name,
            "jobs": jobs,
            "to_run": list(plan.steps),
            "store": str(store.root),
        }
        service.answer({**request, **more}, events.append)
        json.dumps(events)
        assert not list(store.root.glob("check-*")), "the trial's folder is still there"
        return [Finding(**e["finding"]) for e in events if e["event"] == "finding"], events[-1]

    return checked


def said(findings: list[Finding], words: str) -> Finding:
    """The one finding that says so."""
    found = [finding for finding in findings if words in finding.found]
    assert len(found) == 1, "\n".join(f"{f.state} {f.subject}: {f.found}" for f in findings)
    return found[0]
