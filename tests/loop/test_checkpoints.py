from pathlib import Path

import pytest

from align.loop import checkpoints


def write(root: Path, step: int, content: str = "weights") -> Path:
    staging = checkpoints.begin(root)
    (staging / "parameters.safetensors").write_text(content)
    return checkpoints.seal(staging, step)


def test_the_newest_whole_checkpoint_is_the_last_good_one(tmp_path: Path) -> None:
    write(tmp_path, 9)
    newest = write(tmp_path, 10)
    assert checkpoints.last_good(tmp_path) == newest
    assert checkpoints.last_good(tmp_path / "none") is None


@pytest.mark.parametrize("damage", ["bit", "shorter", "missing", "extra", "no manifest", "empty manifest"])
def test_a_damaged_checkpoint_is_deleted_and_the_one_before_it_used(tmp_path: Path, damage: str) -> None:
    older, newest = write(tmp_path, 5), write(tmp_path, 10)
    weights, manifest = newest / "parameters.safetensors", newest / checkpoints.MANIFEST
    {
        "bit": lambda: weights.write_text("weightt"),
        "shorter": lambda: weights.write_text("weight"),
        "missing": weights.unlink,
        "extra": lambda: (newest / "more").write_text(""),
        "no manifest": manifest.unlink,
        "empty manifest": lambda: manifest.write_text(""),
    }[damage]()
    assert checkpoints.last_good(tmp_path) == older
    assert not newest.exists()


def test_what_was_being_written_is_no_checkpoint(tmp_path: Path) -> None:
    (checkpoints.begin(tmp_path) / "parameters.safetensors").write_text("half")
    assert checkpoints.last_good(tmp_path) is None


def test_rotation_keeps_the_newest_two_and_the_best(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        write(tmp_path, step)
    checkpoints.rotate(tmp_path, best_step=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-10", "checkpoint-3"]
