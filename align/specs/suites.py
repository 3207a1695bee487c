"""The suites of an evaluate stage: one class a kind, with its settings, the rows it asks about and the metrics it gives.

`metrics` names what a suite reports and which way is better; gates read them as MODEL.SUITE.METRIC. A `drop` is always how
much worse than what it is compared with: positive is worse, whatever the metric beneath it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from align.specs.asking import Generating, Scorer, Structure, Suite, metrics_of, regex
from align.specs.base import Model, Port
from align.specs.contests import FrontierSuite, HealthSuite, KlSuite, PreferenceSuite
from align.specs.task_files import is_file


class GenerationSuite(Generating):
    """Answers scored by name: each scorer's numbers are the metrics."""

    kind: Literal["generation"] = "generation"
    scorers: list[Scorer] = Field(
        ["stops", "length"],
        min_length=1,
        description="what is scored in each answer; file:PATH.py:FUNCTION is your own",
    )

    @field_validator("scorers")
    @classmethod
    def _apart(cls, scorers: list[str]) -> list[str]:
        """Each metric of one scorer: of two of a name only one would be told."""
        told: dict[str, str] = {}
        for scorer in scorers:
            for metric in metrics_of(scorer):
                if told.setdefault(metric, scorer) != scorer:
                    raise ValueError(f"{told[metric]} and {scorer} both tell {metric}; name the function otherwise")
        return scorers

    def measures(self) -> tuple[str, ...]:
        return tuple(metric for scorer in self.scorers for metric in metrics_of(scorer))


class LossSuite(Suite):
    """loss: nats a token of the assistant's turns, or of all text, which is also told in bits_per_byte."""

    metrics: ClassVar = {"loss": "lower", "bits_per_byte": "lower"}

    kind: Literal["loss"] = "loss"
    data: Annotated[str, Port("rows", ("text", "messages"))]


class FormatSuite(Generating):
    """Whether answers have their form: shares of answers, of which `format` is that nothing is wrong.

    stops: ended by itself; turn_taking: no turn of anybody else in it; clean: no special token in it; nonempty: says something;
    structure: the declared one, of rows that have one, in `meta` (structure or pattern) or here.
    """

    metrics: ClassVar = dict.fromkeys(("format", "stops", "turn_taking", "clean", "nonempty", "structure"), "higher")

    kind: Literal["format"] = "format"
    structure: Structure | None = Field(None, description="of every answer that its row does not say another of")
    pattern: str | None = Field(None, description="a regular expression that the whole answer has to match")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        return None if value is None else regex(value)

    @model_validator(mode="after")
    def _one(self) -> FormatSuite:
        if self.structure and self.pattern:
            raise ValueError("give structure or pattern, not both")
        return self


FAMILIES = (
    "change_case", "combination", "detectable_content", "detectable_format", "keywords", "language", "length_constraints",
    "punctuation", "startend",
)  # fmt: skip


class InstructionSuite(Generating):
    """Verifiable instructions (IFEval, Zhou et al. 2023): shares of prompts with all of theirs followed, and of instructions.

    strict: as the answer stands; loose: perhaps without its first or last line, or Markdown's asterisks. Rows are IFEval's:
    prompt, instruction_id_list and kwargs. instruction_strict/FAMILY tells the instructions of one family.
    """

    metrics: ClassVar = dict.fromkeys(
        (
            *("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose"),
            *(f"instruction_strict/{family}" for family in FAMILIES),
        ),
        "higher",
    )

    kind: Literal["instruction"] = "instruction"
    max_new_tokens: int = Field(1280, ge=1, description="as lm-eval's ifeval task has it")


class RetentionSuite(Suite):
    """What was kept of a model's general ability; `drop` is how much worse than `against`, or than the baseline.

    text: bits_per_byte. messages: loss. preference: accuracy, the right answer likelier than the wrong one. prompt rows with
    a reference: accuracy of greedy answers, by `correct`. With `against` also lost and gained (answers that flipped) and, for
    text, kl_per_token: KL(model || against) in nats a token, exact over the vocabulary.
    """

    metrics: ClassVar = {
        "drop": "lower", "bits_per_byte": "lower", "loss": "lower", "accuracy": "higher",
        "kl_per_token": None, "lost": "lower", "gained": "higher",
    }  # fmt: skip

    kind: Literal["retention"] = "retention"
    data: Annotated[str, Port("rows", ("text", "messages", "preference", "prompt"))]
    against: Model | None = Field(None, description="the model that must not be forgotten; else evaluate's baseline")
    correct: Literal["contains", "exact", "number"] = Field(
        "contains",
        description="prompt rows: the reference is in the answer, is the answer, or their last numbers agree",
    )
    max_new_tokens: int = Field(64, ge=1)


