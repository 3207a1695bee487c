"""What a gate's names stand for, found from the recipe alone, before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from align.errors import Problem, did_you_mean
from align.gates.language import STORED, Gate, Term, parse
from align.specs import EvaluateSpec, Spec
from align.specs.told import is_told, meant

SUM = "data"
# First words of metrics that stages write with a slash: no misspelt suites.
_SPOKEN = frozenset(
    [
        "rewards",
        "eval_rewards",
        "logps",
        "eval_logps",
        "logits",
        "eval_logits",
        "rows",
        "rankings",
        "dropped",
        "leakage",
        "tokens",
        "value",
    ]
)


class Written(Protocol):
    """The part of a recipe that gates speak of."""

    @property
    def gates(self) -> list[str]: ...
    @property
    def data(self) -> Mapping[str, Spec]: ...
    @property
    def stages(self) -> Mapping[str, Spec]: ...
    @property
    def baseline(self) -> str | None: ...
    def line_of(self, key: str) -> int: ...


@dataclass(frozen=True)
class StepMetric:
    """A plain number that steps told when they were sealed; the sum where there are several steps."""

    steps: tuple[str, ...]
    metric: str
    summed: bool = False


@dataclass(frozen=True)
class SuiteMetric:
    """What an evaluate stage measured of a model in one suite: a metric, or a metric and a slice."""

    stage: str
    model: str
    suite: str
    metric: str

    @property
    def steps(self) -> tuple[str, ...]:
        return (f"{self.stage}.{self.model}", self.stage)


Figure = StepMetric | SuiteMetric


def check(recipe: Written) -> list[Problem]:
    """Everything wrong with a recipe's gates that can be known before a run; their sentences are sound already."""
    problems = []
    for index, text in enumerate(recipe.gates):
        key = f"gates.{index}"
        problems += [Problem(recipe.line_of(key), key, message) for message in _mistakes(parse(text), recipe)]
    return problems


def _mistakes(gate: Gate, recipe: Written) -> list[str]:
    found: list[str] = []
    figures: list[Figure] = []
    for term in gate.terms():
        try:
            figures.append(figure_of(term, recipe))
        except ValueError as error:
            found.append(str(error))
        if term.stored and recipe.baseline is None:
            found.append(
                f"{term} needs a stored baseline. Save one: align gate RECIPE --save-baseline FILE, then add baseline: FILE"
            )
    measured = {isinstance(f, SuiteMetric) for f in figures}
    if len(figures) == 2 and len(measured) == 2:
        found.append(f"{gate.figure} and {gate.minus} cannot be subtracted: only one of them is measured over rows")
    if measured == {True} and gate.operator in ("==", "!="):
        found.append(f"{gate.figure} has an interval, which never equals a number. Compare it with <, <=, > or >=")
    if measured == {False} and gate.confidence:
        found.append(f"{gate.figure} is a plain number without an interval; leave (confidence ...) out")
    return found


def figure_of(term: Term, recipe: Written) -> Figure:
    """Where a term's number comes from. Raises ValueError, with what was probably meant, when nothing has that name."""
    head, *rest = term.path.split(".")
    stages = {name: spec for name, spec in recipe.stages.items() if isinstance(spec, EvaluateSpec)}
    models = list(dict.fromkeys(m for spec in stages.values() for m in spec.models))
    steps = {**recipe.data, **recipe.stages}
    if head == SUM:
        return _sum(rest, recipe)
    if head in stages:
        return _of_stage(head, rest, stages)
    if head in models and (found := _of_model(head, rest, stages, head in steps)):
        return found
    if head in steps:
        _check_suite_metric(head, rest, steps[head], stages)
        return _of_step(head, rest, steps[head])
    raise ValueError(f'"{head}" is no step and no model that is measured. {hint(head, [*steps, *models, SUM, STORED])}')


def _sum(rest: list[str], recipe: Written) -> StepMetric:
    if SUM in recipe.data or SUM in recipe.stages:
        raise ValueError(f"{SUM} means every data entry, and the recipe has one of that name; rename it")
    if not rest:
        raise ValueError(f"{SUM} needs a metric, as in {SUM}.leakage.rows")
    _looks_for_leaks(rest, list(recipe.data.values()), next(iter(recipe.data), "NAME"))
    if near := meant("prepare", ".".join(rest)):
        raise ValueError(f'no data entry tells "{".".join(rest)}". Did you mean {SUM}.{near}?')
    return StepMetric(tuple(recipe.data), ".".join(rest), summed=True)


