"""What the reward stage learns, counts, normalises, writes and refuses."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from align.artifact.inputs import ModelInput
from align.data.render import render_rows
from align.errors import DataError, ModelError, Stopped
from align.models.load import load_model
from align.models.reward import load_classifier, load_reward_model
from align.models.tokenizer import load_tokenizer
from align.scoring.reward_model import score_ids
from align.specs import RewardSpec
from align.stages import reward
from tests.tiny import Recorder, chats, inputs, pairs, sentence, weights, write_base, write_rows

CPU = torch.device("cpu")
LORA = {"r": 4}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("world")
    held = [row | {"slice": "near" if i % 2 else "far", "axis": "warmth"} for i, row in enumerate(pairs(60, seed=1))]
    return {
        "base": write_base(folder / "base"),
        "pairs": write_rows(folder / "pairs", "preference", pairs(96)),
        "held": write_rows(folder / "held", "preference", held),
        "chats": write_rows(folder / "chats", "messages", chats(50)),
    }


def run(world: dict[str, Any], out: Path, tracker: Any = None, **more: Any) -> dict[str, float]:
    settings: dict[str, Any] = {
        "learning_rate": 3e-3, "batch_size": 16, "max_length": 64, "epochs": 4.0, "seed": 0, "log_every": 1,
        "eval_data": "held", "demonstrations": "chats",
    }  # fmt: skip
    spec = RewardSpec(kind="reward", model="base", data="pairs", **(settings | more))
    named = inputs(
        out, model=world["base"], data=world["pairs"], eval_data=world["held"], demonstrations=world["chats"]
    )
    return reward.run(spec, named, out, tracker or Recorder())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(world: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    out = tmp_path_factory.mktemp("trained")
    return out, run(world, out)


def report_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text())


def ids_of(world: dict[str, Any]) -> list[list[int]]:
    return [r.input_ids for r in render_rows(chats(50), load_tokenizer(world["base"]))]


def written(out: Path, base: ModelInput | None = None) -> ModelInput:
    return ModelInput("reward", out / "model", "digest", base)


def test_a_planted_preference_is_learnt_beyond_its_interval(trained: tuple[Path, dict[str, float]]) -> None:
    out, metrics = trained
    report = report_of(out)
    assert report["accuracy"]["low"] > 0.9 and report["accuracy"]["n"] == 60
    assert metrics["eval_accuracy"] == report["accuracy"]["value"]
    assert report["by_slice"].keys() == {"near", "far"} and report["by_axis"]["warmth"]["n"] == 60
    assert sum(b["pairs"] for b in report["calibration"]["bins"]) == 60
    assert report["length"].keys() >= {"correlation", "within_pairs", "matched_accuracy", "longer_is_chosen"}


def test_a_preference_that_is_a_coin_toss_is_not_learnt(world: dict[str, Any], tmp_path: Path) -> None:
    rng = random.Random(0)
    tossed = [
        row if rng.random() < 0.5 else row | {"chosen": row["rejected"], "rejected": row["chosen"]}
        for row in pairs(60, seed=2)
    ]
    held = write_rows(tmp_path / "held", "preference", tossed)
    run(world | {"held": held}, tmp_path / "out", epochs=1.0)
    assert report_of(tmp_path / "out")["accuracy"]["low"] < 0.5 < report_of(tmp_path / "out")["accuracy"]["high"]


def test_metrics_are_whole_and_finite(trained: tuple[Path, dict[str, float]]) -> None:
    _, metrics = trained
    named = {"loss", "accuracy", "margin", "eval_loss", "eval_accuracy", "eval_margin", "ece", "grad_norm", "tokens"}
    assert named <= metrics.keys() and all(math.isfinite(value) for value in metrics.values())
    assert metrics["pairs"] == 96 and metrics["rows/dropped"] == metrics["eval_rows/dropped"] == 0


@pytest.mark.parametrize(("margins", "center"), [(None, 0.0), (0.7, 0.0), (None, 0.1), (-0.3, 0.2)])
def test_the_loss_is_bradley_and_terrys(world: dict[str, Any], tmp_path: Path, margins: Any, center: float) -> None:
    """-log sigma(r_w - r_l - margin) + center (r_w + r_l)^2, averaged, by hand from the scores of the first step's model."""
    rows = [row | ({"margin": margins + i / 10} if margins else {}) for i, row in enumerate(pairs(8, seed=3))]
    data = write_rows(tmp_path / "rows", "preference", rows)
    recorder = Recorder()
    settings = {"learning_rate": 1e-12, "max_steps": 1, "batch_size": 8, "eval_data": None, "demonstrations": None}
    run(world | {"pairs": data}, tmp_path / "out", recorder, center=center, **settings)
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "model").eval()
    tokenizer = load_tokenizer(world["base"])
    losses = []
    for row in rows:
        ids = [
            r.input_ids
            for r in render_rows([{"messages": row["prompt"] + row[s]} for s in ("chosen", "rejected")], tokenizer)
        ]
        with torch.no_grad():
            won, lost = (classifier(torch.tensor([side])).logits.item() for side in ids)
        losses.append(math.log1p(math.exp(-(won - lost - row.get("margin", 0.0)))) + center * (won + lost) ** 2)
    assert recorder.logged[0][1]["loss"] == pytest.approx(sum(losses) / 8, abs=1e-5)


