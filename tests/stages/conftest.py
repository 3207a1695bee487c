"""One tiny base and one tuned model for all tests of stages."""

from __future__ import annotations

from typing import Any

import pytest

from align.artifact.inputs import ModelInput
from tests.tiny import chats, pairs, texts, write_base, write_rows
from tests.training import sft_run


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("world")
    return {
        "base": write_base(folder / "base"),
        "texts": write_rows(folder / "texts", "text", texts(200)),
        "chats": write_rows(folder / "chats", "messages", chats(300)),
        "held": write_rows(folder / "held", "messages", chats(40, seed=1)),
        "pairs": write_rows(folder / "pairs", "preference", pairs(96)),
        "held pairs": write_rows(folder / "held-pairs", "preference", pairs(40, seed=1)),
    }


@pytest.fixture(scope="session")
def tuned(world: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The base after sft, and the metrics of that."""
    out = tmp_path_factory.mktemp("tuned")
    metrics = sft_run(world, out, epochs=16.0)
    return world | {"sft": ModelInput("sft", out / "model", "sft digest"), "metrics": metrics, "out": out}
