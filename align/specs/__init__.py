"""Settings, typed inputs and outputs of every stage kind: one file a kind."""

from __future__ import annotations

from align.specs.asking import Suite
from align.specs.base import CASTS, Port, RowType, Settings, Spec
from align.specs.dpo import DpoSpec
from align.specs.evaluate import CompareSpec, EvaluateSpec, MeasureSpec
from align.specs.mix import MixSpec
from align.specs.ppo import PpoSpec, RewardTerm
from align.specs.prepare import PrepareSpec
from align.specs.pretrain import PretrainSpec
from align.specs.reward import RewardSpec
from align.specs.select import SelectSpec
from align.specs.sft import SftSpec
from align.specs.training import LoRA, TrainingSpec

# What a recipe may write under `stages:`, by kind.
STAGES: dict[str, type[Spec]] = {
    "pretrain": PretrainSpec,
    "sft": SftSpec,
    "dpo": DpoSpec,
    "reward": RewardSpec,
    "ppo": PpoSpec,
    "evaluate": EvaluateSpec,
}

# Data entries that are made of other ones, by the key that says so.
MADE_OF: dict[str, type[Spec]] = {"mix": MixSpec, "select": SelectSpec}

# What the plan carries out, by kind.
STEPS: dict[str, type[Spec]] = {
    "prepare": PrepareSpec,
    "mix": MixSpec,
    "select": SelectSpec,
    "pretrain": PretrainSpec,
    "sft": SftSpec,
    "dpo": DpoSpec,
    "reward": RewardSpec,
    "ppo": PpoSpec,
    "measure": MeasureSpec,
    "compare": CompareSpec,
}

__all__ = [
    "CASTS",
    "MADE_OF",
    "STAGES",
    "STEPS",
    "CompareSpec",
    "DpoSpec",
    "EvaluateSpec",
    "LoRA",
    "MeasureSpec",
    "MixSpec",
    "Port",
    "PpoSpec",
    "PrepareSpec",
    "PretrainSpec",
    "RewardSpec",
    "RewardTerm",
    "RowType",
    "SelectSpec",
    "Settings",
    "SftSpec",
    "Spec",
    "Suite",
    "TrainingSpec",
]