def test_a_margin_is_used_where_some_rows_have_one_and_that_is_told(world: dict[str, Any], tmp_path: Path) -> None:
    rows = [row | ({"margin": 50.0} if i == 0 else {}) for i, row in enumerate(pairs(8))]
    data, recorder = write_rows(tmp_path / "rows", "preference", rows), Recorder()
    run(world | {"pairs": data}, tmp_path / "out", recorder, max_steps=1, batch_size=8, eval_data=None)
    assert 50 / 8 < recorder.logged[0][1]["loss"] < 50 / 8 + 1.5
    assert any("7 of 8 pairs have no margin" in note for note in recorder.notes)


def test_demonstrations_average_0_and_nothing_else_moves(
    world: dict[str, Any], trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    out, metrics = trained
    model = load_reward_model(written(out), torch.float32, CPU)
    scores = score_ids(model, ids_of(world), 1000, torch.float32)
    assert sum(scores) / len(scores) == pytest.approx(0, abs=1e-5) and max(map(abs, scores)) > 1e-3
    assert model.gain == 1 and model.bias == pytest.approx(metrics["demonstrations/bias"]) and model.bias != 0
    recorder = Recorder()
    plain = run(world, tmp_path, recorder, demonstrations=None)
    assert any("not normalised" in note for note in recorder.notes)
    assert load_reward_model(written(tmp_path), torch.float32, CPU).bias == 0
    assert plain["eval_loss"] == metrics["eval_loss"] and plain["ece"] == pytest.approx(metrics["ece"], abs=1e-6)


def test_many_demonstrations_are_thinned_and_long_ones_left_out_and_that_is_told(
    world: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward, "MOST_DEMONSTRATIONS", 20)
    long = {"messages": [{"role": "user", "content": "red"}, {"role": "assistant", "content": "blue " * 200}]}
    rows = write_rows(tmp_path / "rows", "messages", [long, *chats(50)])
    recorder = Recorder()
    metrics = run(world | {"chats": rows}, tmp_path / "out", recorder, max_steps=1, eval_data=None)
    assert metrics["demonstrations"] == 16  # every third of 51, the first of which is too long
    assert any("16 of 51 demonstrations" in note and "1 do not fit" in note for note in recorder.notes)


def test_a_pair_that_is_too_long_is_counted_and_refused_beyond_the_budget(
    world: dict[str, Any], tmp_path: Path
) -> None:
    long = pairs(1)[0] | {"rejected": [{"role": "assistant", "content": "cold " * 80}]}
    data = write_rows(tmp_path / "rows", "preference", [*pairs(31), long])
    with pytest.raises(DataError, match="drops 1 of 32 rows"):
        run(world | {"pairs": data}, tmp_path / "out")
    metrics = run(world | {"pairs": data}, tmp_path / "out", drop_budget=0.05, max_steps=1, eval_data=None)
    assert metrics["rows/dropped"] == 1 and metrics["pairs"] == 31
    with pytest.raises(DataError, match="none of 32 pairs fits"):
        run(world | {"pairs": data}, tmp_path / "out", drop_budget=1.0, max_length=8)


@pytest.mark.parametrize("lora", [None, LORA])
def test_what_is_written_scores_as_what_was_trained(world: dict[str, Any], tmp_path: Path, lora: Any) -> None:
    rows, kept = ids_of(world), {}

    def and_keep(model: Any, *rest: Any) -> None:
        with torch.no_grad():
            ones = [torch.tensor([ids]) for ids in rows]
            kept["scores"] = [model.eval()(input_ids=x, attention_mask=torch.ones_like(x)).logits.item() for x in ones]
        begun(model, *rest)

    begun = reward.save_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reward, "save_model", and_keep)
        run(world, tmp_path, lora=lora, learning_rate=1e-2, epochs=2.0)
    base = world["base"] if lora else None
    model = load_reward_model(written(tmp_path, base), torch.float32, CPU)
    expected = [score + model.bias for score in kept["scores"]]
    assert score_ids(model, rows, 1000, torch.float32) == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 0.05


def test_the_trained_head_is_saved_with_an_adapter_and_its_loss_is_an_error(
    world: dict[str, Any], tmp_path: Path
) -> None:
    run(world, tmp_path, lora=LORA, learning_rate=1e-2, epochs=1.0)
    path = tmp_path / "model" / "adapter_model.safetensors"
    tensors = load_file(path)
    (name,) = [n for n in tensors if n.endswith("score.weight")]
    fresh = reward.new_reward_model(load_model(world["base"]), 0).score.weight
    trained_head = load_classifier(written(tmp_path, world["base"])).score.weight
    assert torch.equal(trained_head, tensors[name]) and (trained_head - fresh).abs().max() > 1e-3
    save_file({n: t for n, t in tensors.items() if n != name}, path)
    with pytest.raises(ModelError, match="holds no score head"):
        load_reward_model(written(tmp_path, world["base"]), torch.float32, CPU)


