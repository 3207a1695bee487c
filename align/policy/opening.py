"""What PPO begins with: the policy and its value model, the reward, the prompts; each refused where it cannot work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft import get_peft_model
from torch import nn

from align.artifact.inputs import Inputs, ModelInput, RowsInput
from align.data.render import render_prompts
from align.data.store_rows import read_rows
from align.errors import DataError, ModelError
from align.loop.arguments import MEMORY_SHARE, autocast_dtype, device, weights_dtype
from align.models.load import load_model
from align.models.lora import lora_config
from align.models.reward import RewardModel, load_reward_model
from align.models.tokenizer import fit_model, ready_tokenizer
from align.policy.learner import Means
from align.policy.models import (
    ActorCritic,
    ValueHead,
    bytes_as_computed,
    bytes_of,
    causal,
    keep_as_computed,
    value_from_reward,
)
from align.policy.one_base import Facet, attach_reward, shares_base
from align.scoring.mixture import Term, programmatic
from align.scoring.reward_model import RewardScorer, speaks_as
from align.specs.asking import SCORER
from align.specs.ppo import PpoSpec
from align.specs.user_functions import FILE

Note = Callable[[str], None]
CPU_TOKENS = 2048  # of a micro batch: more no longer fits the caches
MOST_TOKENS = 32768
WORTH_KEEPING = 4096  # tokens of a pass; with fewer, weights cost more time than activations that are computed twice
ROLLOUT_ROWS = 256


@dataclass(frozen=True)
class Prompts:
    """Prompts as conversations and as token ids, and the answer that came with each, where one did."""

    messages: list[list[dict[str, Any]]]
    ids: list[list[int]]
    references: list[str | None]

    def __len__(self) -> int:
        return len(self.ids)


def open_policy(source: ModelInput, spec: PpoSpec, note: Note) -> tuple[Any, Any]:
    """The policy in float32 (with `lora` an adapter on it) and its tokenizer, whose pad token is not its stop token."""
    tokenizer = ready_tokenizer(source, note)
    model = load_model(source, weights_dtype(cast(Any, spec)), device())
    fit_model(model, tokenizer)
    probe = [{"role": "user", "content": "?"}]
    asked, plain = (
        tokenizer.apply_chat_template(probe, tokenize=False, add_generation_prompt=wanted) for wanted in (True, False)
    )
    if asked == plain:
        raise ModelError(
            source.name, "the chat template has no generation prompt", "One that begins the assistant's turn",
            "Add {% if add_generation_prompt %} with the header of an assistant turn to the template.",
        )  # fmt: skip
    return get_peft_model(model, lora_config(spec.lora)) if spec.lora else model, tokenizer


def read_prompts(source: RowsInput, tokenizer: Any, max_new_tokens: int, window: int | None) -> Prompts:
    """All prompts, rendered with their generation prompt. Raises DataError where there are none, or one is too long."""
    rows = [_with_reference(row, source.type) for row in read_rows(source.files, source.type)]
    if not rows:
        raise DataError(source.name, "there are no prompts", "At least one", "Name rows that are not empty.")
    messages, references = [r[0] for r in rows], [r[1] for r in rows]
    ids = list(render_prompts(({"prompt": m} for m in messages), tokenizer))
    long = [i for i, prompt in enumerate(ids) if window and len(prompt) + max_new_tokens > window]
    if long:
        raise DataError(
            source.name, f"{len(long):,} of {len(ids):,} prompts leave no room for {max_new_tokens} new tokens (row "
            f"{long[0] + 1:,} has {len(ids[long[0]]):,} tokens)", f"The model reads {window:,} tokens at most",
            "Lower max_new_tokens, or leave long prompts out.",
        )  # fmt: skip
    return Prompts(messages, ids, references)


def _with_reference(row: dict[str, Any], row_type: str) -> tuple[list[dict[str, Any]], str | None]:
    if row_type == "messages":
        return row["messages"][:-1], row["messages"][-1]["content"]
    answer = row["chosen"][-1]["content"] if row_type == "preference" else row.get("reference")
    return row["prompt"], answer


def window_of(model: Any) -> int | None:
    return getattr(causal(model).config.get_text_config(), "max_position_embeddings", None)


def open_rewards(spec: PpoSpec, inputs: Inputs, policy: Any, note: Note) -> list[tuple[str, float, RewardModel | str]]:
    """Each term with its weight: a loaded reward model, or what to make a programmatic scorer from.

    A reward model that is an adapter of the policy's own base is put onto it, where the policy is an adapter too.
    """
    found: list[tuple[str, float, RewardModel | str]] = []
    for number, term in enumerate(spec.reward):
        if term.use.startswith((SCORER, FILE)):
            name = term.use.split("/")[-1]
            name = f"{name}#{number}" if any(name == other for other, _, _ in found) else name
            found.append((name, term.weight, term.use))
            continue
        source = inputs.model(f"reward.{number}.use")
        if not (source.path / "reward.json").is_file():
            note(f"{source.name} has no reward.json: its scores are used as they are, not normalised")
        if shares_base(policy, inputs.model("policy"), source):
            model = attach_reward(policy, source, f"reward_{number}")
        else:
            model = load_reward_model(source, weights_dtype(cast(Any, spec)), device())
        found.append((source.name, term.weight, model))
    return found


def scoring_terms(
    rewards: Sequence[tuple[str, float, RewardModel | str]], spec: PpoSpec, tokenizer: Any, means: Means
) -> list[Term]:
    terms = []
    for name, weight, reward in rewards:
        if isinstance(reward, RewardModel):
            scorer = RewardScorer(reward, tokenizer, means.tokens, means.autocast)
        else:
            scorer = programmatic(reward, spec.reward_timeout)
        terms.append(Term(name, weight, scorer))
    return terms


def actor_critic(
    policy: Any, tokenizer: Any, rewards: Sequence[tuple[str, float, RewardModel | str]], spec: PpoSpec, note: Note
) -> ActorCritic:
    """The policy with its value model: a copy of the first reward model that speaks its language, or a head on it."""
    models = [r for _, _, r in rewards if isinstance(r, RewardModel)]
    fitting = [m for m in models if speaks_as(m, tokenizer)]
    if spec.value == "reward" and not fitting:
        raise ModelError(
            "value", f"the reward model {models[0].name} has another tokenizer or template than the policy",
            "A value model reads the policy's tokens", "Set value: policy_head.",
        )  # fmt: skip
    if spec.value == "policy_head" or not fitting:
        if models and spec.value == "auto":
            note(f"{models[0].name} has another tokenizer than the policy: the value model is a head on the policy")
        width = causal(policy).get_output_embeddings().weight.shape[1]
        return ActorCritic(policy, None, ValueHead(width).to(device()), spec.temperature)
    body, head = value_from_reward(fitting[0], spec.lora)
    if isinstance(body, Facet):
        saved = 3 * bytes_of(causal(policy))
        note(f"policy, reference, value and reward model share one frozen base: {saved / 1e6:,.0f} MB saved")
        return ActorCritic(policy, body, head.to(device()), spec.temperature)
    model = ActorCritic(policy, body.to(device()), head.to(device()), spec.temperature)
    if spec.lora:
        saved = bytes_of(causal(policy)) + bytes_of(body)
        note(f"policy and reference share one frozen base, value and reward model another: {saved / 1e6:,.0f} MB saved")
    return model


def means_of(model: ActorCritic, spec: PpoSpec, rewards: Sequence[RewardModel] = ()) -> Means:
    """How much goes into one forward pass: as told, else what should fit, estimated from sizes alone.

    Where little would fit (each pass reads and adds to all weights, however few its tokens) the learner is told to recompute
    activations. Reward models with a body of their own are from now on kept as they are computed with.
    """
    autocast = autocast_dtype(cast(Any, spec))
    model.compiled = spec.compile
    if device().type != "cuda":
        return Means(CPU_TOKENS, spec.micro_batch_size, autocast)
    own = own_bodies(rewards)
    for body in own:
        keep_as_computed(body, autocast)
    total = torch.cuda.get_device_properties(device()).total_memory * MEMORY_SHARE
    tokens, model.recompute = tokens_that_fit(model, spec, autocast, total - bytes_of(*own))
    return Means(tokens, spec.micro_batch_size, autocast)


def own_bodies(rewards: Sequence[RewardModel]) -> list[nn.Module]:
    """Of reward models that share theirs with no model under training: a shared one is behind a switch of adapters."""
    return [r.body for r in rewards if isinstance(r.body, nn.Module)]


def tokens_that_fit(model: ActorCritic, spec: PpoSpec, autocast: torch.dtype, memory: float) -> tuple[int, bool]:
    """Of a pass through the policy or through its value model, in so many bytes; and whether activations are recomputed."""
    policy = causal(model.policy)
    config = policy.config.get_text_config()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    view = sum(p.numel() for p in policy.parameters()) * autocast.itemsize
    reference = 0 if spec.lora else bytes_as_computed(policy, autocast)
    free = memory - bytes_of(model) - 12 * trained - view - reference  # 12: a gradient and two moments
    mlp, width = getattr(config, "intermediate_size", None) or 4 * config.hidden_size, config.hidden_size
    a_layer, states = 2 * (4.5 * mlp + 10 * width), 4 * width * config.num_hidden_layers
    kept = int(free / (a_layer * config.num_hidden_layers))
    if kept >= WORTH_KEEPING:
        return min(MOST_TOKENS, kept), False
    return max(1024, min(MOST_TOKENS, int(free / (a_layer + states)))), True
