from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from align.artifact import crash, lock
from align.artifact.manifest import Manifest, verify
from align.artifact.store import Sealed, Store
from align.errors import ArtifactError, BusyError

KEY = "ab" * 32


def draft(**changes: object) -> Manifest:
    base = Manifest("sft", "r:sft", KEY, 1, {}, 0, {}, {}, "", started="2026-01-01T00:00:00Z")
    return replace(base, **changes)


def write_partial(store: Store, content: str = "weights") -> None:
    model = store.partial("sft", KEY) / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_text(content)
    (store.partial("sft", KEY) / "log.txt").write_text("at noon")


def build(store: Store, content: str = "weights") -> Sealed:
    write_partial(store, content)
    return store.seal(draft())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.root.mkdir()
    return store


def test_a_sealed_artifact_opens_with_the_same_manifest(store: Store) -> None:
    sealed = build(store)
    assert store.open("sft", KEY).manifest == sealed.manifest
    assert not store.partial("sft", KEY).exists()


def test_resume_state_is_left_behind_when_sealing(store: Store) -> None:
    write_partial(store)
    (store.partial("sft", KEY) / "checkpoints").mkdir()
    (store.partial("sft", KEY) / "job.json").write_text("{}")
    sealed = store.seal(draft())
    assert {p.name for p in sealed.path.iterdir()} == {"model", "log.txt", "manifest.json"}


def test_the_digest_covers_content_and_not_times(store: Store, tmp_path: Path) -> None:
    first = build(store)
    other = Store(tmp_path / "other")
    other.root.mkdir()
    write_partial(other)
    (other.partial("sft", KEY) / "log.txt").write_text("at midnight")
    assert other.seal(draft(started="2027-01-01T00:00:00Z")).manifest.digest == first.manifest.digest
    third = Store(tmp_path / "third")
    third.root.mkdir()
    assert build(third, "weightz").manifest.digest != first.manifest.digest


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda d: (d / "model" / "model.safetensors").write_text("weightz"), "does not match the hash"),
        (lambda d: (d / "model" / "model.safetensors").write_text("weight"), "does not match the hash"),
        (lambda d: (d / "model" / "model.safetensors").unlink(), "missing"),
        (lambda d: (d / "model" / "extra.bin").write_text("x"), "does not belong"),
        (lambda d: (d / "model" / "extra").symlink_to("/etc/passwd"), "link"),
        (lambda d: (d / "manifest.json").write_text("{"), "cannot be read"),
        (lambda d: (d / "manifest.json").write_text(""), "cannot be read"),
        (lambda d: (d / "manifest.json").write_text((d / "manifest.json").read_text().replace('"size": 7', '"size": 8')), "hash"),
    ],
)  # fmt: skip
def test_a_harmed_artifact_is_refused_by_name(store: Store, harm: object, told: str) -> None:
    harm(build(store).path)  # type: ignore[operator]
    with pytest.raises(ArtifactError, match=told):
        store.open("sft", KEY)


def _seal_and_die(root: Path, point: str, content: str) -> None:
    os.environ[crash.VARIABLE] = point
    build(Store(root), content)


@pytest.mark.parametrize("point", ["before-manifest", "before-rename", "between-renames", "after-rename"])
def test_a_kill_while_replacing_leaves_the_old_or_the_new_whole(store: Store, point: str) -> None:
    old = build(store)
    child = multiprocessing.get_context("fork").Process(target=_seal_and_die, args=(store.root, point, "newer"))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    found = store.open("sft", KEY)
    assert (found.manifest.digest == old.manifest.digest) == (point != "after-rename")
    verify(found.path, found.manifest)


def test_a_kill_at_the_first_sealing_leaves_nothing_sealed(store: Store) -> None:
    child = multiprocessing.get_context("fork").Process(target=_seal_and_die, args=(store.root, "before-rename", "x"))
    child.start()
    child.join()
    assert store.find("sft", KEY) is None


def _hold(path: Path, ready: object, go: object) -> None:
    with lock.held(path, "sft"):
        ready.set()  # type: ignore[attr-defined]
        go.wait()  # type: ignore[attr-defined]


def test_a_second_holder_is_refused_and_a_dead_one_is_forgotten(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    ready, go = context.Event(), context.Event()
    child = context.Process(target=_hold, args=(store.lock(KEY), ready, go))
    child.start()
    ready.wait(10)
    with pytest.raises(BusyError, match=f"process {child.pid}"), lock.held(store.lock(KEY), "sft"):
        pass
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    with lock.held(store.lock(KEY), "sft"):
        pass


@pytest.mark.parametrize("torn", ["", "{", "[1, 2]", "\x00\x00"])
def test_a_torn_lock_file_does_not_block(store: Store, torn: str) -> None:
    store.lock(KEY).parent.mkdir()
    store.lock(KEY).write_text(torn)
    with lock.held(store.lock(KEY), "sft"):
        pass