def _looks_for_leaks(rest: list[str], entries: list[Spec], example: str) -> None:
    if rest[0] == "leakage" and not any(getattr(spec, "against", None) for spec in entries):
        raise ValueError(
            f"nothing looks for leaks. Name what must not leak in, e.g. data.{example}.against: [EVALUATION_DATA]"
        )


def _of_stage(stage: str, rest: list[str], stages: Mapping[str, EvaluateSpec]) -> SuiteMetric:
    models = stages[stage].models
    if not rest or rest[0] not in models:
        found = f'"{rest[0]}" is no model that {stage} measures' if rest else f"{stage} measures several models"
        raise ValueError(f"{found}. {hint(rest[0] if rest else '', models)}")
    return _of_suite(stage, rest[0], rest[1:], stages[stage])


def _of_model(model: str, rest: list[str], stages: Mapping[str, EvaluateSpec], is_step: bool) -> SuiteMetric | None:
    """None where the words after the model can only be a metric of the step that made it."""
    measuring = {name: spec for name, spec in stages.items() if model in spec.models}
    suites = list(dict.fromkeys(s for spec in measuring.values() for s in spec.suites))
    asked = [name for name, spec in measuring.items() if rest and rest[0] in spec.suites]
    if len(asked) > 1:
        raise ValueError(
            f"{model}.{rest[0]} is measured by {' and '.join(asked)}. Write {asked[0]}.{model}.{rest[0]}..."
        )
    if asked:
        return _of_suite(asked[0], model, rest, stages[asked[0]])
    misspelt = len(rest) > 1 and rest[0] not in _SPOKEN and difflib.get_close_matches(rest[0], suites, 1, 0.7)
    if misspelt or not is_step:
        raise ValueError(f'"{rest[0] if rest else ""}" is no suite. {hint(rest[0] if rest else "", suites)}')
    return None


def _check_suite_metric(head: str, rest: list[str], spec: Spec, stages: Mapping[str, EvaluateSpec]) -> None:
    """Raises ValueError for MODEL.METRIC or SUITE.METRIC where only MODEL.SUITE.METRIC is one."""
    metric = ".".join(rest)
    if not metric or is_told(spec.kind, metric):
        return
    for evaluate in stages.values():
        for name, suite in evaluate.suites.items():
            measured = metric in [m.replace("/", ".") for m in suite.measures()]
            if measured and (head == name or head in evaluate.models):
                model = head if head in evaluate.models else evaluate.models[-1]
                raise ValueError(
                    f'{head} tells no "{metric}"; suites measure it. Did you mean {model}.{name}.{metric}?'
                )


def _of_suite(stage: str, model: str, rest: list[str], spec: EvaluateSpec) -> SuiteMetric:
    if not rest or rest[0] not in spec.suites:
        found = f'"{rest[0]}" is no suite of {stage}' if rest else f"{stage} asks several suites"
        raise ValueError(f"{found}. {hint(rest[0] if rest else '', spec.suites)}")
    suite, metric, asked = rest[0], ".".join(rest[1:]), spec.suites[rest[0]]
    known = [m.replace("/", ".") for m in asked.measures()]
    if not metric:
        raise ValueError(f"{model}.{suite} needs a metric. {hint('', known)}")
    if known and not any(metric == m or metric.startswith(f"{m}.") for m in known):
        if metric in {m.replace("/", ".") for m in asked.metrics}:
            unset = [name for name in type(asked).model_fields if getattr(asked, name) is None and name != "limit"]
            raise ValueError(
                f'{suite} does not measure "{metric}" as it is set; one of these lets it: {", ".join(unset)}'
            )
        raise ValueError(f'{suite} does not measure "{metric}". {hint(metric, known)}')
    return SuiteMetric(stage, model, suite, metric)


def _of_step(step: str, rest: list[str], spec: Spec) -> StepMetric:
    if not rest:
        raise ValueError(f"{step} needs a metric, as in {step}.loss")
    _looks_for_leaks(rest, [spec], step)
    if rest[0].startswith("eval_") and getattr(spec, "eval_data", "given") is None:
        raise ValueError(f"{step} measures nothing held out while it trains; give stages.{step}.eval_data")
    if near := meant(spec.kind, ".".join(rest)):
        raise ValueError(f'{step} tells no "{".".join(rest)}". Did you mean {near}?')
    return StepMetric((step,), ".".join(rest))


def hint(word: str, known: Iterable[str]) -> str:
    """What was probably meant; of METRIC.SLICE the metric alone may be the misspelt word."""
    known = list(known)
    near = difflib.get_close_matches(word, known, 1, 0.6)
    return did_you_mean(word if near else word.rpartition(".")[0] or word, known)
