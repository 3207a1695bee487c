from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from align.errors import TrainingError
from align.loop.arguments import autocast_dtype, dpo_arguments, micro_batch_size, sft_arguments, weights_dtype
from align.loop.callbacks import is_better, wanted_metric
from align.specs import DpoSpec, SftSpec

model = SimpleNamespace(config=None)


def sft(**more: object) -> SftSpec:
    return SftSpec(kind="sft", model="base", data="chat", learning_rate=1e-3, **more)  # type: ignore[arg-type]


def test_batch_size_is_micro_batch_times_accumulation(tmp_path: Path) -> None:
    spec = sft(batch_size=48, max_length=1024)
    micro = micro_batch_size(spec, model)
    arguments = sft_arguments(spec, tmp_path, micro)
    assert micro == 8  # 8192 tokens on the CPU
    assert arguments.gradient_accumulation_steps == 6
    assert micro_batch_size(sft(batch_size=7, max_length=8192), model) == 1
    assert micro_batch_size(sft(batch_size=8, micro_batch_size=2), model) == 2


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match="multiple of 3"):
        micro_batch_size(sft(batch_size=8), model)


def test_a_process_that_would_train_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = sft_arguments(sft(), tmp_path, 1)
    assert arguments.world_size == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="1 processes"):
        from align.loop.arguments import _checked

        _checked(arguments)


def test_trainer_settings_are_passed_on(tmp_path: Path) -> None:
    assert sft_arguments(sft(trainer={"adam_beta2": 0.95}), tmp_path, 1).adam_beta2 == 0.95


def test_dpo_settings_reach_trl(tmp_path: Path) -> None:
    spec = DpoSpec(kind="dpo", policy="sft", data="p", learning_rate=1e-5, beta=0.3, loss="ipo", label_smoothing=0.1)
    arguments = dpo_arguments(spec, tmp_path, 4)
    assert (arguments.beta, arguments.loss_type, arguments.label_smoothing) == (0.3, ["ipo"], 0.1)


def test_weights_that_are_trained_stay_in_float32() -> None:
    assert weights_dtype(sft(precision="bfloat16")) is torch.float32
    assert weights_dtype(sft(precision="bfloat16", lora={"r": 4})) is torch.bfloat16
    if not torch.cuda.is_available():
        assert autocast_dtype(sft()) is torch.float32


def test_best_means_less_of_a_loss_and_more_of_a_reward() -> None:
    assert is_better("eval_loss", 1.0, 2.0) and not is_better("eval_loss", 2.0, 1.0)
    assert is_better("eval_rewards/accuracies", 0.8, 0.7) and is_better("eval_loss", 9.0, None)
    assert wanted_metric(sft(eval_data="e", keep="best(loss)")) == "eval_loss"
