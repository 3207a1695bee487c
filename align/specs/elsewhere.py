"""What other toolkits (TRL, LLaMA-Factory, axolotl, OpenRLHF) call our settings, for people who come with their recipes."""

from __future__ import annotations

from collections.abc import Collection

OURS = {
    "learning_rate": ("lr", "actor_learning_rate"),
    "epochs": ("num_train_epochs", "num_epochs", "max_epochs", "ppo_epochs", "num_ppo_epochs"),
    "max_steps": ("num_steps", "total_steps", "iterations", "iters"),
    "batch_size": ("train_batch_size", "global_batch_size", "rollout_batch_size", "bs"),
    "micro_batch_size": ("per_device_train_batch_size", "per_device_batch_size", "micro_train_batch_size"),
    "max_length": ("max_seq_length", "max_seq_len", "seq_len", "sequence_len", "sequence_length", "cutoff_len", "max_len"),
    "max_new_tokens": ("response_length", "generate_max_len", "max_tokens", "max_completion_length"),
    "scheduler": ("lr_scheduler", "lr_scheduler_type"),
    "warmup": ("warmup_ratio", "warmup_steps", "num_warmup_steps"),
    "max_grad_norm": ("clip_grad", "gradient_clipping"),
    "precision": ("bf16", "fp16", "dtype", "torch_dtype"),
    "lora": ("peft", "peft_config", "use_peft", "use_lora", "lora_r", "lora_rank", "lora_alpha", "adapter"),
    "checkpoint_activations": ("gradient_checkpointing", "activation_checkpointing"),
    "compile": ("torch_compile",),
    "eval_every": ("eval_steps", "eval_interval"),
    "log_every": ("logging_steps", "log_interval"),
    "save_every": ("save_steps", "save_interval"),
    "eval_data": ("eval_dataset", "validation", "val_data"),
    "data": ("dataset", "datasets", "train_dataset", "train_data", "pairs", "dataset_name"),
    "prompts": ("data", "dataset", "prompt_data", "prompt_dataset"),
    "model": ("policy", "model_name_or_path", "base_model", "model_name", "init"),
    "policy": ("model", "model_name_or_path", "base_model", "actor", "init"),
    "reward": ("reward_model", "reward_funcs", "rewards", "reward_model_path"),
    "devices": ("gpus", "num_gpus", "nproc_per_node", "num_processes"),
    "kl_coef": ("init_kl_coef", "beta", "kl_penalty"),
    "clip_range": ("cliprange", "clip_eps", "eps_clip", "epsilon"),
    "value_clip_range": ("cliprange_value", "value_clip"),
    "gae_lambda": ("lam", "lambda", "lambd"),
    "episodes": ("total_episodes", "num_episodes"),
    "minibatches": ("num_mini_batches", "num_minibatches"),
    "loss": ("loss_type", "pref_loss"),
    "packing": ("sample_packing", "pack"),
    "r": ("rank", "lora_r"),
    "alpha": ("lora_alpha",),
    "dropout": ("lora_dropout",),
    "targets": ("target_modules", "lora_target", "lora_target_modules"),
    "source": ("path", "file", "files", "dataset", "name"),
    "as": ("type", "row_type"),
    "limit": ("max_samples", "num_samples", "max_rows"),
    "holdout": ("test_size", "val_size", "eval_fraction", "test_split"),
    "base": ("model", "base_model", "model_name_or_path"),
    "stages": ("pipeline", "steps"),
    "tracking": ("wandb", "report_to", "logging"),
    "store": ("output_dir", "output", "out_dir"),
}  # fmt: skip


def ours(theirs: str, known: Collection[str]) -> str | None:
    """Our key for theirs among those known here; None where nobody calls one of them so."""
    return next((key for key, names in OURS.items() if key in known and theirs in names), None)
