"""What sft learns, counts, refuses and writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from align.artifact.inputs import ModelInput
from align.data.render import render_prompt
from align.errors import DataError, ModelError
from align.models.load import load_model
from align.models.tokenizer import load_tokenizer
from tests.tiny import Recorder
from tests.training import assert_two_processes_train_as_one, sft_run


def answer(model: Any, tokenizer: Any, question: str) -> str:
    ids = torch.tensor([render_prompt([{"role": "user", "content": question}], tokenizer)])
    found = model.generate(ids, max_new_tokens=12, do_sample=False)
    return tokenizer.decode(found[0, ids.shape[1] :])


def test_sft_learns_to_answer_and_to_stop(tuned: dict[str, Any]) -> None:
    """The answer is the first word of the question, twice."""
    assert tuned["metrics"]["eval_loss"] < 0.2
    model, tokenizer = load_model(tuned["sft"]), load_tokenizer(tuned["sft"])
    assert answer(model, tokenizer, "blue cat runs here").split("<|end|>")[0].split() == ["blue", "blue"]
    assert answer(model, tokenizer, "blue cat runs here").endswith("<|end|>")
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


def test_sft_metrics_are_whole(tuned: dict[str, Any]) -> None:
    metrics = tuned["metrics"]
    named = {"loss", "grad_norm", "eval_loss", "steps", "tokens", "tokens_per_second", "rows/truncated", "rows/dropped"}
    assert named <= metrics.keys() and all(math.isfinite(value) for value in metrics.values())
    assert metrics["rows/truncated"] == metrics["rows/dropped"] == 0


def test_packing_changes_the_batches_not_the_loss(world: dict[str, Any], tmp_path: Path) -> None:
    """At a learning rate near zero the evaluation is the mean over trained tokens, however they are batched."""
    told = []
    for number, more in enumerate(({"packing": True}, {"packing": False}, {"packing": False, "micro_batch_size": 1})):
        told.append(sft_run(world, tmp_path / str(number), learning_rate=1e-12, max_steps=1, **more))
    assert told[0]["sequences"] < told[1]["sequences"] == 300
    for metrics in told[1:]:
        assert metrics["eval_loss"] == pytest.approx(told[0]["eval_loss"], abs=1e-5)


def test_the_micro_batch_does_not_change_the_step(world: dict[str, Any], tmp_path: Path) -> None:
    told = [
        sft_run(world, tmp_path / str(size), max_steps=4, micro_batch_size=size, log_every=1)["loss"] for size in (8, 2)
    ]
    assert told[0] == pytest.approx(told[1], abs=1e-4)


def test_rows_over_max_length_are_counted_and_refused_above_the_budget(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"max_length 24 cuts \d+ and drops \d+ of 300 rows.*drop_budget"):
        sft_run(world, tmp_path, max_length=24)
    metrics = sft_run(world, tmp_path, max_length=24, drop_budget=1.0, max_steps=1)
    assert metrics["rows/truncated"] > 0 and metrics["rows/dropped"] > 0


def test_rows_of_another_type_are_refused(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"eval_data holds preference rows.*[Mm]essages rows"):
        sft_run(world | {"held": world["pairs"]}, tmp_path)


def test_a_trained_model_generates_with_a_cache(tuned: dict[str, Any]) -> None:
    model = load_model(tuned["sft"])
    assert model.config.use_cache and model.generation_config.use_cache is not False
    assert model.generation_config.eos_token_id == [load_tokenizer(tuned["sft"]).eos_token_id]


def test_a_context_that_is_too_short_is_refused(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reads 128 tokens at most"):
        sft_run(world, tmp_path, max_length=256)


def test_an_adapter_cannot_learn_new_tokens(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="which an adapter cannot learn"):
        sft_run(world, tmp_path, chat_template="chatml", lora={"r": 4})


def test_a_new_template_is_told_and_trained(world: dict[str, Any], tmp_path: Path) -> None:
    recorder = Recorder()
    sft_run(world, tmp_path, recorder, chat_template="chatml", max_steps=2)
    assert any("chatml" in note for note in recorder.notes) and any("grew by 2 rows" in note for note in recorder.notes)
    assert load_model(ModelInput("m", tmp_path / "model", "")).lm_head.weight.shape[0] == 302


@pytest.mark.slow
def test_two_processes_train_as_one(tuned: dict[str, Any], tmp_path: Path) -> None:
    assert_two_processes_train_as_one("sft", tuned, tmp_path)
