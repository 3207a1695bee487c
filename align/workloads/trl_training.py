"""Plain TRL's SFT, reward and DPO on the same rows. Imports nothing of ours that needs a certain TRL."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from align.workloads import shapes
from align.workloads.clock import Schedule, StepClock

LEARNING_RATE = 1e-5


def sft(plan: dict[str, Any]) -> dict[str, Any]:
    """`tuned`: packed, without activation checkpointing; else TRL's defaults, as many documents a step as fit the tokens."""
    schedule, size, length = Schedule(*plan["schedule"]), plan["size"], plan["max_length"]
    a_step = plan["rows"] * length
    found = shapes.documents(size, (schedule.steps + 2) * a_step, length)
    mean = sum(map(len, found)) / len(found)
    batch: dict[str, Any]
    if plan["tuned"]:
        rows = min(plan["rows"], 4)
        batch = {"per_device_train_batch_size": rows, "gradient_accumulation_steps": plan["rows"] // rows}
        batch |= {"packing": True, "gradient_checkpointing": False}
    else:
        rows = max(1, min(8, round(a_step / mean)))
        accumulated = max(1, round(a_step / mean / rows))
        batch = {"per_device_train_batch_size": rows, "gradient_accumulation_steps": accumulated}
    model = shapes.causal(size, _dtype(plan))
    with TemporaryDirectory() as folder:
        args = SFTConfig(**_arguments(schedule, folder), max_length=length, **batch)
        data = Dataset.from_dict({"input_ids": found})
        trainer = SFTTrainer(model=model, args=args, train_dataset=data, processing_class=shapes.tokenizer())
        return _timed(trainer, schedule) | {"micro_batch": rows}


def reward(plan: dict[str, Any]) -> dict[str, Any]:
    schedule = Schedule(*plan["schedule"])
    found = shapes.pairs(plan["size"], (schedule.steps + 1) * plan["pairs"])
    data = Dataset.from_dict(
        {side: [p["prompt_ids"] + p[side] for p in found] for side in ("chosen_ids", "rejected_ids")}
    )
    model = shapes.classifier(plan["size"], _dtype(plan))
    with TemporaryDirectory() as folder:
        args = RewardConfig(**_arguments(schedule, folder), **_batch(plan), max_length=2048)
        trainer = RewardTrainer(model=model, args=args, train_dataset=data, processing_class=shapes.tokenizer())
        return _timed(trainer, schedule) | {"micro_batch": plan["pairs"]}


class _TokenizedDPOTrainer(DPOTrainer):
    """The rows are tokens already; their preparation is not timed anyway."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset


def dpo(plan: dict[str, Any]) -> dict[str, Any]:
    schedule = Schedule(*plan["schedule"])
    data = Dataset.from_list(shapes.pairs(plan["size"], (schedule.steps + 1) * plan["pairs"]))
    policy, reference = (shapes.causal(plan["size"], _dtype(plan)) for _ in range(2))
    with TemporaryDirectory() as folder:
        args = DPOConfig(**_arguments(schedule, folder), **_batch(plan), max_length=2048)
        trainer = _TokenizedDPOTrainer(
            model=policy, ref_model=reference, args=args, train_dataset=data, processing_class=shapes.tokenizer()
        )
        return _timed(trainer, schedule) | {"micro_batch": plan["pairs"]}


def _dtype(plan: dict[str, Any]) -> torch.dtype:
    return getattr(torch, plan["peer_dtype"])


def _batch(plan: dict[str, Any]) -> dict[str, Any]:
    batch: dict[str, Any] = {"per_device_train_batch_size": plan["pairs"]}
    return batch | ({"gradient_checkpointing": False} if plan["tuned"] else {})


def _arguments(schedule: Schedule, folder: str) -> dict[str, Any]:
    return {
        "output_dir": folder, "max_steps": schedule.steps, "learning_rate": LEARNING_RATE, "report_to": [],
        "save_strategy": "no", "logging_steps": schedule.steps, "logging_first_step": True, "disable_tqdm": True,
        "bf16": torch.cuda.is_available(), "use_cpu": not torch.cuda.is_available(), "lr_scheduler_type": "constant",
    }  # fmt: skip


def _timed(trainer: Any, schedule: Schedule) -> dict[str, Any]:
    told = shapes.about(trainer.model)
    clock = StepClock(trainer, schedule)
    trainer.train()
    return told | clock.taken.told()
