"""Verdicts: pass when a figure's whole one-sided bound is on the right side, fail when it is wholly on the wrong one.

With confidence c the bounds are the ends of the two-sided interval at 2c - 1: of gates whose truth lies on the wrong side at
most 1 - c pass. Between the two a gate is inconclusive, and says how many rows would decide it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from align.errors import Problem
from align.estimates import Estimate, apart, difference
from align.gates.figures import Built, Figures, Measured
from align.gates.language import CONFIDENCE, OPERATORS, Gate, Term, parse
from align.gates.names import StepMetric, SuiteMetric, Written, figure_of

Outcome = Literal["pass", "fail", "inconclusive"]
MOST = 2.0**40  # times as many rows: beyond this nothing is worth telling


@dataclass(frozen=True)
class Verdict:
    """One judged gate. `low` and `high` each hold alone with `confidence`; a plain number has neither."""

    gate: str
    line: int
    verdict: Outcome
    blocks: bool
    value: float
    operator: str
    threshold: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    n: int | None = None
    clusters: int | None = None
    n_to_decide: int | None = None  # rows, when inconclusive and any number would do
    paired: bool = False
    note: str = ""
    seeds: tuple[float, ...] = ()  # the figure of each training seed, where several were judged together
    seeds_to_decide: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Waiting:
    """A gate that cannot be judged yet, and the steps it waits for."""

    gate: str
    line: int
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """All gates of a recipe: judged, waiting for steps, or (problems, by the gate's text) of what was never produced."""

    verdicts: list[Verdict] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def blocking(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.blocks]

    def to_json(self) -> list[dict[str, Any]]:
        """One object a gate; `verdict` is also `waiting` or `error`."""
        waiting = [{"gate": w.gate, "line": w.line, "verdict": "waiting", "steps": list(w.steps)} for w in self.waiting]
        errors = [{"gate": p.key, "line": p.line, "verdict": "error", "note": p.message} for p in self.problems]
        return [*(v.to_json() for v in self.verdicts), *waiting, *errors]


def judge(recipe: Written, steps: Mapping[str, Built]) -> Judgement:
    """Judges every gate whose steps are sealed. Raises UserError when the baseline file cannot be read."""
    figures, judgement, old = Figures.of(steps), Judgement(), open_baseline(recipe)
    for index, gate in enumerate(map(parse, recipe.gates)):
        line = recipe.line_of(f"gates.{index}")
        missing = unsealed(gate, recipe, figures)
        if missing:
            judgement.waiting.append(Waiting(gate.text, line, missing))
            continue
        try:
            judgement.verdicts.append(verdict(gate, line, recipe, figures, old))
        except LookupError as error:
            judgement.problems.append(Problem(line, gate.text, str(error.args[0])))
    return judgement


def open_baseline(recipe: Written) -> Figures:
    """The baseline that gates speak of, empty where none does. Raises UserError when it cannot be read."""
    stored = any(term.stored for text in recipe.gates for term in parse(text).terms())
    return Figures.stored(Path(recipe.baseline).expanduser()) if stored and recipe.baseline else Figures({}, {})


def unsealed(gate: Gate, recipe: Written, figures: Figures) -> tuple[str, ...]:
    needed = [s for term in gate.terms() if not term.stored for s in figure_of(term, recipe).steps]
    return tuple(dict.fromkeys(s for s in needed if not figures.has((s,))))


def verdict(gate: Gate, line: int, recipe: Written, figures: Figures, old: Figures) -> Verdict:
    found = [value_of(term, recipe, figures, old) for term in gate.terms()]
    first, second = found[0], found[1] if gate.minus else None
    if isinstance(first, Measured):
        assert second is None or isinstance(second, Measured)
        if gate.minus and second and (gate.figure.stored or gate.minus.stored):
            check_rows(gate, first, second)
        estimate, paired = less(first, second) if second else (first.estimate, False)
        return decide(gate, line, estimate, paired)
    value = first - second if isinstance(second, float) else first
    return exact(gate, line, value, summed(gate.figure, recipe, figures))


def value_of(term: Term, recipe: Written, figures: Figures, old: Figures) -> float | Measured:
    """A term's number. What the baseline lacks is told as such."""
    figure, source = figure_of(term, recipe), old if term.stored else figures
    try:
        return source.measured(figure) if isinstance(figure, SuiteMetric) else float(source.plain(figure))
    except LookupError as error:
        if not term.stored:
            raise
        raise LookupError(f"{recipe.baseline} holds no {term.path}: {error.args[0]} Save it again.") from None


def check_rows(gate: Gate, ours: Measured, theirs: Measured) -> None:
    if ours.data != theirs.data or ours.prompts != theirs.prompts:
        raise LookupError(other_rows(gate.figure, theirs.data, ours.data))


def other_rows(figure: Term, before: str, now: str) -> str:
    return (
        f"the baseline of {figure.path} was measured on other rows (digest {before[:8]}, now {now[:8]}) "
        "and proves nothing. Save a new one (align gate RECIPE --save-baseline FILE), of a run with gates=[]"
    )


def less(ours: Measured, theirs: Measured) -> tuple[Estimate, bool]:
    """Paired where both answered the same rows; independent where they did not, or where there are no rows to pair."""
    if ours.sample is None or theirs.sample is None:
        return apart(ours.estimate, theirs.estimate), False
    paired = list(ours.sample.clusters) == list(theirs.sample.clusters)
    return difference(ours.sample, theirs.sample), paired


def summed(term: Term, recipe: Written, figures: Figures) -> str:
    figure = figure_of(term, recipe)
    if not isinstance(figure, StepMetric) or not figure.summed:
        return ""
    told = figures.telling(figure)
    return f"summed over {', '.join(told)}" if len(told) < len(figure.steps) else "summed over all data entries"


def exact(gate: Gate, line: int, value: float, note: str) -> Verdict:
    """A plain number is on one side or the other."""
    passed = OPERATORS[gate.operator](value, gate.threshold)
    return Verdict(
        gate.text, line, "pass" if passed else "fail", not passed, value, gate.operator, gate.threshold, note=note
    )


def decide(gate: Gate, line: int, estimate: Estimate, paired: bool = False) -> Verdict:
    """The verdict on a figure with an interval."""
    confidence = gate.confidence or CONFIDENCE
    low, high = estimate.bounds(2 * confidence - 1)
    outcome = side(gate, low, high)
    return Verdict(
        gate.text,
        line,
        outcome,
        outcome == "fail" or (outcome == "inconclusive" and not gate.tolerant),
        estimate.value,
        gate.operator,
        gate.threshold,
        low,
        high,
        confidence,
        estimate.n,
        estimate.clusters,
        rows_to_decide(gate, estimate, confidence) if outcome == "inconclusive" else None,
        paired,
    )


def side(gate: Gate, low: float, high: float) -> Outcome:
    test = OPERATORS[gate.operator]
    sides = {test(low, gate.threshold), test(high, gate.threshold)}
    return "inconclusive" if len(sides) > 1 or math.isnan(low + high) else "pass" if True in sides else "fail"


def rows_to_decide(gate: Gate, estimate: Estimate, confidence: float = CONFIDENCE) -> int | None:
    """How many rows of the same kind would decide a gate, if the figure stayed where it is; None if none would."""
    if estimate.se is None or estimate.value == gate.threshold:
        return None

    def decided(factor: float) -> bool:
        return side(gate, *estimate.times(factor).bounds(2 * confidence - 1)) != "inconclusive"

    low, high = 1.0, 2.0
    while not decided(high):
        low, high = high, high * 2
        if high > MOST:
            return None
    while estimate.times(high).n - estimate.times(low).n > 1 and high / low > 1.001:
        middle = (low + high) / 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return estimate.times(high).n
