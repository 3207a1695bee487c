"""The policy with its value model, and the frozen reference.

    full      policy, reference, value model (and the reward model it was copied from) are four sets of weights
    lora      reference = the policy with its adapter off; the value model = an adapter on the reward model's frozen body;
              so two frozen bases and two adapters, or one base where the value model is a head on the policy, or where the
              reward model is itself an adapter of the policy's base (one_base.py)

The reference is kept in the policy's own dtype and computed by the same kernels, so that the KL of an unmoved policy is
exactly 0. No model is ever in training mode: dropout would make the policy another one at each look.

Axes: N completion tokens of all sequences in one row, H hidden width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from align.errors import ModelError
from align.models.lora import lora_config
from align.models.packed import PACKED, supports_packing
from align.models.reward import RewardModel
from align.objectives.tempered import chunked_tempered_terms
from align.policy.one_base import Facet, active, attach_value
from align.rollout.packing import Packed, attention, predicting_states
from align.specs.training import LoRA


def causal(model: Any) -> Any:
    """The causal language model itself, without the wrapper of its adapter."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


class ValueHead(nn.Module):
    """v = w . h + b in float32 whatever the hidden states are in.

    At first 0 everywhere, so that the first advantages are the rewards to go: values drawn at random are as large as most
    rewards, and the first updates then learn their noise. With `seed`, w ~ N(0, 1 / (H + 1)) and b = 0 (2403.17031).
    """

    def __init__(self, width: int, seed: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))
        if seed is not None:
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                self.weight.normal_(0, 1 / math.sqrt(width + 1), generator=generator)

    def forward(self, hidden_NH: Tensor) -> Tensor:
        return (hidden_NH.float() * self.weight).sum(-1) + self.bias


