"""The ppo stage on tiny models: what it learns, writes, refuses, and goes on from."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from align.artifact import crash
from align.artifact.inputs import ModelInput, RowsInput
from align.data.store_rows import read_rows
from align.errors import DataError, ModelError, Stopped, TrainingError
from align.models.load import load_model
from align.models.tokenizer import load_tokenizer
from align.specs import PpoSpec, RewardSpec
from align.stages import ppo, reward
from tests import tiny
from tests.rewarding import settings, write_reward_model

SHARE_OF_E = "def score(prompt, completion):\n    return 10 * completion.count('e') / max(1, len(completion))\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelInput:
    return tiny.write_base(tmp_path_factory.mktemp("ppo") / "base")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> RowsInput:
    return tiny.write_rows(tmp_path_factory.mktemp("prompts"), "messages", tiny.chats(24), "prompts")


@pytest.fixture(scope="module")
def reward_model(base: ModelInput, tmp_path_factory: pytest.TempPathFactory) -> ModelInput:
    return write_reward_model(tmp_path_factory.mktemp("reward") / "model", base)


@pytest.fixture
def rewards(tmp_path: Path) -> str:
    (tmp_path / "rewards.py").write_text(SHARE_OF_E)
    return f"file:{tmp_path}/rewards.py:score"


def run(
    out: Path, policy: ModelInput, prompts: RowsInput, recorder: Any = None, models: Any = (), **changed: Any
) -> dict[str, float]:
    out.mkdir(exist_ok=True)
    given = {"policy": policy, "prompts": prompts, **{f"reward.{i}.use": m for i, m in enumerate(models)}}
    return ppo.run(settings(**changed), tiny.inputs(out, **given), out, recorder or tiny.Recorder())


SHORT = {"episodes": 32, "batch_size": 8, "epochs": 2, "minibatches": 2, "max_new_tokens": 6, "samples": 2}


@pytest.fixture(scope="module", params=[None, {"r": 4}])
def trained_reward(
    request: pytest.FixtureRequest, base: ModelInput, tmp_path_factory: pytest.TempPathFactory
) -> ModelInput:
    """What the reward stage makes of people who like `warm` and never `cold`, in full and as an adapter."""
    folder = tmp_path_factory.mktemp("trained")
    spec = RewardSpec(
        kind="reward", model="base", data="pairs", demonstrations="chats", learning_rate=3e-3, batch_size=16, max_length=64,
        epochs=2.0, seed=0, lora=request.param,
    )  # fmt: skip
    data = tiny.write_rows(folder / "pairs", "preference", tiny.pairs(64))
    chats = tiny.write_rows(folder / "chats", "messages", tiny.chats(50))
    given = tiny.inputs(folder, model=base, data=data, demonstrations=chats)
    reward.run(spec, given, folder / "out", tiny.Recorder())  # type: ignore[arg-type]
    return ModelInput("reward", folder / "out" / "model", "digest", base if request.param else None)


DIAGNOSTICS = """
rewards/mean rewards/gold kl kl_coef entropy ratio clip_fraction approx_kl explained_variance value_loss policy_loss
tokens/mean stops length_reward_correlation distinct_2 seconds/rollout seconds/scoring seconds/update tokens_per_second
grad_norm/policy grad_norm/value learning_rate optimizer_steps
"""


class Killed(Exception):
    pass


class Killing(tiny.Recorder):
    """Dies as the process would, in the middle of the run, just after an update was told."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def log(self, step: int, metrics: Any) -> None:
        super().log(step, metrics)
        if step == self.at:
            raise Killed


FORMS = {
    "programmatic, adaptive KL": {"kl": "adaptive", "kl_target": 0.01},
    "reward model as value model": {"reward": "rm"},
    "lora": {"reward": "rm", "lora": {"r": 2, "alpha": 4.0}},
}


