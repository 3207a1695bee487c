"""Sampling of completions of a fixed length: our fast engine, and transformers' own generation."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from align.rollout.engine import Sampling
from align.rollout.fast import FastEngine, why_not
from align.workloads import shapes
from align.workloads.clock import Schedule, Taken, now


def ours(plan: dict[str, Any]) -> dict[str, Any]:
    model, prompts = shapes.causal(plan["size"], shapes.half()), _prompts(plan)
    assert why_not(model) is None, why_not(model)
    endless: Any = SimpleNamespace(eos_token_id=None)
    model.generation_config.eos_token_id = None
    engine = FastEngine(model, endless, plan["batch"], plan["compile"])

    def sample(new: int) -> int:
        said = engine.generate(prompts, Sampling(new, 1.0, seed=0, logprobs=True), lambda done, total: None)
        assert all(len(c.token_ids) == new and len(c.logprobs or ()) == new for c in said)
        return sum(len(c.token_ids) for c in said)

    return shapes.about(model) | _timed(plan, sample)


def peer(plan: dict[str, Any]) -> dict[str, Any]:
    model = shapes.causal(plan["size"], shapes.half())
    ids = torch.tensor(_prompts(plan), device=model.device)

    @torch.no_grad()
    def sample(new: int) -> int:
        said = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            max_new_tokens=new, min_new_tokens=new, pad_token_id=shapes.PAD,
        )  # fmt: skip
        return (said.shape[1] - ids.shape[1]) * said.shape[0]

    return shapes.about(model) | _timed(plan, sample)


def _prompts(plan: dict[str, Any]) -> list[list[int]]:
    rows = shapes.Rows(plan["size"])
    return [rows.tokens(plan["prompt_tokens"]) for _ in range(plan["batch"])]


def _timed(plan: dict[str, Any], sample: Callable[[int], int]) -> dict[str, Any]:
    """Nothing is learnt, so that there is no gradient to look at."""
    schedule, taken, new = Schedule(*plan["schedule"]), Taken(grad_norm=1.0, moved=True), plan["new_tokens"]
    for number in range(schedule.warm_up + schedule.timed):
        began = now()
        made = sample(new)
        if number == 0:
            taken.first_s = now() - began
        if number >= schedule.warm_up:
            taken.seconds.append(now() - began)
            taken.tokens.append(made)
    for number in range(schedule.phased + 1):
        began = now()
        sample(1)
        if number:  # the first may meet a new shape
            taken.phases["prefill"].append(now() - began)
            taken.phases["decode"].append(sum(taken.seconds) / len(taken.seconds) - taken.phases["prefill"][-1])
    return taken.told()