class ActorCritic(nn.Module):
    """A policy, and a value model that is a head on the policy (`value_body` None) or has a body of its own."""

    def __init__(self, policy: Any, value_body: Any | None, value_head: ValueHead, temperature: float) -> None:
        super().__init__()
        check_output(causal(policy))
        self.policy, self.value_body, self.value_head = policy.eval(), value_body, value_head
        self.temperature = temperature
        self.recompute = False  # activations in the backward pass, to save their memory
        self.compiled = False  # each layer, whenever the policy trains and scores
        bodies = [causal(policy), *([inner(value_body)] if value_body is not None else [])]
        self.packing = all(supports_packing(body.config) for body in bodies)
        if value_body is not None and not isinstance(value_body, Facet):
            value_body.eval()
            bodies[1].set_attn_implementation(PACKED if self.packing else "sdpa")

    @property
    def device(self) -> torch.device:
        return self.value_head.weight.device

    def policy_parameters(self) -> list[nn.Parameter]:
        others = {id(p) for p in self.value_parameters()}  # on a shared base the policy's layers hold them too
        return [p for p in self.policy.parameters() if p.requires_grad and id(p) not in others]

    def value_parameters(self) -> list[nn.Parameter]:
        body = self.value_body.parameters() if self.value_body is not None else ()
        return [p for p in (*body, *self.value_head.parameters()) if p.requires_grad]

    def terms(self, packed: Packed, entropy_trained: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """(logprobs, entropies, values) of the scored tokens; values are of the state before each token."""
        logprobs_N, entropies_N, hidden_NH = self.policy_terms(packed, entropy_trained)
        values_N = self.value_head(hidden_NH) if self.value_body is None else self.values(packed)
        return logprobs_N, entropies_N, values_N

    def policy_terms(self, packed: Packed, entropy_trained: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """(logprobs, entropies) of the scored tokens, and the policy's hidden states (N, H) before them."""
        model = causal(self.policy)
        hidden_NH = predicting_states(model.base_model, packed)
        return *self._tempered(hidden_NH, model, packed, entropy_trained), hidden_NH

    def values(self, packed: Packed) -> Tensor:
        """Of a value model with a body of its own."""
        return self.value_head(predicting_states(inner(self.value_body), packed))

    def logprobs(self, packed: Packed) -> Tensor:
        """Logprobs alone, of the policy as it stands (its adapter on, off, or none)."""
        model = causal(self.policy)
        return self._tempered(predicting_states(model.base_model, packed), model, packed, False)[0]

    def _tempered(self, hidden_NH: Tensor, model: Any, packed: Packed, entropy_trained: bool) -> tuple[Tensor, Tensor]:
        head_VH = model.get_output_embeddings().weight
        return chunked_tempered_terms(hidden_NH, head_VH, packed.token_ids_N, self.temperature, entropy_trained)

    @contextmanager
    def packed(self) -> Iterator[None]:
        """Within it the policy trains and scores; outside it generates."""
        layers = _layers(self)
        with (
            attention(causal(self.policy), PACKED) if self.packing else nullcontext(),
            recomputed(layers if self.recompute else []),
            compiled(layers if self.compiled else []),
        ):
            yield


def _layers(model: nn.Module) -> list[Any]:
    return [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]


@contextmanager
def compiled(layers: Sequence[Any]) -> Iterator[None]:
    """Within it layers run as torch.compile made them, for any number of tokens; outside it they generate as they are.

    Compiled once for layers that train and once for those that only look, not anew for each number of tokens.
    """
    for layer in layers:
        if "_when_packed" not in vars(layer):
            layer._when_packed = torch.compile(layer._call_impl, dynamic=True)
        layer._compiled_call_impl = layer._when_packed
    try:
        yield
    finally:
        for layer in layers:
            layer._compiled_call_impl = None


@contextmanager
def recomputed(layers: Sequence[Any]) -> Iterator[None]:
    """Within it layers keep their input alone, and are computed again for the backward pass: the same gradients.

    Layers do so only in training mode. They are put in it by themselves, without what they hold, so that no dropout comes on;
    and taken out of it, since without a cache they cannot generate.
    """
    for layer in layers:
        layer.gradient_checkpointing = layer.training = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = layer.training = False


def inner(body: Any) -> Any:
    """A value body without the wrapper of its adapter."""
    return body.get_base_model() if isinstance(body, PeftModel) else body


class Reference:
    """The policy as it was at the start, frozen: a copy of it, or, where only an adapter is trained, the base below."""

    def __init__(self, actor_critic: ActorCritic, autocast: torch.dtype = torch.float32) -> None:
        self._learner = actor_critic
        self._frozen: Any = None
        if not isinstance(actor_critic.policy, PeftModel):
            self._frozen = deepcopy(actor_critic.policy).requires_grad_(False).eval()
            keep_as_computed(self._frozen, autocast)

    @torch.no_grad()
    def logprobs(self, packed: Packed) -> Tensor:
        if self._frozen is None:
            with active(self._learner.policy, ()):
                return self._learner.logprobs(packed)
        layers = _layers(self._frozen) if self._learner.compiled else []  # as the policy is, so that it says the same
        with attention(self._frozen, PACKED) if self._learner.packing else nullcontext(), compiled(layers):
            hidden_NH = predicting_states(self._frozen.base_model, packed)
            return self._learner._tempered(hidden_NH, self._frozen, packed, False)[0]


def keep_as_computed(frozen: Any, autocast: torch.dtype) -> None:
    """Cast the matrices of a frozen model to what autocast casts them to at each pass: the same numbers in less memory.

    Norms and embeddings, which are computed in float32, stay as they are; so does a head that is the embeddings.
    """
    for matrix in _matrices(frozen):
        matrix.to(autocast)


def bytes_as_computed(frozen: Any, autocast: torch.dtype) -> int:
    """Memory of a model that is kept as computed."""
    matrices = {id(p) for matrix in _matrices(frozen) for p in matrix.parameters()}
    return sum(p.numel() * (autocast.itemsize if id(p) in matrices else p.element_size()) for p in frozen.parameters())


def _matrices(model: Any) -> list[nn.Linear]:
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return [m for m in model.modules() if isinstance(m, nn.Linear) and id(m.weight) not in embeddings]


def check_output(model: Any) -> None:
    """Refuse models whose logits are more than hidden states times one matrix: they would be computed wrongly."""
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    scales = [n for n in ("final_logit_softcapping", "logit_scale", "logits_scaling") if getattr(config, n, None)]
    told = [f"{n} {getattr(config, n)}" for n in scales if getattr(config, n) != 1]
    told += ["a bias in its output layer"] if getattr(head, "bias", None) is not None else []
    if told:
        raise ModelError(
            "policy", f"the model ({config.model_type}) has {' and '.join(told)}",
            "Logits that are hidden states times the output embeddings", "Use another base model for ppo.",
        )  # fmt: skip


def value_from_reward(reward: RewardModel, lora: LoRA | None) -> tuple[Any, ValueHead]:
    """A value model that at first gives the reward model's normalised score at every token.

    With `lora` the body stays the reward model's own, frozen, and gets an adapter: scoring must switch it off.
    """
    if lora is not None and isinstance(reward.body, Facet):
        return attach_value(reward, lora), _scoring_head(reward)
    head = _scoring_head(reward)
    if lora is None:
        return deepcopy(reward.body).float().requires_grad_(True), head
    settings = lora_config(lora)
    body_settings = LoraConfig(r=settings.r, lora_alpha=settings.lora_alpha, target_modules=settings.target_modules)
    body = get_peft_model(reward.body, body_settings)
    reward.body = _WithoutAdapter(body)
    return body, head


def _scoring_head(reward: RewardModel) -> ValueHead:
    head = ValueHead(len(reward.head_H))
    with torch.no_grad():
        head.weight.copy_(reward.head_H * reward.gain)
        head.bias.fill_(reward.head_bias * reward.gain + reward.bias)
    return head


class _WithoutAdapter:
    """A body whose adapter is off whenever it is called."""

    def __init__(self, adapted: Any) -> None:
        self._adapted = adapted

    def __call__(self, **inputs: Any) -> Any:
        with self._adapted.disable_adapter():
            return self._adapted.get_base_model()(**inputs)


def bytes_of(*models: Any) -> int:
    """Memory of the weights, each counted once however many models hold it."""
    held = {p.data_ptr(): p.numel() * p.element_size() for m in models if m is not None for p in m.parameters()}
    return sum(held.values())
