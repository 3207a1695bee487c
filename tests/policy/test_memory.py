"""What saves memory changes no number: activations computed twice, frozen models kept cast, two backward passes for one."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from align.policy.experience import Rollout, experience, look
from align.policy.models import (
    ActorCritic,
    Reference,
    ValueHead,
    bytes_as_computed,
    bytes_of,
    keep_as_computed,
    value_from_reward,
)
from align.policy.opening import own_bodies, tokens_that_fit
from align.policy.update import Tally, accumulate
from align.scoring.reward_model import RewardModel
from align.specs import LoRA
from tests.rewarding import EIGHT, PROMPTS, settings, tiny_llama

ROLLOUT = Rollout(PROMPTS, EIGHT)
WHOLE = (8192, None)


def two_bodies() -> ActorCritic:
    return ActorCritic(tiny_llama(0), tiny_llama(4).model.eval(), ValueHead(16, seed=1), 1.0)


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += op.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        return op(*args, **(kwargs or {}))


def gradients(recompute: bool) -> tuple[dict[str, torch.Tensor], int]:
    model, spec = two_bodies(), settings(entropy_coef=0.01)
    model.recompute = recompute
    looked = look(ROLLOUT, model, Reference(model), [range(8)], WHOLE, torch.float32)
    learnt = experience(looked, ROLLOUT, [float(c.token_ids[0]) for c in EIGHT], spec.kl_coef, spec)
    with Products() as products:
        accumulate(model, learnt, range(8), spec, WHOLE, torch.float32, Tally())
    assert not any(module.training for body in (model.policy, model.value_body) for module in body.modules())
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, products.count


def test_recomputed_activations_give_the_same_gradients_bit_for_bit() -> None:
    (kept, few), (recomputed, more) = gradients(False), gradients(True)
    assert more > few  # it did compute something twice
    assert kept.keys() == recomputed.keys() and any(name.startswith("value_body") for name in kept)
    for name, gradient in kept.items():
        assert gradient.abs().max() > 0 and torch.equal(gradient, recomputed[name]), name


def test_a_reference_that_is_kept_cast_gives_the_logprobs_of_one_that_is_cast_each_time() -> None:
    model = two_bodies()
    plain, cast = Reference(model), Reference(model, torch.bfloat16)
    told = [look(ROLLOUT, model, r, [range(8)], WHOLE, torch.bfloat16) for r in (plain, cast)]
    assert torch.equal(told[0].reference_BT, told[1].reference_BT)
    assert torch.equal(told[1].reference_BT, told[1].logprobs_BT)  # the KL of an unmoved policy is exactly 0
    assert bytes_of(cast._frozen) == bytes_as_computed(model.policy, torch.bfloat16) < bytes_of(plain._frozen)


def test_embeddings_that_are_the_head_too_stay_in_float32() -> None:
    tied = tiny_llama(0, tied=True)
    keep_as_computed(tied, torch.bfloat16)
    assert tied.lm_head.weight.dtype is tied.model.embed_tokens.weight.dtype is torch.float32
    assert tied.model.layers[0].mlp.up_proj.weight.dtype is torch.bfloat16
    assert tied.model.norm.weight.dtype is torch.float32


def test_activations_are_recomputed_only_where_few_tokens_fit() -> None:
    model, spec = two_bodies(), settings()
    weights = 16 * sum(p.numel() for p in model.parameters()) + 2 * bytes_of(model.policy)
    roomy = tokens_that_fit(model, spec, torch.float32, weights + 1e12)
    scarce = tokens_that_fit(model, spec, torch.float32, weights + 2e6)
    none = tokens_that_fit(model, spec, torch.float32, weights / 2)
    assert roomy == (32768, False) and none == (1024, True)
    assert scarce[1] and 1024 < scarce[0] < 32768


def test_a_body_that_the_value_model_s_adapter_stands_on_is_not_the_reward_model_s_own() -> None:
    def reward() -> RewardModel:
        body = tiny_llama(4).model.eval()
        return RewardModel("rm", body, torch.ones(16), 0.0, 1.0, 0.0, None, body.config)

    copied, shared = reward(), reward()
    value_from_reward(copied, None)
    value_from_reward(shared, LoRA(r=2, alpha=4))
    assert own_bodies([copied, shared]) == [copied.body]
