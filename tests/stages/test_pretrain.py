"""What pretrain learns, counts, refuses and writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from align.artifact.inputs import ModelInput
from align.models.load import load_model
from align.models.tokenizer import load_tokenizer
from align.specs import PretrainSpec
from align.stages import pretrain
from tests.tiny import SHAPE, Recorder, inputs, weights, write_rows


def test_pretraining_from_scratch_learns_its_texts(world: dict[str, Any], tmp_path: Path) -> None:
    """Every text is the same, so that after its first token each is certain: the loss falls towards 0."""
    rows = write_rows(tmp_path / "rows", "text", [{"text": "cat dog " * 8}] * 64)
    spec = PretrainSpec(
        kind="pretrain", data="d", architecture=SHAPE, learning_rate=2e-2, batch_size=4, max_length=64, max_steps=80,
        eval_data="d", seed=0,
    )  # fmt: skip
    recorder = Recorder()
    metrics = pretrain.run(spec, inputs(tmp_path, data=rows, eval_data=rows), tmp_path / "out", recorder)
    assert recorder.logged[0][1]["loss"] > 4 and metrics["eval_loss"] < 0.1
    assert metrics["documents"] == 64 and metrics["steps"] == 80
    assert "a new model of" in recorder.notes[0]
    tokenizer = load_tokenizer(tmp_path / "out" / "model")
    assert tokenizer.chat_template and tokenizer.pad_token == "<|pad|>"
    load_model(ModelInput("new", tmp_path / "out" / "model", ""))


def test_pretraining_is_the_same_twice_and_differs_by_seed(world: dict[str, Any], tmp_path: Path) -> None:
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        spec = PretrainSpec(
            kind="pretrain", data="d", architecture=SHAPE, tokenizer_data=["chats"], learning_rate=1e-3, batch_size=4,
            max_length=32, max_steps=2, seed=seed,
        )  # fmt: skip
        named = inputs(tmp_path, data=world["texts"], **{"tokenizer_data.0": world["chats"]})
        pretrain.run(spec, named, tmp_path / name, Recorder())
        made[name] = weights(tmp_path / name / "model")
    assert made["a"] == made["b"]
    assert made["a"]["model.safetensors"] != made["c"]["model.safetensors"]
    assert made["a"]["tokenizer.json"] == made["c"]["tokenizer.json"]


def test_long_texts_are_cut_into_chunks_and_none_is_lost(world: dict[str, Any], tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows", "text", [{"text": "red blue " * 60}])
    spec = PretrainSpec(
        kind="pretrain", data="d", model="base", learning_rate=1e-3, batch_size=1, max_length=32, epochs=1.0, seed=0
    )
    metrics = pretrain.run(spec, inputs(tmp_path, data=rows, model=world["base"]), tmp_path / "out", Recorder())
    tokens = len(load_tokenizer(world["base"])("red blue " * 60)["input_ids"]) + 1
    assert metrics["tokens"] == tokens and metrics["sequences"] == math.ceil(tokens / 32)
