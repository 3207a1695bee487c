"""A step carried out in small, by its own stage: a few optimizer steps on the longest rows, a checkpoint, its result.

What stands behind it in the recipe then begins with what the trial wrote. On a GPU a step is as large as it will be; on the
CPU it may have fewer rows, and times are scaled up.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from align.artifact.inputs import Inputs, ModelInput
from align.errors import ModelError, TrainingError, UserError
from align.job import spec_of
from align.loop import checkpoints
from align.loop.arguments import device
from align.preflight import pace
from align.preflight.context import TRIAL_ROWS, Context, trained_input
from align.preflight.pace import STEPS, UPDATES
from align.specs import PpoSpec, PretrainSpec, TrainingSpec
from align.specs.evaluate import EvaluateSettings, MeasureSpec
from align.specs.suites import BenchmarkSuite
from align.stages.all import RUN

ASIDE_ROWS = {"cpu": 4, "cuda": 16}  # of what a stage reads beside its training data
ASKED = 4, 16  # rows of an evaluation suite, fewest and most
ASKED_PARTS = 24  # of one that needs several slices
CPU_FLOPS = 2e11  # of a step on the CPU; 6 a parameter and token (Kaplan et al. 2020, 2001.08361)
CPU_LOGITS = 1.5e8  # of a step on the CPU: with large vocabularies they take longer than the layers
CPU_TOKENS, GPU_TOKENS = 16, 64  # of a sampled answer
CPU_READ = 512  # of a row that is read, about


def _untold(done: int, total: int) -> None:
    pass


@dataclass
class Quiet:
    """A tracker that keeps what it is told. `marks`: the time of each step's end; `tell` is told how many are done."""

    tell: Callable[[int, int], None]
    notes: list[str] = field(default_factory=list)
    marks: dict[int, float] = field(default_factory=dict)
    telling: dict[str, float] = field(default_factory=dict)
    stop_requested: bool = False

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.marks.setdefault(step, time.monotonic())

    def progress(self, done: int, total: int, **telling: float) -> None:
        self.marks.setdefault(done, time.monotonic())
        self.telling = telling
        self.tell(done, total)

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@dataclass
class Trial:
    """What a trial took and wrote. Memory in bytes.

    `step_seconds`: of one whole optimizer step (PPO: of one episode), `once_seconds`: of all that is done once. Of a step
    that trains nothing it is all that the step will take, and no step's seconds are told.
    """

    seconds: float
    once_seconds: float
    step_seconds: float
    memory: float
    model_bytes: float
    checkpoint_bytes: float
    parameters: int
    trained: int
    saved: bool  # a checkpoint was written and read back
    metrics: dict[str, float]
    notes: list[str]


def run(context: Context, step: str) -> Trial:
    """Carries a step out in small. Raises what its stage raises; its model is then in the context."""
    job = context.jobs[step]
    out = context.scratch / "steps" / step
    out.mkdir(parents=True)
    spec = small(spec_of(job), *_size_of_start(context, step))
    content = _checkpointed(context, step)
    saves = isinstance(spec, TrainingSpec) and content not in context.checkpoints
    if isinstance(spec, TrainingSpec) and not saves:
        spec = spec.model_copy(update={"save_every": 2 * STEPS})  # never
    inputs = Inputs(
        {name: context.input(step, name, _rows(spec, name)) for name in job.edges}, context.scratch / "cache"
    )
    tracker, process = Quiet(context.say_more if isinstance(spec, TrainingSpec) else _untold), psutil.Process()
    before = _reset_memory(process)
    began = time.monotonic()
    metrics = RUN[job.kind](spec, inputs, out, tracker)  # type: ignore[arg-type]
    seconds = time.monotonic() - began
    if saves:
        context.checkpoints[content] = _checkpoint(out / "checkpoints", step)
    written = context.checkpoints.get(content, 0.0)
    parameters = trained = 0
    if (out / "model").is_dir():
        source = inputs.named.get(spec_of(job).trains)
        model = _written(step, out / "model", source if isinstance(source, ModelInput) else None)
        context.models[step] = model
        trained = tensors(model.path)
        parameters = trained + (tensors(model.base.path) if model.base else 0)
    once, each = _paces(context, step, spec, inputs, tracker, metrics, seconds)
    return Trial(
        seconds, once, each, _memory(process, before), _size(out / "model"), written, parameters, trained, saves, metrics,
        tracker.notes,
    )  # fmt: skip


