"""Low-rank adapters (Hu et al. 2021, 2106.09685) through peft."""

from __future__ import annotations

from peft import LoraConfig

from align.specs.training import LoRA


def lora_config(settings: LoRA, score_head: str | None = None) -> LoraConfig:
    """peft's configuration: W x + (alpha / r) B A x on the target layers, never on the output layer; B starts at 0.

    `score_head`: of a reward model; it is trained whole and saved with the adapter.
    """
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type="SEQ_CLS" if score_head else "CAUSAL_LM",
        modules_to_save=[score_head] if score_head else None,
    )
