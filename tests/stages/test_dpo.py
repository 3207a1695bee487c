"""What dpo learns, counts, refuses and writes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from align.artifact.inputs import ModelInput
from align.data.comparisons import Judged, pairs_of
from align.errors import TrainingError
from align.models.load import load_model, save_model
from align.models.tokenizer import load_tokenizer
from align.stages import dpo, sft
from tests.tiny import Recorder, rankings, weights, write_rows
from tests.training import assert_two_processes_train_as_one, dpo_run, sft_run


def test_dpo_learns_a_planted_preference(tuned: dict[str, Any], tmp_path: Path) -> None:
    """`warm` is always preferred to `cold`; chance is one half, 40 held-out pairs, so that .9 is five standard errors off."""
    recorder = Recorder()
    metrics = dpo_run(tuned, tmp_path, recorder)
    first = recorder.logged[0][1]
    assert first["rewards/margins"] == 0 and first["loss"] == pytest.approx(math.log(2), abs=1e-7)
    assert metrics["eval_rewards/accuracies"] >= 0.9 and metrics["loss"] < 0.6
    assert {"rewards/chosen", "rewards/margins", "logps/chosen", "eval_loss", "grad_norm"} <= metrics.keys()


def test_dpo_evaluation_weighs_every_pair_the_same(tuned: dict[str, Any], tmp_path: Path) -> None:
    """40 pairs in batches of 12 end with one of 4."""
    told = [
        dpo_run(tuned, tmp_path / str(size), batch_size=24, max_steps=3, micro_batch_size=size)["eval_rewards/margins"]
        for size in (12, 8)
    ]
    assert told[0] == pytest.approx(told[1], abs=1e-6)


def test_reference_logprobs_computed_once_are_those_computed_each_time(tuned: dict[str, Any], tmp_path: Path) -> None:
    settings = {"micro_batch_size": 8, "learning_rate": 1e-4}
    cached = dpo_run(tuned, tmp_path / "cached", epochs=2.0, **settings)
    (file,) = [p for p in (tmp_path / "cached" / "cache").rglob("*.safetensors") if p.stat().st_size > 500][:1]
    again = dpo_run(tuned, tmp_path / "cached", epochs=2.0, beta=0.1, **settings)
    assert again["eval_rewards/margins"] == cached["eval_rewards/margins"]
    import align.stages.dpo as stage

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "precompute", lambda *_: None)
        live = dpo_run(tuned, tmp_path / "live", epochs=2.0, **settings)
    assert file.is_file() and not (tmp_path / "live" / "cache").exists()
    assert cached["eval_rewards/margins"] == pytest.approx(live["eval_rewards/margins"], abs=1e-4)


@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_a_reference_that_is_not_the_policy_is_refused(
    tuned: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora: Any
) -> None:
    if lora is None:
        monkeypatch.setattr(dpo, "load_model", lambda source, *_: load_model(tuned["base"]))
    else:
        begun = dpo.dpo_loop

        def with_a_trained_adapter(*arguments: Any) -> Any:
            loop = begun(*arguments)
            for name, parameter in loop.model.named_parameters():
                if "lora_B" in name:
                    parameter.data.fill_(0.01)
            return loop

        monkeypatch.setattr(dpo, "dpo_loop", with_a_trained_adapter)
    with pytest.raises(TrainingError, match="the reference is not the policy"):
        dpo_run(tuned, tmp_path, lora=lora)


def test_dropout_is_off_in_dpo(tuned: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "dropping"
    model = load_model(tuned["sft"])
    model.config.attention_dropout = 0.5
    save_model(model, load_tokenizer(tuned["sft"]), folder)
    assert json.loads((folder / "config.json").read_text())["attention_dropout"] == 0.5
    recorder = Recorder()
    dpo_run(tuned | {"sft": ModelInput("dropping", folder, "d")}, tmp_path / "out", recorder, max_steps=1)
    assert recorder.logged[0][1]["rewards/margins"] == 0
    assert json.loads((tmp_path / "out" / "model" / "config.json").read_text())["attention_dropout"] == 0.5


def test_an_adapter_chain_reloads_to_the_trained_model(world: dict[str, Any], tmp_path: Path) -> None:
    """sft with an adapter, dpo with one on top: each artifact loads to the model that was trained, base and all."""
    ids = torch.tensor([[10, 20, 30, 40]])
    trained: dict[str, Any] = {}

    def keep(name: str, stage: Any, run: Any) -> None:
        begun = stage.save_model

        def and_keep(model: Any, *rest: Any) -> None:
            model.eval().set_attn_implementation("sdpa")
            trained[name] = model(ids).logits.detach()
            begun(model, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage, "save_model", and_keep)
            run()

    keep("sft", sft, lambda: sft_run(world, tmp_path / "sft", lora={"r": 4}, max_steps=6))
    first = ModelInput("sft", tmp_path / "sft" / "model", "sft", world["base"])
    keep("dpo", dpo, lambda: dpo_run(world | {"sft": first}, tmp_path / "dpo", lora={"r": 4}))
    second = ModelInput("dpo", tmp_path / "dpo" / "model", "dpo", first)
    for name, source in (("sft", first), ("dpo", second)):
        with torch.no_grad():
            assert torch.allclose(load_model(source)(ids).logits, trained[name], atol=1e-5), name
    base = load_model(world["base"])(ids).logits
    assert (trained["sft"] - base).abs().max() > 0.1 and (trained["dpo"] - trained["sft"]).abs().max() > 0.01


def test_the_input_is_never_written_to(tuned: dict[str, Any], tmp_path: Path) -> None:
    before = weights(tuned["sft"].path)
    dpo_run(tuned, tmp_path, max_steps=1)
    assert weights(tuned["sft"].path) == before


@pytest.mark.slow
def test_two_processes_train_as_one(tuned: dict[str, Any], tmp_path: Path) -> None:
    assert_two_processes_train_as_one("dpo", tuned, tmp_path)


@pytest.mark.slow
def test_two_processes_train_on_rankings_as_one(tuned: dict[str, Any], tmp_path: Path) -> None:
    """In batches of 8 at most whose pairs two processes share unequally, and sometimes leave one with none."""
    rows = [
        pair
        for row in rankings(40)
        for pair in pairs_of(Judged(row["prompt"], row["completions"], [-rank for rank in row["ranks"]])).rows
    ]
    ranked = tuned | {"pairs": write_rows(tmp_path / "ranked", "preference", rows)}
    assert_two_processes_train_as_one("dpo", ranked, tmp_path, micro_batch_size=1)