def _rows(spec: Any, name: str) -> int:
    """How many rows of an input a trial reads."""
    if isinstance(spec, PpoSpec):
        return spec.batch_size  # it draws its prompts at random
    return TRIAL_ROWS if name == "data" or not isinstance(spec, TrainingSpec) else ASIDE_ROWS[device().type]


def _checkpointed(context: Context, step: str) -> str:
    """What the checkpoint of a training stage holds: one that was written and read back stands for others like it."""
    spec, name = spec_of(context.jobs[step]), trained_input(context.jobs[step])
    if not isinstance(spec, TrainingSpec):
        return ""
    source = context.input(step, name) if name else None
    begins = source.digest if isinstance(source, ModelInput) else step
    return f"{spec.kind} {begins} {spec.lora}"


def _size_of_start(context: Context, step: str) -> tuple[int, int]:
    """About how many parameters the model has that a step begins with, and how many tokens it tells apart."""
    spec = spec_of(context.jobs[step])
    if isinstance(spec, PretrainSpec) and spec.architecture:
        shape = spec.architecture
        return shape.width * (12 * shape.width * shape.layers + shape.vocab_size), shape.vocab_size
    begins = "model" if isinstance(spec, MeasureSpec) else spec.trains
    source = context.input(step, begins) if begins else None
    while isinstance(source, ModelInput) and source.base:
        source = source.base
    if not isinstance(source, ModelInput):
        return 0, 1
    config = json.loads((source.path / "config.json").read_text())
    return tensors(source.path), int(config.get("vocab_size") or 1)


def _rows_on_cpu(weights: int, vocabulary: int, tokens: int) -> int:
    """How many rows of so many tokens a step on the CPU takes some seconds for."""
    return int(min(CPU_FLOPS / (6 * weights * tokens + 1), CPU_LOGITS / (tokens * vocabulary)))


