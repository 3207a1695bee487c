"""What pretrain, sft and dpo learn, count, refuse and write."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from align.artifact.inputs import ModelInput
from align.data.render import render_prompt
from align.errors import DataError, ModelError, TrainingError
from align.models.load import load_model, save_model
from align.models.tokenizer import load_tokenizer
from align.specs import DpoSpec, PretrainSpec, SftSpec
from align.stages import dpo, pretrain, sft
from tests.tiny import SHAPE, Recorder, chats, inputs, pairs, texts, weights, write_base, write_rows


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def tuned(world: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The base after sft, and the metrics of that."""
    out = tmp_path_factory.mktemp("tuned")
    metrics = sft_run(world, out, epochs=16.0)
    return world | {"sft": ModelInput("sft", out / "model", "sft digest"), "metrics": metrics, "out": out}


def sft_run(world: dict[str, Any], out: Path, tracker: Any = None, **more: Any) -> dict[str, float]:
    settings: dict[str, Any] = {
        "learning_rate": 1e-2, "batch_size": 8, "max_length": 64, "seed": 0, "eval_data": "held", "drop_budget": 0.0,
    }  # fmt: skip
    spec = SftSpec(kind="sft", model="base", data="chats", **(settings | more))
    named = inputs(out, model=world["base"], data=world["chats"], eval_data=world["held"])
    return sft.run(spec, named, out, tracker or Recorder())


def dpo_run(world: dict[str, Any], out: Path, tracker: Any = None, **more: Any) -> dict[str, float]:
    settings: dict[str, Any] = {
        "learning_rate": 1e-3, "batch_size": 16, "max_length": 64, "seed": 0, "eval_data": "held", "log_every": 1,
    }  # fmt: skip
    spec = DpoSpec(kind="dpo", policy="sft", data="pairs", **(settings | more))
    named = inputs(out, policy=world["sft"], data=world["pairs"], eval_data=world["held pairs"])
    return dpo.run(spec, named, out, tracker or Recorder())


def answer(model: Any, tokenizer: Any, question: str) -> str:
    ids = torch.tensor([render_prompt([{"role": "user", "content": question}], tokenizer)])
    found = model.generate(ids, max_new_tokens=12, do_sample=False)
    return tokenizer.decode(found[0, ids.shape[1] :])


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
@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_two_processes_train_as_one(tuned: dict[str, Any], tmp_path: Path, kind: str) -> None:
    run = {"sft": sft_run, "dpo": dpo_run}[kind]
    alone = run(tuned, tmp_path / "alone", max_steps=4, micro_batch_size=4, batch_size=8)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    names = ("chats", "held") if kind == "sft" else ("pairs", "held pairs")
    folders = [tuned["base" if kind == "sft" else "sft"].path, *(tuned[name].files[0] for name in names)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, kind, *map(str, folders), str(tmp_path / "both")], env=environment, check=True)
    both = json.loads((tmp_path / "both" / "told.json").read_text())
    assert both["loss"] == pytest.approx(alone["loss"], abs=2e-3)
    assert both["eval_loss"] == pytest.approx(alone["eval_loss"], abs=1e-2)  # the last rows are evaluated twice
    assert both["tokens"] == alone["tokens"]
    mine, theirs = (load_model(ModelInput("m", tmp_path / name / "model", "")) for name in ("alone", "both"))
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3)


def _main(kind: str, base: str, data: str, held: str, out: str) -> None:
    from align.artifact.inputs import RowsInput

    row_type = "messages" if kind == "sft" else "preference"
    rows = [RowsInput("data", (Path(path),), row_type, count, "") for path, count in ((data, 300), (held, 40))]
    model = ModelInput("model", Path(base), "digest")
    world = {"base": model, "sft": model, "chats": rows[0], "held": rows[1], "pairs": rows[0], "held pairs": rows[1]}
    run = {"sft": sft_run, "dpo": dpo_run}[kind]
    metrics = run(world, Path(out), max_steps=4, micro_batch_size=4, batch_size=8)
    if os.environ["RANK"] == "0":
        (Path(out) / "told.json").write_text(json.dumps(metrics))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _main(*sys.argv[1:])
