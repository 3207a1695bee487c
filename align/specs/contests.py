"""Suites that hold a model against another: preference, kl, health."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from align.specs.asking import Prompts, Scorer, Scoring, Suite
from align.specs.base import Model, Port
from align.specs.judges import Judge


class PreferenceSuite(Suite):
    """Which is preferred: of the two answers of a pair by the model, and with `by` of two models' own answers.

    accuracy: the chosen answer is likelier. With `against`, reward_accuracy: its implicit reward is higher (as DPO logs it).
    With `by` as well, win_rate: of the model's answers over those of `against` to the same prompts, ties half;
    win_rate_controlled: the same at equal length (2404.04475). A judge also tells agreement of its two orders, first (how often
    it took the first answer), fooled (by canaries), and judge/timeouts, judge/nonsense, judge/refusals, judge/errors of all it
    was asked. With `gold`, gold_agreement: of decided pairs, how often that scorer prefers the same.
    """

    metrics: ClassVar = {
        "win_rate": "higher", "win_rate_controlled": "higher", "longer": None, "accuracy": "higher",
        "reward_accuracy": "higher", "logratio_margin": None, "gold_agreement": "higher", "agreement": "higher",
        "first": None, "fooled": "lower", "judge/timeouts": "lower", "judge/nonsense": "lower", "judge/refusals": "lower",
        "judge/errors": "lower",
    }  # fmt: skip

    kind: Literal["preference"] = "preference"
    data: Annotated[str, Port("rows", ("preference", "prompt"))]
    against: Model | None = Field(
        None, description="the reference of the implicit reward, and the other side of win_rate"
    )
    by: Scoring | None = Field(
        None,
        description="who decides between two models' answers: scorer:NAME, file:PATH.py:FUNCTION, a reward stage, or judge",
    )
    judge: Judge | None = None
    gold: Scorer | None = Field(
        None, description="a scorer, by name or file:PATH.py:FUNCTION, that `by` is held against"
    )
    max_new_tokens: int = Field(256, ge=1)
    temperature: float = Field(0.0, ge=0, description="0 is greedy")

    def narrow(self, field: str, port: Port) -> Port | None:
        if field == "data" and not self.by:
            return Port("rows", ("preference",))
        return None if field == "by" and self.by == "judge" else super().narrow(field, port)

    @model_validator(mode="after")
    def _whole(self) -> PreferenceSuite:
        if self.by and not self.against:
            raise ValueError("by decides between two models; name the other one in against")
        if (self.by == "judge") != (self.judge is not None):
            raise ValueError("by: judge and judge: {url: ..., model: ...} belong together")
        return self

    def measures(self) -> tuple[str, ...]:
        told = ["accuracy", *(("reward_accuracy", "logratio_margin") if self.against else ())]
        told += ["win_rate", "win_rate_controlled", "longer"] if self.by else []
        told += ["gold_agreement"] if self.gold else []
        judged = [m for m in self.metrics if m in ("agreement", "first", "fooled") or m.startswith("judge/")]
        return (*told, *(judged if self.judge else ()))


class KlSuite(Suite):
    """kl: KL(model || against) over its own answers, sampled at temperature 1, in nats a sequence."""

    metrics: ClassVar = {"kl": None, "tokens": None}

    kind: Literal["kl"] = "kl"
    data: Prompts
    against: Model = Field(description="the model that the distance is taken from")
    max_new_tokens: int = Field(256, ge=1)


class HealthSuite(Suite):
    """What preference training does beside its purpose, held against the model it began with.

    pairs: chosen_gain, log pi - log pi_ref of the chosen answer, nats a sequence (below 0: likelihood displacement), and
    displaced, the share of pairs where it fell. Answers: tokens, length_growth (.5 is half as long again), repetition (4-grams
    said before in the answer), repetition_gain, distinct_2 (different bigrams over all answers) and distinct_2_drop.
    proxy and gold: scores, how much they gained, and how much at equal length (controlled); overoptimisation: gain of the proxy
    less that of gold, each in standard deviations of the reference's scores; proxy_length_correlation: rank correlation of
    proxy and length.
    """

    metrics: ClassVar = {
        "gold": "higher", "gold_gain": "higher", "proxy": None, "proxy_gain": None, "overoptimisation": "lower",
        "length_growth": None, "tokens": None, "gold_gain_controlled": "higher", "proxy_gain_controlled": None,
        "repetition": "lower", "repetition_gain": "lower", "distinct_2": "higher", "distinct_2_drop": "lower",
        "chosen_gain": "higher", "displaced": "lower", "proxy_length_correlation": None,
    }  # fmt: skip

    kind: Literal["health"] = "health"
    data: Annotated[str, Port("rows", ("preference", "prompt"))]
    against: Model = Field(description="the model that training began with")
    proxy: Scoring | None = Field(
        None, description="what was optimised: a reward stage, scorer:NAME or file:PATH.py:FUNCTION"
    )
    gold: Scorer | None = Field(
        None, description="what was wanted: a scorer that training never saw, by name or file:PATH.py:FUNCTION"
    )
    max_new_tokens: int = Field(256, ge=1)
    temperature: float = Field(1.0, ge=0, description="0 is greedy")


class FrontierSuite(Suite):
    """What was reached against how far the model went: mean proxy and gold of answers sampled at temperature 1, and their KL.

    kl: KL(model || against), nats a sequence. Of `against` itself also best-of-n: n answers are drawn and the one that the
    proxy likes best counts; best_of_N_kl is its bound log n - (n - 1) / n (2401.01879).
    """

    metrics: ClassVar = {"proxy": None, "gold": "higher", "kl": None, "tokens": None}

    kind: Literal["frontier"] = "frontier"
    data: Prompts
    against: Model = Field(description="the reference that the distance is taken from")
    proxy: Scoring = Field(description="what was optimised: a reward stage, scorer:NAME or file:PATH.py:FUNCTION")
    gold: Scorer | None = Field(
        None, description="what was wanted: a scorer that training never saw, by name or file:PATH.py:FUNCTION"
    )
    best_of: list[int] = Field(
        default_factory=list, description="numbers of answers to choose from, e.g. [2, 4, 8, 16]"
    )
    max_new_tokens: int = Field(256, ge=1)

    @field_validator("best_of")
    @classmethod
    def _numbers(cls, value: list[int]) -> list[int]:
        if any(n < 1 or max(value) % n for n in value):
            raise ValueError(f"the largest of {value} is not a multiple of each of the others; e.g. [1, 2, 4, 8, 16]")
        return sorted(set(value))
