"""evaluate: each model measured by each suite, then one table.

What a recipe calls one stage is one `measure` step per model and a cheap `compare` step that joins their reports, so that
a new model does not measure the others again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from align.specs.base import Model, Port, Spec
from align.specs.judges import RUNTIME as JUDGE_RUNTIME
from align.specs.suites import SUITES, AnySuite, BenchmarkSuite
from align.specs.task_files import content_of
from align.specs.templates import ChatTemplate, by_content
from align.specs.user_functions import by_function


class EvaluateSettings(Spec):
    runtime: ClassVar = frozenset({"batch_size", "scorer_timeout"})
    writes: ClassVar = "report"

    suites: dict[str, AnySuite] = Field(min_length=1)
    max_length: int = Field(1024, ge=8, description="tokens a row at most")
    chat_template: ChatTemplate | None = Field(None, description="`chatml`, or a Jinja file, for models that have none")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the weights: bfloat16 is several times faster on GPUs, and rounds likelihoods"
    )
    batch_size: int | None = Field(
        None, ge=1, description="rows a forward pass, and completions sampled at once; 64, on GPUs as many as are quick"
    )

    scorer_timeout: float = Field(60.0, gt=0, description="seconds a user's file may take for 64 answers")

    @field_validator("suites", mode="before")
    @classmethod
    def _kind_from_name(cls, suites: Any) -> Any:
        if not isinstance(suites, dict):
            return suites
        return {
            name: {"kind": name, **suite} if isinstance(suite, dict) and name in SUITES else suite
            for name, suite in suites.items()
        }

    def identity(self) -> dict[str, Any]:
        """Files count by what they say; how a judge is reached, and how long it may take, does not."""
        tasks = {name: suite.tasks for name, suite in self.suites.items() if isinstance(suite, BenchmarkSuite)}
        read = {f"suites.{name}.tasks": [content_of(task) for task in named] for name, named in tasks.items()}
        outside = tuple(f".judge.{name}" for name in JUDGE_RUNTIME)
        told = by_function(by_content(super().identity())) | read
        return {path: value for path, value in told.items() if not path.endswith(outside)}


class MeasureSpec(EvaluateSettings):
    """One model through every suite."""

    version: ClassVar = 6  # 6: metrics say whether they are shares, whose bounds lie in [0, 1]

    kind: Literal["measure"] = "measure"
    model: Model


class CompareSpec(Spec):
    """Reports of several models side by side."""

    version: ClassVar = 5  # 5: differences of shares lie in [-1, 1]
    writes: ClassVar = "report"
    seeded: ClassVar = False

    kind: Literal["compare"] = "compare"
    reports: list[Annotated[str, Port("report")]] = Field(min_length=1)
    names: list[str]
    baseline: str | None = None
    parents: dict[str, str] = Field(default_factory=dict, description="the compared model that each grew from")


class EvaluateSpec(EvaluateSettings):
    """What the recipe writes; the plan carries out `expand()`."""

    kind: Literal["evaluate"]
    models: list[Model] = Field(min_length=1)
    baseline: Model | None = Field(
        None, description="the model that differences are taken against; the first when not given"
    )

    def expand(self, name: str, grew_from: Mapping[str, str]) -> dict[str, Spec]:
        """Step name -> step: `evaluate.sft`, `evaluate.dpo` ... and `evaluate` itself, the join.

        `grew_from`: of every stage that trains, the model it began with.
        """
        shared = self.model_dump(by_alias=True, exclude={"kind", "models", "baseline"})
        steps: dict[str, Spec] = {f"{name}.{m}": MeasureSpec(model=m, **shared) for m in self.models}
        ancestors = {m: self._ancestor(m, grew_from) for m in self.models}
        steps[name] = CompareSpec(
            reports=list(steps),
            names=list(self.models),
            baseline=self.baseline or self.models[0],
            parents={m: a for m, a in ancestors.items() if a},
            seed=self.seed,
        )
        return steps

    def _ancestor(self, model: str, grew_from: Mapping[str, str]) -> str | None:
        """The nearest evaluated model that this one grew from."""
        seen = {model}
        while (model := grew_from.get(model, "")) and model not in seen:
            if model in self.models:
                return model
            seen.add(model)
        return None
