"""Gates over several training seeds: what the recipe gives, not what one of its runs happened to give.

Of each figure the mean over seeds is judged, by an interval for a new seed and new prompts: how seeds vary (Student's t,
n = seeds) and how prompts vary are added. A figure that no seed changes is judged as that of one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from align.errors import Problem
from align.estimates import Seeds, over_seeds, ratio, seeds_of
from align.gates.figures import Built, Figures, Measured
from align.gates.judge import (
    Judgement,
    Verdict,
    Waiting,
    check_rows,
    exact,
    less,
    open_baseline,
    side,
    unsealed,
    value_of,
    verdict,
)  # fmt: skip
from align.gates.language import CONFIDENCE, OPERATORS, Gate, parse
from align.gates.names import Written

MOST = 1000  # seeds: beyond this nobody trains
Found = list[list[float | Measured]]  # by seed, by term of the gate


def judge(recipe: Written, runs: Mapping[str, Mapping[str, Built]]) -> Judgement:
    """Judges every gate over the runs, which are named by their seeds. Raises UserError when a baseline cannot be read."""
    figures = {name: Figures.of(steps) for name, steps in runs.items()}
    judgement, old = Judgement(), open_baseline(recipe)
    for index, gate in enumerate(map(parse, recipe.gates)):
        line = recipe.line_of(f"gates.{index}")
        missing = [f"{step} of {name}" for name, f in figures.items() for step in unsealed(gate, recipe, f)]
        if missing:
            judgement.waiting.append(Waiting(gate.text, line, tuple(missing)))
            continue
        try:
            found = [[value_of(t, recipe, f, old) for t in gate.terms()] for f in figures.values()]
            same = all(terms == found[0] for terms in found)
            first = next(iter(figures.values()))
            judged = verdict(gate, line, recipe, first, old) if same else _verdict(gate, line, found)
            judgement.verdicts.append(
                replace(judged, note=_joined(judged.note, "the same in every seed")) if same else judged
            )
        except LookupError as error:
            judgement.problems.append(Problem(line, gate.text, str(error.args[0])))
    return judgement


def _joined(*notes: str) -> str:
    return ", ".join(filter(None, notes))


def _verdict(gate: Gate, line: int, found: Found) -> Verdict:
    firsts = [terms[0] for terms in found]
    if all(isinstance(first, Measured) for first in firsts):
        return _of_rows(gate, line, [[t for t in terms if isinstance(t, Measured)] for terms in found])
    values = [float(terms[0]) - (float(terms[1]) if len(terms) > 1 else 0.0) for terms in found]  # type: ignore[arg-type]
    if gate.operator in ("==", "!="):
        wrong = next((v for v in values if not OPERATORS[gate.operator](v, gate.threshold)), values[0])
        return replace(exact(gate, line, wrong, "in each seed"), seeds=tuple(values))
    bare = ratio(values, [1.0] * len(values), range(len(values)))
    return _decided(gate, line, Seeds(bare, replace(bare, se=0.0, clusters=2), tuple(values)))


def _of_rows(gate: Gate, line: int, found: Sequence[Sequence[Measured]]) -> Verdict:
    ours, theirs = [terms[0] for terms in found], [terms[1] for terms in found if len(terms) > 1]
    if any((m.data, m.prompts) != (ours[0].data, ours[0].prompts) for m in ours):
        raise LookupError(f"{gate.figure.path} was measured on other rows in some seed, so that no mean can be taken")
    if theirs and (gate.figure.stored or (gate.minus and gate.minus.stored)):
        for mine, other in zip(ours, theirs, strict=True):
            check_rows(gate, mine, other)
    seeds, paired = _over(ours, theirs)
    return replace(_decided(gate, line, seeds), n=seeds.within.n, clusters=seeds.within.clusters, paired=paired)


def _over(ours: Sequence[Measured], theirs: Sequence[Measured]) -> tuple[Seeds, bool]:
    samples, others = [m.sample for m in ours], [m.sample for m in theirs]
    told = [s for s in [*samples, *others] if s is not None and list(s.clusters) == list((samples[0] or s).clusters)]
    if len(told) == len(samples) + len(others):
        return over_seeds(told[: len(ours)], told[len(ours) :] or None), bool(theirs)
    each = [less(mine, other)[0] for mine, other in zip(ours, theirs, strict=True)] if theirs else []
    return seeds_of(each or [m.estimate for m in ours]), False


def _decided(gate: Gate, line: int, seeds: Seeds) -> Verdict:
    confidence = gate.confidence or CONFIDENCE
    low, high = seeds.bounds(2 * confidence - 1)
    outcome = side(gate, low, high)
    return Verdict(
        gate.text, line, outcome, outcome == "fail" or (outcome == "inconclusive" and not gate.tolerant),
        seeds.over.value, gate.operator, gate.threshold, low, high, confidence, seeds=seeds.values,
        seeds_to_decide=_seeds_to_decide(gate, seeds, confidence) if outcome == "inconclusive" else None,
    )  # fmt: skip


def _seeds_to_decide(gate: Gate, seeds: Seeds, confidence: float) -> int | None:
    """How many seeds in all would decide, if mean and variances stayed; None where the prompts are too few for any number."""
    if seeds.over.se is None:
        return None
    for count in range(len(seeds.values) + 1, MOST):
        error = seeds.over.se * (len(seeds.values) / count) ** 0.5
        more = replace(seeds, over=replace(seeds.over, n=count, clusters=count, se=error))
        if side(gate, *more.bounds(2 * confidence - 1)) != "inconclusive":
            return count
    return None
