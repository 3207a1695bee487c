"""Our SFT, reward and DPO, by the loops that the stages train with."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset

from align.loop.arguments import dpo_arguments, micro_batch_size, reward_arguments, sft_arguments
from align.loop.batches import Document, PackedCollator, packed_dataset
from align.loop.opening import prepare_for_pairs
from align.loop.train import compile_layers, dpo_loop, reward_loop, sft_loop, train
from align.models.reward import new_reward_model
from align.specs.dpo import DpoSpec
from align.specs.reward import RewardSpec
from align.specs.sft import SftSpec
from align.workloads import shapes
from align.workloads.clock import Schedule, StepClock

LEARNING_RATE = 1e-5
SEED = 42  # TRL's own, so that its batches are the same


class Silent:
    """A tracker that nobody reads."""

    stop_requested = False

    def log(self, step: int, metrics: Any) -> None: ...

    def progress(self, done: int, total: int, **telling: float) -> None: ...

    def note(self, sentence: str) -> None: ...


def sft(plan: dict[str, Any]) -> dict[str, Any]:
    """Documents packed into rows of max_length, `rows` of them a step."""
    schedule, size = Schedule(*plan["schedule"]), plan["size"]
    spec = SftSpec(
        kind="sft", model="m", data="d", max_length=plan["max_length"], **_settings(plan, schedule, plan["rows"])
    )
    model = shapes.causal(size, torch.float32)
    told = shapes.about(model)
    found = shapes.documents(size, (schedule.steps + 1) * plan["rows"] * spec.max_length, spec.max_length)
    data = packed_dataset([Document(ids, ids) for ids in found], spec.max_length)
    micro = micro_batch_size(spec, model)
    steady = micro * spec.max_length if torch.cuda.is_available() else None
    collator = PackedCollator(shapes.PAD, spec.max_length, steady)
    if spec.compile:
        compile_layers(model)
    with TemporaryDirectory() as folder:
        loop = sft_loop(model, sft_arguments(spec, Path(folder), micro), shapes.tokenizer(), collator, data, None)
        return told | _timed(loop, spec, schedule) | {"micro_batch": micro}


def reward(plan: dict[str, Any]) -> dict[str, Any]:
    schedule = Schedule(*plan["schedule"])
    spec = RewardSpec(kind="reward", model="m", data="d", **_settings(plan, schedule, plan["pairs"]))
    model = new_reward_model(shapes.causal(plan["size"], torch.float32), 0)
    told = shapes.about(model)
    prepare_for_pairs(model, spec)
    found = shapes.pairs(plan["size"], (schedule.steps + 1) * plan["pairs"])
    data = Dataset.from_dict(
        {side: [p["prompt_ids"] + p[side] for p in found] for side in ("chosen_ids", "rejected_ids")}
    )
    micro = micro_batch_size(spec, model, sequences_a_row=2)
    with TemporaryDirectory() as folder:
        loop = reward_loop(model, reward_arguments(spec, Path(folder), micro), shapes.tokenizer(), data, None)
        return told | _timed(loop, spec, schedule) | {"micro_batch": micro}


def dpo(plan: dict[str, Any]) -> dict[str, Any]:
    """The reference computed in every step, as in one pass over the pairs."""
    schedule = Schedule(*plan["schedule"])
    spec = DpoSpec(kind="dpo", policy="m", data="d", **_settings(plan, schedule, plan["pairs"]))
    policy, reference = (shapes.causal(plan["size"], torch.float32) for _ in range(2))
    told = shapes.about(policy)
    reference.requires_grad_(False)
    for model in (policy, reference):
        prepare_for_pairs(model, spec)
    data = Dataset.from_list(shapes.pairs(plan["size"], (schedule.steps + 1) * plan["pairs"]))
    micro = micro_batch_size(spec, policy, sequences_a_row=2, models=2)
    with TemporaryDirectory() as folder:
        loop = dpo_loop(policy, reference, dpo_arguments(spec, Path(folder), micro), shapes.tokenizer(), data, None)
        return told | _timed(loop, spec, schedule) | {"micro_batch": micro}


def _settings(plan: dict[str, Any], schedule: Schedule, batch: int) -> dict[str, Any]:
    return {
        "learning_rate": LEARNING_RATE, "batch_size": batch, "max_steps": schedule.steps, "seed": SEED,
        "scheduler": "constant", "warmup": 0.0, "compile": plan["compile"], "log_every": schedule.steps,
        "save_every": 10**9, "micro_batch_size": plan.get("micro_batch"),
    }  # fmt: skip


def _timed(loop: Any, spec: Any, schedule: Schedule) -> dict[str, Any]:
    clock = StepClock(loop, schedule)
    train(loop, spec, Silent())
    return clock.taken.told()
