"""What all suites share: rows, a limit, the metrics they give, and scorers by name."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field

from align.errors import did_you_mean
from align.estimates import Scale
from align.specs.base import Port, Settings
from align.specs.user_functions import FILE, checked_file, split_file

SCORER = "scorer:"
Better = Literal["higher", "lower"] | None
ScorerName = Literal["stops", "length", "quickstart", "gsm8k"]
METRICS_OF_SCORER: dict[ScorerName, dict[str, Scale]] = {
    "stops": {"stops": "share"},
    "length": {"tokens": "real"},
    "quickstart": {"gold": "share", "format": "share", "facts": "share", "intrusion": "share"},
    "gsm8k": {"correct": "share"},
}
# Metrics of a suite that people look at first: the first that it has stands for it.
TELLING = (
    "gold", "correct", "win_rate", "drop", "accuracy", "score", "format", "stops", "bits_per_byte", "loss", "kl",
)  # fmt: skip
Structure = Literal["json", "list", "tags"]
Prompts = Annotated[str, Port("rows", ("prompt",))]


def rank(metric: str) -> int:
    """Where a metric stands among those of its suite: the telling ones, the others, then parts of one (`judge/errors`)."""
    return TELLING.index(metric) if metric in TELLING else len(TELLING) + ("/" in metric)


def metrics_of(scorer: str) -> dict[str, Scale]:
    """What a scorer tells, of which the first is its score: of a user's function one number, named as the function is."""
    return {split_file(scorer)[1]: "real"} if scorer.startswith(FILE) else METRICS_OF_SCORER[scorer]  # type: ignore[index]


def scale_of(scorer: str) -> Scale:
    """What its score can be."""
    return next(iter(metrics_of(scorer).values()))


def is_scorer(use: str | None) -> bool:
    """Whether what scores is a function, named or a user's, and no stage."""
    return use is not None and use.startswith((SCORER, FILE))


def checked_use(use: str) -> str:
    """`scorer:NAME` where NAME is one, a user's function, or what may be a stage; stages are the recipe's to check."""
    if use.startswith(FILE):
        return checked_file(use)
    if use.startswith(SCORER) and use.removeprefix(SCORER) not in get_args(ScorerName):
        known = [f"{SCORER}{name}" for name in get_args(ScorerName)]
        raise ValueError(f"{use} is no scorer. {did_you_mean(use, known)}")
    return use


def checked_name(scorer: str) -> str:
    """NAME of a scorer, or a user's function."""
    if scorer.startswith(FILE):
        return checked_file(scorer)
    known = [*get_args(ScorerName), f"{FILE}PATH.py:FUNCTION"]
    if scorer not in known[:-1]:
        raise ValueError(f"{scorer} is no scorer. {did_you_mean(scorer, known)}")
    return scorer


def regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    return value


def scorers_of(suite: Settings) -> list[ScorerName]:
    """The scorers that a suite's settings name, but for a user's own."""
    named = [*getattr(suite, "scorers", ()), getattr(suite, "scorer", None), getattr(suite, "gold", None)]
    uses = [getattr(suite, field, None) for field in ("by", "proxy")]
    named += [use.removeprefix(SCORER) for use in uses if use and use.startswith(SCORER)]
    return [name for name in get_args(ScorerName) if name in named]


# A reward stage, scorer:NAME, or file:PATH.py:FUNCTION; and where no stage can be meant, NAME or file:PATH.py:FUNCTION.
Scoring = Annotated[str, Port("reward"), AfterValidator(checked_use)]
Scorer = Annotated[str, AfterValidator(checked_name)]


class Suite(Settings):
    """One question asked of a model."""

    metrics: ClassVar[dict[str, Better]] = {}
    own_slices: ClassVar[tuple[str, ...]] = ()  # of a suite that parts its rows itself, whatever slices they have

    kind: str
    limit: int | None = Field(None, ge=1, description="only so many rows, the first ones")

    def narrow(self, field: str, port: Port) -> Port | None:
        return None if port.takes == "reward" and is_scorer(getattr(self, field)) else port

    def parts(self) -> dict[str, tuple[str, ...]]:
        """By setting: slices (an axis as `axis_NAME`) of which the rows need at least one."""
        return {}

    def measures(self) -> tuple[str, ...]:
        """The metrics that it can give as it is set; none where they cannot be told before a run."""
        return tuple(self.metrics)


class Generating(Suite):
    """A suite that lets the model answer. Suites that ask the same prompts in the same way share the answers."""

    data: Prompts
    max_new_tokens: int = Field(256, ge=1)
    temperature: float = Field(0.0, ge=0, description="0 is greedy")
