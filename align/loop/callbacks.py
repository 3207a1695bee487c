"""What happens around the steps of a trainer: logs, progress, evaluations, checkpoints, stopping."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from align.specs.training import TrainingSpec

SAVE_SECONDS = 60.0
SAVE_SHARE = 0.05  # of the time, at most, goes into checkpoints
_NOT_CURVES = {"total_flos", "step", "epoch"}


def wanted_metric(spec: TrainingSpec) -> str | None:
    """The metric of keep: best(METRIC), with the prefix that evaluations have."""
    if spec.keep == "last":
        return None
    name = spec.keep.removeprefix("best(").removesuffix(")")
    return name if name.startswith("eval_") else f"eval_{name}"


def is_better(name: str, value: float, best: float | None) -> bool:
    """Whether a metric improved: less of a loss, entropy or perplexity, more of anything else."""
    if best is None:
        return True
    less = any(word in name for word in ("loss", "perplexity", "entropy", "kl"))
    return value < best if less else value > best


class LoopCallback(TrainerCallback):
    """Decides by step when to evaluate and save, so that logs and results do not depend on when a save happened.

    Without `save_every` a checkpoint is written about once a minute, and less often where writing takes long: time decides
    only what a resumed run can start from, never what it computes.
    """

    def __init__(self, trainer: Any, spec: TrainingSpec, tracker: Any) -> None:
        self.trainer, self.spec, self.tracker = trainer, spec, tracker
        self.metric = wanted_metric(spec)
        self.stopped = False
        self._saved_at = time.monotonic()
        self._last: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        self.trainer.restore_progress()
        self._saved_at = time.monotonic()
        return control

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        step, last = state.global_step, state.global_step >= state.max_steps
        stop, save = self.trainer.agreed(self.tracker.stop_requested, self._save_is_due(step))
        every = self.spec.eval_every
        control.should_log = control.should_log or last
        control.should_evaluate = self.trainer.eval_dataset is not None and (last or bool(every and step % every == 0))
        control.should_save = (save or stop) and not last
        if stop and not last:
            control.should_training_stop = self.stopped = True
        if state.is_world_process_zero:
            self.tracker.progress(step, state.max_steps, **self._last, **_memory())
        return control

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> TrainerControl:
        if self.metric:
            value = self.trainer.metric_of(metrics, self.metric)
            if is_better(self.metric, value, state.best_metric):
                state.best_metric, state.best_global_step = value, state.global_step
                control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._saved_at = time.monotonic()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        curves = {
            name: float(value)
            for name, value in logs.items()
            if isinstance(value, (int, float)) and name not in _NOT_CURVES and not name.startswith("train_")
        }
        self._last |= {name: curves[name] for name in ("loss", "tokens_per_second") if name in curves}
        if curves:
            self.tracker.log(state.global_step, curves)

    def _save_is_due(self, step: int) -> bool:
        if self.spec.save_every:
            return step % self.spec.save_every == 0
        pause = max(SAVE_SECONDS, self.trainer.save_seconds / SAVE_SHARE)
        return time.monotonic() - self._saved_at >= pause


def _memory() -> dict[str, float]:
    if not torch.cuda.is_available():
        return {}
    return {"memory": torch.cuda.max_memory_allocated() / 2**30}
