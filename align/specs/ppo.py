"""ppo: proximal policy optimization against a reward (Schulman et al. 2017, 1707.06347; Ouyang et al. 2022, 2203.02155)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from align.specs.asking import SCORER, checked_use
from align.specs.base import Model, Port, Settings, Spec
from align.specs.training import LoRA, Scheduler
from align.specs.user_functions import FILE, by_function


class RewardTerm(Settings):
    """One summand of the reward: a reward model's stage, `scorer:NAME`, or `file:PATH.py:FUNCTION`."""

    use: Annotated[str, Port("reward")] = Field(description="a reward stage, scorer:NAME or file:PATH.py:FUNCTION")
    weight: float = 1.0

    @field_validator("use")
    @classmethod
    def _use(cls, value: str) -> str:
        return checked_use(value)

    def narrow(self, field: str, port: Port) -> Port | None:
        return None if self.use.startswith((SCORER, FILE)) else port


class PpoSpec(Spec):
    writes: ClassVar = "model"
    version: ClassVar = 3  # 2: samples about ten times in a run; 3: all of a merged adapter is trained
    trains: ClassVar = "policy"
    telling: ClassVar = ("rewards/gold", "rewards/mean", "kl", "tokens/mean")
    runtime: ClassVar = frozenset(
        {"micro_batch_size", "rollout_batch_size", "log_every", "save_every", "engine", "compile", "reward_timeout"}
    )

    kind: Literal["ppo"]
    policy: Model = Field(description="the model to train; also the frozen reference")
    reward: list[RewardTerm] = Field(min_length=1, description="a stage, scorer:NAME, file:PATH.py:FUNCTION, or a list")
    prompts: Annotated[str, Port("rows", ("prompt",))]
    gold: str | None = Field(None, description="scorer: or file: that is told beside the reward and never trained on")

    episodes: int = Field(ge=1, description="completions sampled in all; a multiple of batch_size")
    batch_size: int = Field(64, ge=1, description="episodes an update")
    epochs: int = Field(4, ge=1, description="passes over the episodes of an update")
    minibatches: int = Field(1, ge=1, description="optimizer steps an epoch")
    learning_rate: float = Field(gt=0)
    value_learning_rate: float | None = Field(
        None, gt=0, description="of the value model; learning_rate when not given"
    )
    scheduler: Scheduler = "linear"
    warmup: float = Field(0.0, ge=0, description="share of the updates when below 1, else a number of updates")
    max_grad_norm: float = Field(1.0, gt=0, description="policy and value model are clipped apart")

    kl_coef: float = Field(0.05, ge=0, description="price of a nat of KL from the reference, inside the reward")
    kl: Literal["fixed", "adaptive"] = "fixed"
    kl_target: float = Field(6.0, gt=0, description="adaptive: the KL a sequence to steer to, in nats")
    kl_bound: float = Field(100.0, gt=0, description="nats a sequence beyond which training stops as collapsed")
    kl_stop: float | None = Field(None, gt=0, description="skip the epochs left once a token's KL from the old policy")
    clip_range: float = Field(0.2, gt=0, lt=1)
    value_clip_range: float | None = Field(0.2, gt=0)
    dual_clip: float | None = Field(
        None, gt=1, description="bound on the loss of bad tokens, in multiples of advantage"
    )
    vf_coef: float = Field(0.5, gt=0)
    entropy_coef: float = Field(0.0, ge=0)
    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    whiten_rewards: bool = Field(False, description="scale the rewards of a rollout to deviation 1, mean kept")
    whiten_advantages: bool = True

    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int = Field(128, ge=1)
    missing_eos_penalty: float | None = Field(None, gt=0, description="taken off the score where the limit ended it")
    missing_eos_score: float | None = Field(None, description="the score where the limit ended it, whatever was said")
    value: Literal["auto", "reward", "policy_head"] = Field(
        "auto", description="value model: a copy of the reward model, or a head on the policy; auto: reward if it fits"
    )
    lora: LoRA | None = None
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast on GPUs that have it"
    )
    samples: int = Field(4, ge=0, description="prompts whose answers are kept along the way")

    micro_batch_size: int | None = Field(None, ge=1, description="sequences a forward pass; by tokens when not given")
    rollout_batch_size: int | None = Field(None, ge=1, description="completions sampled at once")
    log_every: int = Field(1, ge=1, description="updates between logs")
    save_every: int | None = Field(None, ge=1, description="updates between checkpoints; about a minute when not given")
    engine: Literal["auto", "portable", "fast"] = Field("auto", description="auto: the fast one on GPUs")
    compile: bool = Field(
        False, description="torch.compile the layers: the first update takes half a minute longer, each a third less"
    )
    reward_timeout: float = Field(60.0, gt=0, description="seconds a user's file may take for one batch")

    @property
    def updates(self) -> int:
        return self.episodes // self.batch_size

    @field_validator("reward", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [{"use": value}] if isinstance(value, str) else value

    @field_validator("gold")
    @classmethod
    def _programmatic(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith((SCORER, FILE)):
            raise ValueError("gold is scorer:NAME or file:PATH.py:FUNCTION; a model that judges belongs to evaluate")
        return None if value is None else checked_use(value)

    @model_validator(mode="after")
    def _consistent(self) -> PpoSpec:
        _divides("episodes", self.episodes, "batch_size", self.batch_size)
        _divides("batch_size", self.batch_size, "minibatches", self.minibatches)
        if self.missing_eos_penalty is not None and self.missing_eos_score is not None:
            raise ValueError("give missing_eos_penalty (taken off the score) or missing_eos_score (in its place)")
        if self.lora and self.lora.dropout:
            raise ValueError("lora.dropout must be 0: with dropout the old and the new policy are never the same")
        if self.value == "reward" and not any(_is_stage(term.use) for term in self.reward):
            raise ValueError("value: reward needs a reward model in reward; use value: policy_head")
        return self

    def identity(self) -> dict[str, Any]:
        """A user's file counts by what it says, not by where it lies."""
        return by_function(super().identity())


def _is_stage(use: str) -> bool:
    return not use.startswith((SCORER, FILE))


def _divides(name: str, whole: int, part: str, size: int) -> None:
    if whole % size:
        nearest = max(size, round(whole / size) * size)
        raise ValueError(f"{name} {whole} is not a multiple of {part} {size}; the nearest that is: {nearest}")