class TransferSuite(Generating):
    """What was learnt, near to and far from what was trained: `score` is the scorer's first number, by declared slices.

    drop_near, drop_far: score in domain less score there. intrusion: answers that name a domain which the prompt is not about.
    With `train`, distance: of a prompt from the nearest training prompt (1 - Jaccard of character 5-grams), its rank correlation
    with the score, and the score of the nearest, middle and farthest third.
    """

    metrics: ClassVar = {
        "score": "higher", "drop_near": "lower", "drop_far": "lower", "intrusion": "lower", "distance": None,
        "distance_correlation": None, "score_nearest": "higher", "score_middle": "higher", "score_farthest": "higher",
    }  # fmt: skip

    kind: Literal["transfer"] = "transfer"
    scorer: Scorer = Field(description="what scores an answer: a name, or file:PATH.py:FUNCTION")
    in_domain: str = Field("in_domain", description="the slice that is like the training data, but was not trained")
    near: str | None = "near"
    far: str | None = "far"
    domains: dict[str, list[str]] = Field(
        default_factory=dict, description="domain -> words that give it away, where the scorer tells no intrusion"
    )
    train: Annotated[str, Port("rows", ("prompt", "text"))] | None = Field(None, description="what was trained on")

    def parts(self) -> dict[str, tuple[str, ...]]:
        named = {"in_domain": self.in_domain, "near": self.near, "far": self.far}
        return {setting: (name,) for setting, name in named.items() if name}


class ConflictSuite(Generating):
    """Facts that training contradicted: whether answers tell the `new` one, the `old` one, both (blended) or neither.

    Rows say both in meta: {"old": "Paris", "new": ["Oslo", "the capital of Norway"]}.
    """

    metrics: ClassVar = {"new": "higher", "old": "lower", "blended": "lower", "neither": "lower"}

    kind: Literal["conflict"] = "conflict"
    max_new_tokens: int = Field(64, ge=1)


class MemorisationSuite(Suite):
    """How much better the model knows what it was trained on than rows like it that it was not.

    gap: loss on heldout less loss on data, nats a token. verbatim: share of rows that greedy decoding goes on with word for word,
    from the first half of an answer (or of a text) for `tokens` tokens at most; verbatim_gap: data less heldout, so that what
    anybody would say does not count (2202.07646).
    """

    metrics: ClassVar = {"gap": "lower", "verbatim_gap": "lower", "loss": "lower", "verbatim": None}
    own_slices: ClassVar = ("train", "heldout")

    kind: Literal["memorisation"] = "memorisation"
    data: Annotated[str, Port("rows", ("messages", "text"))] = Field(description="rows that were trained on")
    heldout: Annotated[str, Port("rows", ("messages", "text"))] = Field(
        description="rows of the same kind that were not trained on"
    )
    limit: int | None = Field(256, ge=1, description="only so many rows of each, the first ones")
    tokens: int = Field(32, ge=4, description="of a continuation, at most")


class SafetySuite(Generating):
    """refusal: of harmful requests; over_refusal: of the others. Rows tell harmful ones by their axis or slice."""

    metrics: ClassVar = {"refusal": "higher", "over_refusal": "lower"}

    kind: Literal["safety"] = "safety"
    harmful: list[str] = Field(["harmful", "unsafe"], min_length=1, description="axes or slices to be refused")
    refusals: list[str] = Field(
        default_factory=list, description="regular expressions of a refusal, besides the usual English ones"
    )
    max_new_tokens: int = Field(64, ge=1)

    def parts(self) -> dict[str, tuple[str, ...]]:
        return {"harmful": (*self.harmful, *(f"axis_{name}" for name in self.harmful))}

    @field_validator("refusals")
    @classmethod
    def _compile(cls, values: list[str]) -> list[str]:
        return [regex(value) for value in values]


class BenchmarkSuite(Suite):
    """What lm-eval (the extra `benchmarks`) says of its tasks: TASK/METRIC, and TASK/METRIC/FILTER where answers are filtered."""

    kind: Literal["benchmark"] = "benchmark"
    tasks: list[str] = Field(min_length=1, description="names that lm-eval knows, and YAML files of your own")
    num_fewshot: int | None = Field(
        None, ge=0, description="examples in a prompt; the task's own number when not given"
    )
    apply_chat_template: bool = Field(False, description="ask in the model's chat format")

    @field_validator("tasks")
    @classmethod
    def _there(cls, tasks: list[str]) -> list[str]:
        for task in tasks:
            if is_file(task) and not Path(task).is_file():
                raise ValueError(f"there is no task file {task}")
            if tasks.count(task) > 1:
                raise ValueError(f"{task} is named twice")
        return tasks


AnySuite = Annotated[
    GenerationSuite
    | LossSuite
    | PreferenceSuite
    | KlSuite
    | FormatSuite
    | InstructionSuite
    | TransferSuite
    | RetentionSuite
    | ConflictSuite
    | MemorisationSuite
    | SafetySuite
    | HealthSuite
    | FrontierSuite
    | BenchmarkSuite,
    Field(discriminator="kind"),
]
SUITES: dict[str, type[Suite]] = {
    "generation": GenerationSuite,
    "loss": LossSuite,
    "preference": PreferenceSuite,
    "kl": KlSuite,
    "format": FormatSuite,
    "instruction": InstructionSuite,
    "transfer": TransferSuite,
    "retention": RetentionSuite,
    "conflict": ConflictSuite,
    "memorisation": MemorisationSuite,
    "safety": SafetySuite,
    "benchmark": BenchmarkSuite,
    "health": HealthSuite,
    "frontier": FrontierSuite,
}
