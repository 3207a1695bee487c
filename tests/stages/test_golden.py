"""The first losses of each training stage, pinned to its version: numbers that change demand a raised `version`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align.specs import DpoSpec, PretrainSpec, SftSpec
from align.stages import pretrain
from tests.tiny import SHAPE, Recorder, inputs
from tests.training import dpo_run, sft_run

GOLDEN = {
    ("pretrain", 1): [5.679184, 5.678557, 5.347368],
    ("sft", 1): [5.661168, 5.609083, 5.258675],
    ("dpo", 2): [0.693147, 0.693147, 0.661875],
}


def losses(recorder: Recorder) -> list[float]:
    return [metrics["loss"] for _, metrics in recorder.logged if "loss" in metrics][:3]


def test_pretrain_begins_with_the_numbers_of_its_version(world: dict[str, Any], tmp_path: Path) -> None:
    spec = PretrainSpec(
        kind="pretrain", data="d", architecture=SHAPE, learning_rate=1e-2, max_steps=3, batch_size=8, max_length=64,
        log_every=1, seed=0,
    )  # fmt: skip
    recorder = Recorder()
    pretrain.run(spec, inputs(tmp_path, data=world["texts"]), tmp_path, recorder)
    assert losses(recorder) == pytest.approx(GOLDEN["pretrain", PretrainSpec.version], rel=1e-4)


def test_sft_begins_with_the_numbers_of_its_version(world: dict[str, Any], tmp_path: Path) -> None:
    recorder = Recorder()
    sft_run(world, tmp_path, recorder, max_steps=3, log_every=1)
    assert losses(recorder) == pytest.approx(GOLDEN["sft", SftSpec.version], rel=1e-4)


def test_dpo_begins_with_the_numbers_of_its_version(world: dict[str, Any], tmp_path: Path) -> None:
    recorder = Recorder()
    dpo_run(world | {"sft": world["base"]}, tmp_path, recorder, max_steps=3)
    assert losses(recorder) == pytest.approx(GOLDEN["dpo", DpoSpec.version], rel=1e-4)
