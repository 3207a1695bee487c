"""What suites and gates say of rows, held against the rows as soon as these are prepared: slices, axes, a baseline's data.

What is prepared counts them by part (`slices/holdout/near`). Of rows that are not prepared yet, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from align.artifact.manifest import Manifest
from align.errors import Problem, RecipeError, did_you_mean
from align.gates.figures import Figures, Measured
from align.gates.judge import open_baseline, other_rows, value_of
from align.gates.language import Term, parse
from align.gates.names import Figure, SuiteMetric, figure_of
from align.plan import Edge, Plan
from align.recipe import Recipe
from align.specs import EvaluateSpec, Suite

AXIS = "axis_"
MOST_TOLD = 12
OPTIONAL = ("near", "far")  # settings that may be null


def check(plan: Plan) -> None:
    """Raises RecipeError with every name that stands for no rows."""
    if found := [*_of_suites(plan), *_of_gates(plan)]:
        raise RecipeError(plan.recipe.path, found, "nothing more was run")


def _of_suites(plan: Plan) -> Iterator[Problem]:
    for stage, name, suite in _suites(plan.recipe):
        there = _there(plan, stage, name)
        for setting, wanted in suite.parts().items() if there is not None else ():
            if not set(wanted) & set(there or ()):
                key = f"stages.{stage}.suites.{name}.{setting}"
                optional = setting if setting in OPTIONAL else ""
                yield Problem(plan.recipe.line_of(key), key, _missing(wanted, there or {}, optional))


def _missing(wanted: tuple[str, ...], there: Mapping[str, int], optional: str) -> str:
    slices = [name for name in wanted if not name.startswith(AXIS)]
    kind = "slice or axis" if len(slices) < len(wanted) else "slice"
    known = {n.removeprefix(AXIS): rows for n, rows in there.items() if kind != "slice" or not n.startswith(AXIS)}
    counted = ", ".join(f"{name} ({rows:,} rows)" for name, rows in list(known.items())[:MOST_TOLD])
    counted += f" and {len(known) - MOST_TOLD} more" if len(known) > MOST_TOLD else ""
    near = did_you_mean(slices[0], known)
    told = [f"no row has the {kind} {' or '.join(slices)}."]
    told += [near] if near.startswith("Did") else []
    told += [f"There are {counted}." if counted else f"The rows have no {kind} at all."]
    return " ".join([*told, *([f"Or say {optional}: null."] if optional else [])])


def _of_gates(plan: Plan) -> Iterator[Problem]:
    old = open_baseline(plan.recipe)
    for index, gate in enumerate(map(parse, plan.recipe.gates)):
        for term in gate.terms():
            figure = figure_of(term, plan.recipe)
            said = _baseline(plan, term, figure, old) if term.stored else None
            if isinstance(figure, SuiteMetric) and not term.stored:
                said = _no_part(plan, figure)
            if said:
                yield Problem(plan.recipe.line_of(f"gates.{index}"), f"gates.{index}", said)


def _baseline(plan: Plan, term: Term, figure: Figure, old: Figures) -> str | None:
    """What is wrong with a stored figure: it is not there, or it was measured on other rows than those prepared now."""
    try:
        told = value_of(term, plan.recipe, old, old)
    except LookupError as error:
        return str(error.args[0])
    edge = _edge(plan, figure.stage, figure.suite) if isinstance(figure, SuiteMetric) else None
    artifact = plan.steps[edge.step].artifact if edge and edge.step else None
    if artifact is None or not isinstance(told, Measured):
        return None
    now = Manifest.read(artifact).digest
    return None if now == told.data else other_rows(term, told.data, now)


def _no_part(plan: Plan, figure: SuiteMetric) -> str | None:
    """What is wrong with the slice of METRIC.SLICE; None where there is none, or none is named."""
    stage = plan.recipe.stages[figure.stage]
    assert isinstance(stage, EvaluateSpec)
    suite = stage.suites[figure.suite]
    metrics = [metric.replace("/", ".") for metric in suite.measures()]
    before = [metric for metric in metrics if figure.metric.startswith(f"{metric}.")]
    there = dict.fromkeys(suite.own_slices, 0) or _there(plan, figure.stage, figure.suite)
    if figure.metric in metrics or not before or there is None:
        return None
    part = figure.metric.removeprefix(f"{max(before, key=len)}.")
    near = did_you_mean(part, there) or "Its rows have no slices."
    return None if part in there else f'{figure.suite} has no slice "{part}". {near}'


def _suites(recipe: Recipe) -> Iterator[tuple[str, str, Suite]]:
    for stage, spec in recipe.stages.items():
        if isinstance(spec, EvaluateSpec):
            yield from ((stage, name, suite) for name, suite in spec.suites.items())


def _edge(plan: Plan, stage: str, suite: str) -> Edge | None:
    """Where the rows of a suite come from, which are the same for every model; None where it brings its own."""
    first = next(step for name, step in plan.steps.items() if name.startswith(f"{stage}.") and step.kind == "measure")
    return first.edges.get(f"suites.{suite}.data")


def _there(plan: Plan, stage: str, suite: str) -> dict[str, int] | None:
    """Rows by slice, and by axis as `axis_NAME`, of what a suite asks about; None where that is not known."""
    edge = _edge(plan, stage, suite)
    told = plan.steps[edge.step].about if edge and edge.step else {}
    found: dict[str, int] = {}
    for kind, prefix in (("slices", ""), ("axes", AXIS)):
        start = f"{kind}/{edge.part if edge else ''}"
        names = {name.removeprefix(f"{start}/"): int(n) for name, n in told.items() if name.startswith(f"{start}/")}
        if len(names) != told.get(start):
            return None
        found |= {f"{prefix}{name}": count for name, count in names.items()}
    return found
