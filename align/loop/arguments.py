"""A stage's settings -> the arguments of TRL's trainers: what a person declares once, spread over micro batches and devices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from trl import DPOConfig, RewardConfig, SFTConfig

from align.errors import TrainingError
from align.models.quiet import quiet
from align.specs.dpo import DpoSpec
from align.specs.reward import RewardSpec
from align.specs.training import TrainingSpec

CPU_TOKENS = 8192  # a micro batch on the CPU
MEMORY_SHARE = 0.8  # of a GPU's memory, so that the allocator has room


def world_size() -> int:
    """How many processes train together: what torchrun says, else 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def device() -> torch.device:
    """Where this process trains."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def autocast_dtype(spec: TrainingSpec) -> torch.dtype:
    """bfloat16 where asked for, or where `auto` finds a GPU that has it; weights stay float32 either way."""
    if spec.precision == "auto":
        able = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if able else torch.float32
    return getattr(torch, spec.precision)


def weights_dtype(spec: TrainingSpec) -> torch.dtype:
    """float32 for weights that are trained; frozen ones under an adapter are kept as they are computed with."""
    return autocast_dtype(spec) if spec.lora else torch.float32


def micro_batch_size(spec: TrainingSpec, model: Any, sequences_a_row: int = 1, models: int = 1) -> int:
    """Rows a forward pass a device: as told, else the largest divisor of the device's share that should fit.

    Estimated from sizes alone, never from what is free at the moment, so that a run can be repeated. `sequences_a_row`: 2
    for pairs; `models`: how many copies of the weights are held.
    """
    share = spec.batch_size // world_size()
    if spec.batch_size % world_size():
        raise TrainingError(
            "batch_size", f"{spec.batch_size} rows cannot be shared by {world_size()} devices",
            f"A multiple of {world_size()}", "Change batch_size or devices.",
        )  # fmt: skip
    if spec.micro_batch_size:
        return min(spec.micro_batch_size, share)
    row_tokens = spec.max_length * sequences_a_row
    most = max(1, _tokens_that_fit(spec, model, models) // row_tokens)
    return max(n for n in range(1, share + 1) if share % n == 0 and n <= most)


def _tokens_that_fit(spec: TrainingSpec, model: Any, models: int) -> int:
    if not torch.cuda.is_available():
        return CPU_TOKENS
    config = model.config.get_text_config()
    count = sum(p.numel() for p in model.parameters())
    trained = 0 if spec.lora else count
    states = 16 * trained + 6 * count * models  # weights, gradient, two moments; copies to compute with
    layers, width = config.num_hidden_layers, config.hidden_size
    mlp = getattr(config, "intermediate_size", None) or 4 * width
    bytes_a_token = 2 * (4.5 * mlp + 10 * width) * (1 if spec.checkpoint_activations else layers) + 4 * layers * width
    total = torch.cuda.get_device_properties(device()).total_memory * MEMORY_SHARE
    return int(max(0.0, total - states) / bytes_a_token)


def common_arguments(spec: TrainingSpec, folder: Path, micro: int) -> dict[str, Any]:
    """What every trainer is told. Saving, evaluating and stopping are decided by the loop's own callback."""
    bf16 = autocast_dtype(spec) is torch.bfloat16
    return {
        "output_dir": str(folder),
        "seed": spec.seed or 0,
        "learning_rate": spec.learning_rate,
        "num_train_epochs": spec.epochs,
        "max_steps": spec.max_steps or -1,
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": micro,
        "gradient_accumulation_steps": spec.batch_size // (micro * world_size()),
        "lr_scheduler_type": spec.scheduler,
        "warmup_steps": spec.warmup,
        "weight_decay": spec.weight_decay,
        "max_grad_norm": spec.max_grad_norm,
        "bf16": bf16,
        "use_cpu": not torch.cuda.is_available(),
        "max_length": spec.max_length,
        "gradient_checkpointing": spec.checkpoint_activations,
        "logging_steps": spec.log_every,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        **spec.trainer,
    }


@quiet()
def sft_arguments(spec: TrainingSpec, folder: Path, micro: int) -> SFTConfig:
    """For pretraining and SFT: batches come packed, so that TRL is to prepare, pad and cut nothing."""
    arguments = common_arguments(spec, folder, micro)
    return _checked(SFTConfig(**arguments, packing=False, dataset_kwargs={"skip_prepare_dataset": True}))


@quiet()
def dpo_arguments(spec: DpoSpec, folder: Path, micro: int, precomputed: bool = False) -> DPOConfig:
    arguments = common_arguments(spec, folder, micro)
    return _checked(
        DPOConfig(
            **arguments,
            beta=spec.beta,
            loss_type=[spec.loss],
            label_smoothing=spec.label_smoothing,
            disable_dropout=True,
            precompute_ref_log_probs=precomputed,
        )
    )


@quiet()
def reward_arguments(spec: RewardSpec, folder: Path, micro: int) -> RewardConfig:
    arguments = common_arguments(spec, folder, micro)
    return _checked(RewardConfig(**arguments, center_rewards_coefficient=spec.center or None, disable_dropout=True))


def _checked(arguments: Any) -> Any:
    """Each process must know of the others: one that trains alone would overwrite their results."""
    if arguments.world_size != world_size():
        raise TrainingError(
            "devices", f"the trainer sees {arguments.world_size} processes", f"{world_size()} were started",
            "Start them with torchrun.",
        )  # fmt: skip
    return arguments
