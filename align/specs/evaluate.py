"""evaluate: each model measured by each suite, then one table.

What a recipe calls one stage is one `measure` step per model and a cheap `compare` step that joins their reports, so that
a new model does not measure the others again.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from align.specs.base import Model, Port, Settings, Spec

SuiteKind = Literal["generation", "preference", "loss"]
ScorerName = Literal["stops", "length", "quickstart", "gsm8k"]
SUITE_KINDS: tuple[SuiteKind, ...] = ("generation", "preference", "loss")
ROWS_OF_SUITE = {"generation": ("prompt",), "preference": ("preference",), "loss": ("text", "messages")}


class Suite(Settings):
    """One question asked of a model. `kind` is the suite's own name when that is a kind."""

    kind: SuiteKind
    data: Annotated[str, Port("rows", ("prompt", "preference", "messages", "text"))]
    scorers: list[ScorerName] = Field(["stops", "length"], description="generation: what is scored in each answer")
    max_new_tokens: int = Field(256, ge=1)
    temperature: float = Field(0.0, ge=0, description="0 is greedy")
    limit: int | None = Field(None, ge=1, description="only so many rows, the first ones")
    against: Model | None = Field(None, description="preference: the reference model of the implicit reward")

    def narrow(self, field: str, port: Port) -> Port:
        return Port("rows", ROWS_OF_SUITE[self.kind]) if field == "data" else port


class EvaluateSettings(Spec):
    runtime: ClassVar = frozenset({"batch_size"})
    writes: ClassVar = "report"

    suites: dict[str, Suite] = Field(min_length=1)
    max_length: int = Field(1024, ge=8, description="tokens a row at most")
    chat_template: str | None = Field(None, description="`chatml`, or a Jinja file, for models that have none")
    batch_size: int = Field(64, ge=1, description="rows a forward pass")

    @field_validator("suites", mode="before")
    @classmethod
    def _kind_from_name(cls, suites: Any) -> Any:
        if not isinstance(suites, dict):
            return suites
        return {
            name: {"kind": name, **suite} if isinstance(suite, dict) and name in SUITE_KINDS else suite
            for name, suite in suites.items()
        }


class MeasureSpec(EvaluateSettings):
    """One model through every suite."""

    version: ClassVar = 2  # 2: estimates carry their standard error

    kind: Literal["measure"] = "measure"
    model: Model


class CompareSpec(Spec):
    """Reports of several models side by side."""

    version: ClassVar = 2  # 2: differences of ratios too, and tests
    writes: ClassVar = "report"
    seeded: ClassVar = False

    kind: Literal["compare"] = "compare"
    reports: list[Annotated[str, Port("report")]] = Field(min_length=1)
    names: list[str]
    baseline: str | None = None


class EvaluateSpec(EvaluateSettings):
    """What the recipe writes; the plan carries out `expand()`."""

    kind: Literal["evaluate"]
    models: list[Model] = Field(min_length=1)
    baseline: Model | None = Field(
        None, description="the model that differences are taken against; the first when not given"
    )

    def expand(self, name: str) -> dict[str, Spec]:
        """Step name -> step: `evaluate.sft`, `evaluate.dpo` ... and `evaluate` itself, the join."""
        shared = self.model_dump(by_alias=True, exclude={"kind", "models", "baseline"})
        steps: dict[str, Spec] = {f"{name}.{m}": MeasureSpec(model=m, **shared) for m in self.models}
        baseline = self.baseline or self.models[0]
        steps[name] = CompareSpec(reports=list(steps), names=list(self.models), baseline=baseline, seed=self.seed)
        return steps
