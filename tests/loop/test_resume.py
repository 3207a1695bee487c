"""A run that was cut off and resumed ends where an undisturbed one does, bit for bit, and tells the same."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from align.artifact.inputs import ModelInput, RowsInput
from align.errors import ResourceError, Stopped, TrainingError
from align.loop import checkpoints, trl_private
from align.models.load import load_model, save_model
from align.models.tokenizer import load_tokenizer
from align.specs import DpoSpec, SftSpec
from align.stages import dpo, sft
from tests import warm
from tests.tiny import Recorder, chats, inputs, pairs, rankings, weights, write_base, write_rows

LORA = {"r": 4, "dropout": 0.2}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("world")
    return {
        "base": write_base(folder / "base"),
        "chats": write_rows(folder / "chats", "messages", chats(60)),
        "held": write_rows(folder / "held", "messages", chats(12, seed=1)),
        "pairs": write_rows(folder / "pairs", "preference", pairs(24)),
        "rankings": write_rows(folder / "rankings", "ranking", rankings(12)),
        "held pairs": write_rows(folder / "held-pairs", "preference", pairs(9, seed=1)),
    }


def sft_run(world: dict[str, Any], out: Path, tracker: Recorder, **more: Any) -> dict[str, float]:
    settings: dict[str, Any] = {
        "learning_rate": 3e-3, "batch_size": 4, "micro_batch_size": 2, "max_length": 48, "max_steps": 12, "log_every": 5,
        "seed": 3, "eval_data": "held",
    }  # fmt: skip
    spec = SftSpec(kind="sft", model="base", data="chats", **(settings | more))
    named = inputs(out, model=world["base"], data=world["chats"], eval_data=world["held"])
    return sft.run(spec, named, out, tracker)  # type: ignore[arg-type]


def dpo_run(world: dict[str, Any], out: Path, tracker: Recorder, **more: Any) -> dict[str, float]:
    settings: dict[str, Any] = {
        "learning_rate": 1e-3, "batch_size": 8, "micro_batch_size": 4, "max_length": 64, "epochs": 3.0, "log_every": 2,
        "seed": 3, "eval_data": "held",
    }  # fmt: skip
    spec = DpoSpec(kind="dpo", policy="base", data="pairs", **(settings | more))
    named = inputs(out, policy=world["base"], data=world["pairs"], eval_data=world["held pairs"])
    return dpo.run(spec, named, out, tracker)  # type: ignore[arg-type]


def ranked_dpo_run(world: dict[str, Any], out: Path, tracker: Recorder, **more: Any) -> dict[str, float]:
    return dpo_run(world | {"pairs": world["rankings"]}, out, tracker, **more)


def without_speed(metrics: dict[str, float]) -> dict[str, float]:
    return {
        name: value for name, value in metrics.items() if name not in ("tokens_per_second",) and "runtime" not in name
    }


def curves(recorder: Recorder, after: int = 0) -> list[tuple[int, dict[str, float]]]:
    timed = ("per_second", "runtime")
    return [
        (step, {name: value for name, value in logs.items() if not any(word in name for word in timed)})
        for step, logs in recorder.logged
        if step > after
    ]


@pytest.mark.parametrize(
    ("run", "more"),
    [
        (sft_run, {"save_every": 7}),
        (sft_run, {"save_every": 7, "lora": LORA}),
        (dpo_run, {"save_every": 4, "eval_every": 3, "keep": "best(rewards/margins)"}),
        (dpo_run, {"save_every": 4, "lora": LORA, "max_steps": 7, "scheduler": "constant"}),
        (ranked_dpo_run, {"micro_batch_size": 1}),  # 6 batches a pass: cut off in the first and at its end
    ],
    ids=["sft", "sft with adapter", "dpo", "dpo with adapter", "dpo on rankings"],
)
def test_a_stopped_run_resumes_to_the_same_bytes(world: dict[str, Any], tmp_path: Path, run: Any, more: Any) -> None:
    whole = Recorder()
    undisturbed = run(world, tmp_path / "whole", whole, **more)
    for stop_after in (2, 6):
        with pytest.raises(Stopped):
            run(world, tmp_path / "cut", Recorder(stop_after), **more)
    resumed_recorder = Recorder()
    resumed = run(world, tmp_path / "cut", resumed_recorder, **more)
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "whole" / "model")
    assert without_speed(resumed) == without_speed(undisturbed)
    assert curves(resumed_recorder) == curves(whole, after=6)
    assert any("resumed from step 6" in note for note in resumed_recorder.notes)


def test_a_finished_run_trains_no_further_step(world: dict[str, Any], tmp_path: Path) -> None:
    more = {"keep": "best(loss)", "eval_every": 6}
    first = sft_run(world, tmp_path, Recorder(), **more)
    before = weights(tmp_path / "model")
    again = Recorder()
    second = sft_run(world, tmp_path, again, **more)
    assert again.logged == [] and second["steps"] == 12
    assert weights(tmp_path / "model") == before
    assert without_speed(second) == without_speed(first)


def test_a_damaged_checkpoint_is_passed_over(world: dict[str, Any], tmp_path: Path) -> None:
    sft_run(world, tmp_path / "whole", Recorder())
    with pytest.raises(Stopped):
        sft_run(world, tmp_path / "cut", Recorder(9), save_every=4)
    newest = checkpoints.last_good(tmp_path / "cut" / "checkpoints")
    assert newest is not None and newest.name == "checkpoint-9"
    path = newest / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    recorder = Recorder()
    sft_run(world, tmp_path / "cut", recorder, save_every=4)
    assert recorder.notes == ["resumed from step 8"]
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "whole" / "model")


def test_a_checkpoint_of_other_processes_is_not_continued(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        sft_run(world, tmp_path, Recorder(4))
    (written,) = (tmp_path / "checkpoints").glob("checkpoint-*")
    for suffix in ("json", "safetensors"):
        (written / f"rank-1.{suffix}").write_bytes((written / f"rank-0.{suffix}").read_bytes())
    (written / checkpoints.MANIFEST).unlink()
    checkpoints.seal(written.rename(written.with_name(checkpoints.STAGING)), 4)
    recorder = Recorder()
    sft_run(world, tmp_path, recorder, max_steps=5)
    assert recorder.logged[0][0] == 1 and "begun afresh" in recorder.notes[0]


def test_a_disk_that_is_full_is_told_and_what_was_saved_stays(
    world: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        sft_run(world, tmp_path, Recorder(4))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_optimizer", full)
    with pytest.raises(ResourceError, match=r"No space left.*Free some space"):
        sft_run(world, tmp_path, Recorder(), save_every=1)
    good = checkpoints.last_good(tmp_path / "checkpoints")
    assert good is not None and good.name == "checkpoint-4"


def test_running_out_of_memory_says_what_to_lower(
    world: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trl_private.SftLoop, "compute_loss", too_much)
    with pytest.raises(ResourceError, match="micro_batch_size: 1"):
        sft_run(world, tmp_path, Recorder())


def test_neither_saves_nor_evaluations_change_what_is_trained_or_told(world: dict[str, Any], tmp_path: Path) -> None:
    plain, busy = Recorder(), Recorder()
    sft_run(world, tmp_path / "plain", plain, lora=LORA)
    sft_run(world, tmp_path / "busy", busy, lora=LORA, save_every=1, eval_every=2)
    assert weights(tmp_path / "plain" / "model") == weights(tmp_path / "busy" / "model")
    training = [(step, logs) for step, logs in curves(busy) if "eval_loss" not in logs]
    assert training == [(step, logs) for step, logs in curves(plain) if "eval_loss" not in logs]


def test_checkpoints_hold_no_pickle(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        sft_run(world, tmp_path, Recorder(2))
    files = [path for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}


def test_the_best_model_is_the_one_that_is_kept(world: dict[str, Any], tmp_path: Path) -> None:
    """With a rate so high that training goes astray after a few steps, the best evaluation is an early one."""
    recorder = Recorder()
    metrics = sft_run(
        world, tmp_path, recorder, learning_rate=0.03, scheduler="constant", warmup=0.0, eval_every=2, keep="best(loss)"
    )
    evaluated = {step: logs["eval_loss"] for step, logs in recorder.logged if "eval_loss" in logs}
    best = min(evaluated, key=lambda step: evaluated[step])
    assert best < 12 and metrics["best_step"] == best and metrics["eval_loss"] == evaluated[best]
    kept = ModelInput("kept", tmp_path / "model", "")
    spec_world = world | {"base": kept}
    again = sft_run(spec_world, tmp_path / "again", Recorder(), max_steps=1, learning_rate=1e-12)
    assert again["eval_loss"] == pytest.approx(evaluated[best], abs=1e-5)


def test_a_loss_that_is_not_finite_stops_training_and_says_where(world: dict[str, Any], tmp_path: Path) -> None:
    model = load_model(world["base"])
    model.model.norm.weight.data[0] = float("nan")
    save_model(model, load_tokenizer(world["base"]), tmp_path / "broken")
    broken = world | {"base": ModelInput("broken", tmp_path / "broken", "")}
    with pytest.raises(TrainingError, match=r"step 1: grad_norm is nan"):
        sft_run(broken, tmp_path / "out", Recorder())


@pytest.mark.slow
@pytest.mark.parametrize("crash", ["step 8", "checkpoint-weights", "checkpoint-unmarked"])
def test_a_killed_run_resumes_to_the_same_bytes(world: dict[str, Any], tmp_path: Path, crash: str) -> None:
    sft_run(world, tmp_path / "whole", Recorder())
    command = [warm.python(), __file__, str(world["base"].path), *(str(world[n].files[0]) for n in ("chats", "held"))]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= {"KILL_AT": crash.removeprefix("step ")} if crash.startswith("step") else {"ALIGN_CRASH_AT": crash}
    killed = subprocess.run([*command, str(tmp_path / "cut")], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    sft_run(world, tmp_path / "cut", Recorder(), save_every=3)
    assert weights(tmp_path / "cut" / "model") == weights(tmp_path / "whole" / "model")


class Killer(Recorder):
    """Kills its own process at a step."""

    def progress(self, done: int, total: int, **telling: float) -> None:
        if done == int(os.environ.get("KILL_AT", "0")):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    told = [Path(argument) for argument in sys.argv[1:]]
    rows = [RowsInput("data", (path,), "messages", 60, "") for path in told[1:3]]
    sft_run(
        {"base": ModelInput("base", told[0], ""), "chats": rows[0], "held": rows[1]}, told[3], Killer(), save_every=3
    )
