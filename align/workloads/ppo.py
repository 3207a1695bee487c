"""Our PPO: updates of the stage's own learner against a random reward model of the same size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch

from align.loop.arguments import autocast_dtype
from align.models.packed import PACKED
from align.models.reward import RewardModel, new_reward_model
from align.policy.experience import Rollout
from align.policy.learner import Learner
from align.policy.models import ActorCritic, value_from_reward
from align.policy.opening import means_of
from align.rollout.opening import open_engine
from align.scoring.reward_model import score_ids
from align.specs.ppo import PpoSpec
from align.workloads import shapes
from align.workloads.clock import Schedule, Taken, now


def ours(plan: dict[str, Any]) -> dict[str, Any]:
    schedule, batch = Schedule(*plan["schedule"]), plan["episodes"]
    spec = PpoSpec(
        kind="ppo", policy="m", prompts="d", reward="scorer:length",  # type: ignore[arg-type]
        episodes=batch * schedule.steps, batch_size=batch, epochs=plan["epochs"], learning_rate=3e-6, temperature=0.7,
        max_new_tokens=plan["new_tokens"], micro_batch_size=plan.get("micro_batch"), seed=0, samples=0, compile=plan["compile"],
    )  # fmt: skip
    policy, reward = shapes.causal(plan["size"], torch.float32), _reward(plan["size"])
    told = shapes.about(policy)
    body, head = value_from_reward(reward, None)
    model = ActorCritic(policy, body, head.to(shapes.device()), spec.temperature)
    means = means_of(model, spec, [reward])
    endless: Any = SimpleNamespace(eos_token_id=None, pad_token_id=shapes.PAD)
    policy.generation_config.eos_token_id = None
    engine = open_engine(policy, endless, batch, "auto", compiled=spec.compile)
    learner = Learner(model, engine, spec, means)
    return told | _timed(learner, reward, plan, schedule) | {"micro_batch": means.rows or means.tokens}


def _reward(size: str) -> RewardModel:
    """A random one, scoring as a stage's would: in float32 weights under autocast."""
    model = new_reward_model(shapes.causal(size, torch.float32), 1)
    model.set_attn_implementation(PACKED)
    body = cast(Any, model).base_model.requires_grad_(False)
    return RewardModel("reward", body, model.score.weight.detach()[0].float(), 0.0, 1.0, 0.0, None, model.config)


def _timed(learner: Learner, reward: RewardModel, plan: dict[str, Any], schedule: Schedule) -> dict[str, Any]:
    rows, taken = shapes.Rows(plan["size"]), Taken()
    weight = learner.model.policy_parameters()[1]
    before = weight.detach().clone()
    autocast = autocast_dtype(cast(Any, learner.spec))

    def scoring(rollout: Rollout) -> tuple[list[float], dict[str, float]]:
        whole = [p + c.token_ids for p, c in zip(rollout.prompts, rollout.completions, strict=True)]
        return score_ids(reward, whole, learner.means.tokens, autocast), {}

    for number in range(schedule.warm_up + schedule.timed):
        prompts = [rows.tokens(plan["prompt_tokens"]) for _ in range(plan["episodes"])]
        began = now()
        told = learner.learn(prompts, scoring)
        seconds = now() - began
        taken.grad_norm = max(taken.grad_norm, told["grad_norm/policy"])
        if number == 0:
            taken.first_s = seconds
        if number >= schedule.warm_up:
            taken.seconds.append(seconds)
            taken.tokens.append(plan["episodes"] * (plan["prompt_tokens"] + plan["new_tokens"]))
            for name in ("rollout", "scoring", "update"):
                taken.phases[name].append(told[f"seconds/{name}"])
            parts = sum(values[-1] for name, values in taken.phases.items() if name != "other")
            taken.phases["other"].append(seconds - parts)
    taken.moved = not torch.equal(before, weight.detach())
    return taken.told()
