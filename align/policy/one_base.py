"""PPO's four models as adapters of one frozen base.

    policy   base + default           reward model   base + its own adapter, and its score head
    reference   base alone            value model    the reward model + an adapter that learns, and a head

That works where the reward model was trained as an adapter on the very model the policy starts from: their digests say so.
All adapters lie in the policy's layers; which of them count is set around each forward pass. peft's own way of setting that
also turns the gradients of all others off, which would cut a loss of two models in half.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from torch import nn

from align.artifact.inputs import ModelInput
from align.models.load import tokenizer_rows
from align.models.lora import lora_config
from align.models.packed import PACKED, supports_packing
from align.models.reward import HEAD, RewardModel, constants_of
from align.models.tokenizer import shipped_tokenizer
from align.rollout.packing import attention
from align.specs.training import LoRA

POLICY, VALUE = "default", "value"


class Facet:
    """One of the models on a shared base: its decoder with these adapters active, and no others."""

    def __init__(self, owner: PeftModel, adapters: tuple[str, ...]) -> None:
        self.owner, self.adapters = owner, adapters
        self.config = owner.get_base_model().config
        self.packing = supports_packing(self.config)

    def __call__(self, **inputs: Any) -> Any:
        model: Any = self.owner.get_base_model()
        with active(self.owner, self.adapters), attention(model, PACKED) if self.packing else nullcontext():
            return model.base_model(**inputs)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Of the adapter added last: those below it belong to others."""
        return (p for name, p in self.owner.named_parameters() if f".{self.adapters[-1]}." in name)


@contextmanager
def active(model: PeftModel, adapters: tuple[str, ...]) -> Iterator[None]:
    """Within it these adapters count; no parameter starts or stops to take gradients."""
    layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]
    before = [layer._active_adapter for layer in layers]
    try:
        for layer in layers:
            layer._active_adapter = list(adapters)
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            layer._active_adapter = was


def shares_base(policy: Any, source: ModelInput, reward: ModelInput) -> bool:
    """Whether a reward model can lie on the policy's base: an adapter, of that base, with no token of its own."""
    if not isinstance(policy, PeftModel) or reward.base is None or reward.base.digest != source.digest:
        return False
    model: Any = policy.get_base_model()
    return tokenizer_rows(reward.path) <= model.get_input_embeddings().weight.shape[0]


def attach_reward(policy: PeftModel, source: ModelInput, adapter: str) -> RewardModel:
    """The reward model of an adapter folder, on the policy's base, frozen."""
    tensors = load_file(source.path / "adapter_model.safetensors")
    head = next(name for name in tensors if name.endswith(f".{HEAD}.weight"))
    head_H = tensors.pop(head)[0].float()
    told = cast(LoraConfig, LoraConfig.from_pretrained(str(source.path)))
    told.modules_to_save, told.task_type = None, "CAUSAL_LM"
    _add(policy, adapter, told)
    set_peft_model_state_dict(policy, tensors, adapter_name=adapter)
    _train_only(policy, (POLICY,))
    body = Facet(policy, (adapter,))
    gain, bias = constants_of(source)
    device = next(policy.parameters()).device
    return RewardModel(source.name, body, head_H.to(device), 0.0, gain, bias, shipped_tokenizer(source), body.config)


def attach_value(reward: RewardModel, lora: LoRA) -> Facet:
    """A value model that starts as the reward model, with an adapter of its own on top."""
    below: Facet = reward.body
    settings = lora_config(lora)
    _add(
        below.owner,
        VALUE,
        LoraConfig(
            r=settings.r, lora_alpha=settings.lora_alpha, target_modules=settings.target_modules, task_type="CAUSAL_LM"
        ),
    )
    _train_only(below.owner, (POLICY, VALUE))
    return Facet(below.owner, (*below.adapters, VALUE))


def _add(policy: PeftModel, adapter: str, settings: LoraConfig) -> None:
    policy.add_adapter(adapter, settings)
    policy.set_adapter(POLICY)
    policy.eval()


def _train_only(policy: PeftModel, adapters: tuple[str, ...]) -> None:
    for name, parameter in policy.named_parameters():
        parameter.requires_grad_("lora_" in name and any(f".{a}." in name for a in adapters))
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
