"""Compiled layers: the same gradients, one compilation for whatever is packed, and none of it where the policy generates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from align.policy.experience import Rollout, experience, look
from align.policy.models import ActorCritic, Reference, ValueHead
from align.policy.update import Tally, accumulate
from tests.rewarding import EIGHT, PROMPTS, settings, tiny_llama

WHOLE, TWO_ROWS = (8192, None), (8192, 2)
pytestmark = pytest.mark.slow


def learnt_from(
    limits: tuple[int, int | None], compiled: bool, rows: int = 8
) -> tuple[dict[str, Tensor], float, ActorCritic]:
    """Gradients of one minibatch, the largest log ratio of a policy that has not moved, and the model."""
    model = ActorCritic(tiny_llama(0), tiny_llama(4).model.eval(), ValueHead(16, seed=1), 1.0)
    model.compiled = compiled
    rollout, spec = Rollout(PROMPTS[:rows], EIGHT[:rows]), settings(entropy_coef=0.01)
    looked = look(rollout, model, Reference(model), [range(rows)], limits, torch.float32)
    rewards = [float(c.token_ids[0]) for c in rollout.completions]
    accumulate(
        model,
        experience(looked, rollout, rewards, spec.kl_coef, spec),
        range(rows),
        spec,
        limits,
        torch.float32,
        Tally(),
    )
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return gradients, float(looked.log_ratio().abs().max()), model


def test_compiled_layers_give_the_same_gradients_and_an_unmoved_policy_has_no_kl() -> None:
    (eager, _, _), (compiled, ratio, model) = learnt_from(WHOLE, False), learnt_from(WHOLE, True)
    assert ratio == 0 and eager.keys() == compiled.keys()
    for name, gradient in eager.items():
        torch.testing.assert_close(compiled[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    calls = [m._compiled_call_impl for m in model.modules() if isinstance(m, nn.Module)]
    assert calls and not any(calls)  # outside, where it generates


def test_layers_are_not_compiled_anew_for_another_number_of_tokens() -> None:
    learnt_from(TWO_ROWS, True)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert before > 0
    learnt_from(WHOLE, True)
    learnt_from(WHOLE, True, 5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before
