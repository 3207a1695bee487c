"""What stands on a LoRA adapter and trains in full, which must be no other than on the same weights in one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model

from align.artifact.inputs import ModelInput
from align.models.load import load_model, save_model
from align.models.lora import lora_config
from align.models.tokenizer import load_tokenizer
from align.specs.training import LoRA
from tests import tiny, training
from tests.stages import test_ppo, test_reward

Run = Callable[[dict[str, Any], ModelInput, Path], object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("world")
    return {
        "base": tiny.write_base(folder / "base"),
        "pairs": tiny.write_rows(folder / "pairs", "preference", tiny.pairs(32)),
        "held pairs": tiny.write_rows(folder / "held", "preference", tiny.pairs(16, seed=1)),
        "chats": tiny.write_rows(folder / "chats", "messages", tiny.chats(32)),
    }


def sft(world: dict[str, Any], model: ModelInput, out: Path) -> None:
    training.sft_run(world | {"base": model, "held": world["chats"]}, out, max_steps=2)


def dpo(world: dict[str, Any], model: ModelInput, out: Path) -> None:
    training.dpo_run(world | {"sft": model}, out, max_steps=2)


def reward(world: dict[str, Any], model: ModelInput, out: Path) -> None:
    test_reward.run(world | {"base": model, "held": world["held pairs"]}, out, max_steps=2)


def ppo(world: dict[str, Any], model: ModelInput, out: Path) -> None:
    changed = {**test_ppo.SHORT, "episodes": 16, "reward": "scorer:length", "learning_rate": 1e-3}
    test_ppo.run(out, model, world["chats"], **changed)


@pytest.mark.parametrize("run", [sft, dpo, reward, ppo])
def test_a_stage_in_full_on_an_adapter_trains_what_it_would_on_the_merged_model(
    world: dict[str, Any], tmp_path: Path, run: Run
) -> None:
    torch.manual_seed(3)
    tuned, tokenizer = (
        get_peft_model(load_model(world["base"]), lora_config(LoRA.model_validate({"r": 2}))),
        load_tokenizer(world["base"]),
    )
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    save_model(tuned, tokenizer, tmp_path / "adapter", world["base"].digest)
    adapter = ModelInput("adapter", tmp_path / "adapter", "a", world["base"])
    merged = load_model(adapter)
    save_model(merged, tokenizer, tmp_path / "merged")
    for name, model in (("apart", adapter), ("whole", ModelInput("merged", tmp_path / "merged", "m"))):
        run(world, model, tmp_path / name)
    found = [tiny.weights(tmp_path / name / "model")["model.safetensors"] for name in ("apart", "whole")]
    assert found[0] == found[1]
