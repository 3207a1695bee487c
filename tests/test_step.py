from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from align import plan as plans
from align import recipe, step
from align.artifact.store import Store
from align.errors import ResourceError
from align.job import job_of
from align.tracking import Tracker

RECIPE = "name: r\ndata:\n  chat: {source: quickstart:chat, as: messages, limit: 20}\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def carry_out(store: Store, tmp_path: Path) -> object:
    (tmp_path / "r.yaml").write_text(RECIPE)
    plan = plans.make(recipe.load(tmp_path / "r.yaml"), store)
    job = job_of(plan, plan.steps["chat"], str(store.root))
    return step.carry_out(job, lambda folder: Tracker(folder, lambda event: None))


def test_too_little_disk_is_told_before_anything_is_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=10, f_frsize=1_000_000))
    with pytest.raises(ResourceError, match="10 MB are free where the store lies"):
        carry_out(store, tmp_path)
    assert not list(store.root.glob("prepare-*"))


def test_a_step_is_sealed_with_its_settings_code_and_versions(store: Store, tmp_path: Path) -> None:
    manifest = carry_out(store, tmp_path).manifest  # type: ignore[attr-defined]
    assert manifest.name == "r:chat" and manifest.rows == {"train": 20} and manifest.row_type == "messages"
    assert manifest.spec["limit"] == 20 and "source" not in manifest.spec
    assert manifest.parents["source"].source == "chat"
    assert manifest.code and "torch" in manifest.versions


def test_what_another_runner_sealed_meanwhile_is_taken_as_it_is(store: Store, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    plan = plans.make(recipe.load(tmp_path / "r.yaml"), store)
    job = job_of(plan, plan.steps["chat"], str(store.root))  # made when nothing was sealed yet
    first = carry_out(store, tmp_path)
    again = step.carry_out(job, lambda folder: pytest.fail("the stage ran twice"))
    assert again.path == first.path and again.manifest == first.manifest  # type: ignore[attr-defined]


def test_partial_results_of_another_job_are_never_gone_on_with(store: Store, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    plan = plans.make(recipe.load(tmp_path / "r.yaml"), store)
    partial = store.partial("prepare", plan.steps["chat"].key)
    (partial / "checkpoints" / "checkpoint-5").mkdir(parents=True)
    (partial / "job.json").write_text('{"key": "another"}')
    sealed = carry_out(store, tmp_path)
    assert not partial.exists() and not (sealed.path / "checkpoints").exists()  # type: ignore[attr-defined]