@pytest.mark.parametrize("lora", [None, {"r": 2, "alpha": 4.0}])
def test_the_fast_engine_samples_the_policy_as_it_learns(
    lora: Any, base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    """Its own logprobs are held against the policy's at the first update; later ones would show in the first KL."""
    recorder = tiny.Recorder()
    run(
        tmp_path / "run", base, prompts, recorder, reward=rewards, engine="fast", lora=lora, learning_rate=1e-2, **SHORT
    )
    assert not recorder.notes, recorder.notes
    assert recorder.logged[0][1]["engine_mismatch"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_killed_and_resumed_equals_the_undisturbed_run_bit_for_bit(
    form: str, base: ModelInput, prompts: RowsInput, reward_model: ModelInput, rewards: str, tmp_path: Path
) -> None:
    how = {**SHORT, "reward": rewards, "save_every": 1, "learning_rate": 1e-2, **FORMS[form]}
    models = [reward_model] if how["reward"] == "rm" else []
    whole, parts = tiny.Recorder(), tiny.Recorder()
    expected = run(tmp_path / "whole", base, prompts, whole, models, **how)
    with pytest.raises(Killed):
        run(tmp_path / "parts", base, prompts, Killing(3), models, **how)
    torch.manual_seed(99)
    found = run(tmp_path / "parts", base, prompts, parts, models, **how)
    assert any("resumed from update 2" in note for note in parts.notes)
    assert tiny.weights(tmp_path / "parts" / "model") == tiny.weights(tmp_path / "whole" / "model")
    samples = [tmp_path / run / "rows-samples.parquet" for run in ("parts", "whole")]
    assert samples[0].read_bytes() == samples[1].read_bytes()
    timed = ("seconds/", "tokens_per_second")
    assert {k: v for k, v in found.items() if not k.startswith(timed)} == {
        k: v for k, v in expected.items() if not k.startswith(timed)
    }
    assert [step for step, _ in parts.logged] == [3, 4]
    if how.get("kl") == "adaptive":
        assert whole.logged[-1][1]["kl_coef"] != 0.05  # the controller moved, and its state came back


@pytest.mark.parametrize("point", ["ppo-between-weights-and-optimizer", "ppo-after-checkpoint"])
def test_a_sigkill_around_a_checkpoint_changes_nothing(
    point: str, base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {**SHORT, "reward": rewards, "save_every": 2}
    run(tmp_path / "whole", base, prompts, **how)
    child = os.fork()
    if child == 0:
        monkeypatch.setenv(crash.VARIABLE, point)
        run(tmp_path / "parts", base, prompts, **how)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    recorder = tiny.Recorder()
    run(tmp_path / "parts", base, prompts, recorder, **how)
    assert recorder.notes == (["resumed from update 2"] if point == "ppo-after-checkpoint" else [])
    assert tiny.weights(tmp_path / "parts" / "model") == tiny.weights(tmp_path / "whole" / "model")


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    how = {**SHORT, "reward": rewards, "save_every": 1}
    run(tmp_path / "whole", base, prompts, **how)
    with pytest.raises(Killed):
        run(tmp_path / "parts", base, prompts, Killing(4), **how)
    weights = tmp_path / "parts" / "checkpoints" / "checkpoint-3" / "optimizer.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    recorder = tiny.Recorder()
    run(tmp_path / "parts", base, prompts, recorder, **how)
    assert "resumed from update 2" in recorder.notes
    assert tiny.weights(tmp_path / "parts" / "model") == tiny.weights(tmp_path / "whole" / "model")


def test_checkpoints_hold_no_pickle(base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path) -> None:
    run(tmp_path / "run", base, prompts, reward=rewards, save_every=1, **SHORT)
    files = [p for p in (tmp_path / "run" / "checkpoints").rglob("*") if p.is_file()]
    assert files and {p.suffix for p in files} == {".safetensors", ".json"}


def test_a_stop_is_saved_and_told(base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run(tmp_path / "run", base, prompts, tiny.Recorder(stop_after=2), reward=rewards, **SHORT)
    recorder = tiny.Recorder()
    run(tmp_path / "run", base, prompts, recorder, reward=rewards, **SHORT)
    assert any(note.startswith("resumed from update") for note in recorder.notes)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    how = {**SHORT, "episodes": 16, "reward": rewards}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, base, prompts, seed=seed, **how)
    one, same, other = ((tmp_path / n / "model" / "model.safetensors").read_bytes() for n in "abc")
    assert one == same != other


def test_ppo_raises_a_programmatic_reward_beyond_its_interval(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    """A random model says an e in 1 of 20 characters; the mean of the last three updates lies beyond the first three's."""
    recorder = tiny.Recorder()
    told = {"episodes": 64 * 14, "batch_size": 64, "minibatches": 4, "max_new_tokens": 8, "samples": 2}
    run(
        tmp_path / "run",
        base,
        prompts,
        recorder,
        reward=rewards,
        gold=rewards,
        learning_rate=5e-3,
        kl_coef=0.01,
        **told,
    )
    curve = [m["rewards/mean"] for _, m in recorder.logged]
    spread = recorder.logged[0][1]["rewards/std"] / (3 * 64) ** 0.5
    first, last = sum(curve[:3]) / 3, sum(curve[-3:]) / 3
    assert last > first + 5 * spread, curve
    assert [m["rewards/gold"] for _, m in recorder.logged] == pytest.approx(curve)
    assert recorder.logged[-1][1]["kl"] > recorder.logged[0][1]["kl"] == 0


def test_every_diagnostic_of_an_update_is_logged(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    recorder = tiny.Recorder()
    mixed = [{"use": rewards, "weight": 0.5}, {"use": "scorer:stops", "weight": 2.0}]
    metrics = run(tmp_path / "run", base, prompts, recorder, reward=mixed, gold="scorer:length", **SHORT)
    wanted = set(DIAGNOSTICS.split())
    for step, told in recorder.logged:
        assert wanted <= set(told), step
        file, stops = told["rewards/rewards.py:score"], told["rewards/scorer:stops"]
        assert told["rewards/mean"] == pytest.approx(0.5 * file + 2 * stops)
    assert [step for step, _ in recorder.logged] == [1, 2, 3, 4]
    rates = [told["learning_rate"] for _, told in recorder.logged]
    assert rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])  # linear decay, an update at a time
    assert metrics["optimizer_steps"] == 4 * 2 * 2 and metrics["episodes"] == 32


GOLDEN = {
    3: {"rewards/mean": 0.94444, "policy_loss": -0.013748, "value_loss": 0.84666, "kl": 0.071211, "entropy": 5.6964}
}


def test_the_first_numbers_are_those_of_this_version(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    """Numbers that changed on purpose need a new PpoSpec.version, so that sealed artifacts are made again."""
    recorder = tiny.Recorder()
    run(tmp_path / "run", base, prompts, recorder, reward=rewards, **{**SHORT, "episodes": 16})
    expected = GOLDEN[PpoSpec.version]
    found = {name: recorder.logged[-1][1][name] for name in expected}
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_model_written_is_whole_and_its_samples_are_of_the_same_prompts(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    recorder = tiny.Recorder()
    metrics = run(tmp_path / "run", base, prompts, recorder, reward=rewards, **SHORT)
    model = load_model(ModelInput("ppo", tmp_path / "run" / "model", ""))
    assert load_tokenizer(tmp_path / "run" / "model").eos_token == "<|end|>"
    old = load_model(base)
    assert not torch.equal(model.get_input_embeddings().weight, old.get_input_embeddings().weight)
    rows = list(read_rows([tmp_path / "run" / "rows-samples.parquet"], "scored_generation"))
    assert len(rows) == metrics["rows/samples"] == 2 * 5
    by_update: dict[str, list[Any]] = {}
    for row in rows:
        by_update.setdefault(row["slice"], []).append(row["prompt"])
    assert list(by_update) == [f"update-{n}" for n in range(5)]
    assert all(asked == by_update["update-0"] for asked in by_update.values())
    assert [(step, name) for step, name, _ in recorder.tables] == [(n, "samples") for n in range(5)]
    shown = [row for _, _, table in recorder.tables for row in table]
    assert [row[2] for row in shown] == [row["score"] for row in rows]


def test_lora_writes_an_adapter_of_the_policy_and_leaves_the_base_alone(
    base: ModelInput, prompts: RowsInput, reward_model: ModelInput, tmp_path: Path
) -> None:
    before, recorder = tiny.weights(base.path), tiny.Recorder()
    lora = {"r": 2, "alpha": 4.0}
    run(tmp_path / "run", base, prompts, recorder, [reward_model], reward="rm", lora=lora, learning_rate=1e-2, **SHORT)
    told = json.loads((tmp_path / "run" / "model" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == base.digest and tiny.weights(base.path) == before
    assert any("one frozen base" in note and "saved" in note for note in recorder.notes)
    merged = load_model(ModelInput("ppo", tmp_path / "run" / "model", "", base))
    moved = merged.model.layers[0].mlp.up_proj.weight - load_model(base).model.layers[0].mlp.up_proj.weight
    assert moved.abs().max() > 0
    tensors = load_file(tmp_path / "run" / "model" / "adapter_model.safetensors")
    assert tensors and all("lora" in name for name in tensors)


def test_with_adapters_throughout_all_four_models_lie_on_one_base(
    trained_reward: ModelInput, base: ModelInput, prompts: RowsInput, tmp_path: Path
) -> None:
    """The same rollout, scores and values as on two bases, up to rounding; and only the policy is written."""
    told, apart = tiny.Recorder(), tiny.Recorder()
    same = {**SHORT, "reward": "rm", "lora": {"r": 2, "alpha": 4.0}, "learning_rate": 1e-3}
    run(tmp_path / "one", base, prompts, told, [trained_reward], **same)
    assert any("value and reward model share one frozen base" in n for n in told.notes) == (trained_reward.base == base)
    tensors = load_file(tmp_path / "one" / "model" / "adapter_model.safetensors")
    assert tensors and not [name for name in tensors if "value" in name or "reward" in name]
    if trained_reward.base:
        other = ModelInput("rm", trained_reward.path, "", ModelInput("base", base.path, "another digest"))
        run(tmp_path / "two", base, prompts, apart, [other], **same)
        assert any("value and reward model another" in n for n in apart.notes)
        for name in ("rewards/mean", "rewards/std", "kl", "explained_variance"):
            assert told.logged[0][1][name] == pytest.approx(apart.logged[0][1][name], rel=1e-3, abs=1e-5), name


def test_what_the_reward_stage_wrote_is_the_reward_and_the_value_model(
    trained_reward: ModelInput, base: ModelInput, prompts: RowsInput, tmp_path: Path
) -> None:
    """Before anything is learnt the reward model's scores foresee much of the returns; a head on the policy nothing."""
    told = {**SHORT, "reward": "rm", "batch_size": 32, "kl_coef": 0.01}
    foreseen = {}
    for value in ("auto", "policy_head"):
        recorder = tiny.Recorder()
        run(tmp_path / value, base, prompts, recorder, [trained_reward], **told, value=value)
        assert not any("head on the policy" in note or "not normalised" in note for note in recorder.notes)
        foreseen[value] = recorder.logged[0][1]["explained_variance"]
    assert foreseen["auto"] > 0.4 and foreseen["policy_head"] == pytest.approx(0, abs=1e-6)


def test_rewards_that_are_all_equal_stop_the_stage_and_keep_the_checkpoint(
    base: ModelInput, prompts: RowsInput, tmp_path: Path
) -> None:
    (tmp_path / "flat.py").write_text("def score(prompt, completion):\n    return 1.0\n")
    flat, long = f"file:{tmp_path}/flat.py:score", {**SHORT, "episodes": 80}
    with pytest.raises(TrainingError) as caught:
        run(tmp_path / "run", base, prompts, reward=flat, save_every=2, **long)
    assert "update 5" in str(caught.value) and "all rewards were 1" in str(caught.value)
    assert "last good checkpoint is update 4" in str(caught.value)
    assert not (tmp_path / "run" / "model").exists()


def test_kl_beyond_the_bound_stops_the_stage(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"nats a sequence from the reference\. Expected at most 0\.001"):
        run(tmp_path / "run", base, prompts, reward=rewards, kl_bound=0.001, learning_rate=1e-2, **SHORT)


def test_a_reward_that_turns_nan_stops_the_stage_before_it_is_learnt(
    base: ModelInput, prompts: RowsInput, tmp_path: Path
) -> None:
    code = ["calls = []", "def score(prompt, completion):", "    calls.append(1)"]
    code += ["    return float(len(completion)) if len(calls) < 30 else float('nan')"]  # samples are scored too
    (tmp_path / "nan.py").write_text("\n".join(code))
    with pytest.raises(TrainingError) as caught:
        run(tmp_path / "run", base, prompts, reward=f"file:{tmp_path}/nan.py:score", save_every=1, **SHORT)
    assert "is nan" in str(caught.value) and "last good checkpoint is update 2" in str(caught.value)
    tensors = load_file(tmp_path / "run" / "checkpoints" / "checkpoint-2" / "parameters.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_a_policy_without_a_generation_prompt_is_refused(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    model, tokenizer = load_model(base), load_tokenizer(base)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
    model.save_pretrained(tmp_path / "bare")
    tokenizer.save_pretrained(tmp_path / "bare")
    with pytest.raises(ModelError, match="no generation prompt"):
        run(tmp_path / "run", ModelInput("bare", tmp_path / "bare", ""), prompts, reward=rewards, **SHORT)


def test_prompts_that_leave_no_room_and_no_prompts_at_all_are_refused(
    base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"24 of 24 prompts leave no room for 125 new tokens"):
        run(tmp_path / "run", base, prompts, reward=rewards, **{**SHORT, "max_new_tokens": 125})
    none = tiny.write_rows(tmp_path / "none", "prompt", [], "prompts")
    with pytest.raises(DataError, match="there are no prompts"):
        run(tmp_path / "run", base, none, reward=rewards, **SHORT)


def test_pad_and_stop_token_are_told_apart(base: ModelInput, prompts: RowsInput, rewards: str, tmp_path: Path) -> None:
    model, tokenizer = load_model(base), load_tokenizer(base)
    tokenizer.pad_token = tokenizer.eos_token
    model.save_pretrained(tmp_path / "same")
    tokenizer.save_pretrained(tmp_path / "same")
    recorder = tiny.Recorder()
    run(tmp_path / "run", ModelInput("same", tmp_path / "same", ""), prompts, recorder, reward=rewards, **SHORT)
    assert any("the pad token was the stop token" in note for note in recorder.notes)
    written = load_tokenizer(tmp_path / "run" / "model")
    assert written.pad_token_id != written.eos_token_id