def small(spec: Any, weights: int, vocabulary: int) -> Any:
    """The same settings for a few steps of the same size; on the CPU as many rows a step as take it some seconds."""
    cuda = torch.cuda.is_available()
    if isinstance(spec, TrainingSpec):
        batch = max(1, spec.batch_size // spec.devices)
        if not cuda:
            each = spec.max_length * (2 if spec.kind in ("dpo", "reward") else 1)
            batch = max(1, min(batch, _rows_on_cpu(weights, vocabulary, each)))
        micro = spec.micro_batch_size if spec.micro_batch_size and batch % spec.micro_batch_size == 0 else None
        change = {
            "max_steps": STEPS, "batch_size": batch, "micro_batch_size": micro, "devices": 1,
            "log_every": 1, "save_every": STEPS - 1, "eval_every": None, "keep": "last", "drop_budget": 1.0,
            "trainer": {**spec.trainer, "train_sampling_strategy": "sequential"},  # the longest rows first
        }  # fmt: skip
        return spec.model_copy(update=change)
    if isinstance(spec, PpoSpec):
        batch, tokens = spec.batch_size, spec.max_new_tokens
        if not cuda:
            fits = _rows_on_cpu(weights, vocabulary, 2 * spec.max_new_tokens)  # about, prompt and completion
            batch = min(batch, max(2, fits // spec.minibatches) * spec.minibatches)
            tokens = tokens if fits >= batch else min(tokens, CPU_TOKENS)
        change = {
            "episodes": UPDATES * batch,
            "batch_size": batch,
            "max_new_tokens": tokens,
            "epochs": 1,
            "samples": 0,
            "log_every": 1,
        }
        return spec.model_copy(update=change)
    if isinstance(spec, EvaluateSettings):
        fewest, rows = ASKED
        if not cuda:
            rows = max(fewest, min(rows, _rows_on_cpu(weights, vocabulary, CPU_READ)))
        suites = {name: _few(suite, rows, GPU_TOKENS if cuda else CPU_TOKENS) for name, suite in spec.suites.items()}
        return spec.model_copy(update={"suites": suites, "batch_size": min(spec.batch_size or rows, rows)})
    return spec


def _few(suite: Any, rows: int, tokens: int) -> Any:
    """A suite for so many rows and new tokens; where each row costs money, or stands for many, for the fewest."""
    if getattr(suite, "judge", None) or isinstance(suite, BenchmarkSuite):
        rows = ASKED[0]
    rows = max(rows, ASKED_PARTS) if suite.parts() else rows
    most = {
        "limit": min(rows, suite.limit or rows),
        "max_new_tokens": min(tokens, getattr(suite, "max_new_tokens", tokens)),
    }
    return suite.model_copy(update={name: value for name, value in most.items() if name in type(suite).model_fields})


def _paces(
    context: Context, step: str, spec: Any, inputs: Inputs, tracker: Quiet, metrics: Mapping[str, float], seconds: float
) -> tuple[float, float]:
    """Seconds of what a step does once, and of each optimizer step (PPO: episode) of its whole settings."""
    whole, known = spec_of(context.jobs[step]), context.costs.get(step, {})
    if isinstance(spec, PpoSpec):
        each = pace.of_an_episode(metrics, whole, spec, known.get("prompt_tokens", 0.0))
        return max(0.0, seconds - UPDATES * pace.of_an_update(metrics)), each
    if isinstance(spec, MeasureSpec):
        taken = {kind.removeprefix("seconds/"): each for kind, each in tracker.telling.items()}
        return pace.of_an_evaluation(context, step, spec, inputs, taken, seconds), 0.0
    if not isinstance(spec, TrainingSpec):
        return seconds, 0.0
    one = pace.of_a_step(tracker.marks, seconds)
    rows = whole.batch_size / (spec.batch_size * whole.devices)
    shorter = pace.shorter(known.get("row_tokens", 0.0), metrics["tokens"] / (STEPS * spec.batch_size))
    return max(0.0, seconds - STEPS * one), one * rows * shorter


def _checkpoint(root: Path, step: str) -> float:
    """Bytes of the checkpoint that was written, read back and held against its hashes."""
    good = checkpoints.last_good(root)
    if good is None:
        raise TrainingError(
            f"stages.{step}", "the checkpoint that was written does not read back", "", "Check the disk."
        )
    return _size(good)


def _written(name: str, folder: Path, source: ModelInput | None) -> ModelInput:
    base = source if (folder / "adapter_config.json").is_file() else None
    if not any(folder.glob("*.safetensors")):
        raise ModelError(name, "the model that was written has no weights")
    return ModelInput(name, folder, f"trial of {name}", base)


def tensors(folder: Path) -> int:
    """Numbers in the safetensors files of a folder, from their headers (8 bytes of length, then JSON)."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        for name, told in header.items():
            if name != "__metadata__":
                size = 1
                for side in told["shape"]:
                    size *= side
                count += size
    return count


def _size(folder: Path) -> float:
    return float(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())) if folder.is_dir() else 0.0


def _reset_memory(process: psutil.Process) -> int:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return process.memory_info().rss


def _memory(process: psutil.Process, before: int) -> float:
    """The most that the GPU held; on the CPU what this process holds at the end, of which the libraries are a part."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_reserved())
    return float(max(before, process.memory_info().rss))


def forget(context: Context, step: str) -> None:
    """Deletes a trial's checkpoints, which nothing reads any more."""
    shutil.rmtree(context.scratch / "steps" / step / "checkpoints", ignore_errors=True)


def why(error: UserError) -> str:
    """An error in one line."""
    return " ".join(str(error).split())