def test_padding_and_packing_change_no_score(world: dict[str, Any], trained: tuple[Path, dict[str, float]]) -> None:
    """One sequence at a time, padded on the right by transformers, and laid end to end by us."""
    rng = random.Random(5)
    tokenizer = load_tokenizer(world["base"])
    rows = [tokenizer(sentence(rng, 2, 20))["input_ids"] + [tokenizer.eos_token_id] for _ in range(9)]
    source = written(trained[0])
    packed = load_reward_model(source, torch.float32, CPU)
    plain = load_classifier(source)
    batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
    assert (batch["attention_mask"] == 0).any()
    with torch.no_grad():
        padded = plain(**batch).logits[:, 0] + packed.bias
        alone = [plain(torch.tensor([ids])).logits.item() + packed.bias for ids in rows]
    assert padded.tolist() == pytest.approx(alone, abs=1e-5)
    for at_once in (10, 1000):
        assert score_ids(packed, rows, at_once, torch.float32) == pytest.approx(alone, abs=1e-5)


def test_training_on_packed_batches_is_training_on_padded_ones(world: dict[str, Any], tmp_path: Path) -> None:
    packed, padded = Recorder(), Recorder()
    settings = {"max_steps": 3, "eval_data": None, "demonstrations": None}
    run(world, tmp_path / "packed", packed, **settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("align.loop.opening.supports_packing", lambda config: False)
        run(world, tmp_path / "padded", padded, **settings)
    for (_, ours), (_, theirs) in zip(packed.logged, padded.logged, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)


def test_the_same_seed_gives_the_same_bytes_and_another_another_head(world: dict[str, Any], tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(world, tmp_path / name, seed=seed, max_steps=1)
    assert weights(tmp_path / "a" / "model") == weights(tmp_path / "b" / "model")
    assert (tmp_path / "a" / "report.json").read_bytes() == (tmp_path / "b" / "report.json").read_bytes()
    heads = [load_file(tmp_path / n / "model" / "model.safetensors")["score.weight"] for n in "ac"]
    assert not torch.allclose(heads[0], heads[1], atol=1e-2)


@pytest.mark.parametrize("lora", [None, LORA | {"dropout": 0.2}])
def test_a_stopped_run_resumes_to_the_same_bytes(world: dict[str, Any], tmp_path: Path, lora: Any) -> None:
    settings = {"lora": lora, "max_steps": 4, "save_every": 2, "micro_batch_size": 8}
    run(world, tmp_path / "whole", **settings)
    with pytest.raises(Stopped):
        run(world, tmp_path / "cut", Recorder(3), **settings)
    recorder = Recorder()
    run(world, tmp_path / "cut", recorder, **settings)
    assert any("resumed from step 3" in note for note in recorder.notes)
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "whole" / "model")
    assert report_of(tmp_path / "cut") == report_of(tmp_path / "whole")


def test_an_adapter_of_sft_is_merged_before_the_reward_model_grows_on_it(world: dict[str, Any], tmp_path: Path) -> None:
    from tests.stages.test_sft import sft_run

    sft_run(world | {"held": world["chats"]}, tmp_path / "sft", lora=LORA, max_steps=3, epochs=1.0)
    adapter = ModelInput("sft", tmp_path / "sft" / "model", "sft", world["base"])
    run(world | {"base": adapter}, tmp_path / "out", lora=LORA, max_steps=1, learning_rate=1e-12)
    merged, body = load_model(adapter), load_reward_model(written(tmp_path / "out", adapter), torch.float32, CPU).body
    for name, parameter in merged.base_model.named_parameters():
        assert torch.allclose(parameter, body.get_parameter(name), atol=1e-6), name
    assert not torch.allclose(
        load_model(world["base"]).model.layers[0].mlp.up_proj.weight, body.layers[0].mlp.up_proj.weight
    )


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_reward_model_is_refused_where_a_policy_is_needed(world: dict[str, Any], tmp_path: Path, lora: Any) -> None:
    run(world, tmp_path / "out", max_steps=1, lora=lora, eval_data=None)
    given = written(tmp_path / "out", world["base"] if lora else None)
    with pytest.raises(ModelError, match=r"(reward model's|LlamaForSequenceClassification).*causal language model"):
        load_model(given)
    with pytest.raises(ModelError, match="cannot be trained or asked for text"):
        run(world | {"base": given}, tmp_path / "again")


def test_a_policy_is_refused_where_a_reward_model_is_needed(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a LlamaForCausalLM.*Name a stage of kind reward"):
        load_reward_model(world["base"], torch.float32, CPU)
    from tests.stages.test_sft import sft_run

    sft_run(world | {"held": world["chats"]}, tmp_path, lora=LORA, max_steps=1, epochs=1.0)
    with pytest.raises(ModelError, match="holds no score head"):
        load_reward_model(written(tmp_path, world["base"]), torch.float32, CPU)
