"""What was measured of the models of two sides, suite by suite, with the difference where both answered the same rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from align import lineage
from align.artifact.store import Sealed
from align.estimates import LEVEL, Estimate, difference
from align.gates.figures import ALL, read_report, sample_of
from align.paired import holm, paired_p
from align.versus.sides import Side


@dataclass(frozen=True)
class Row:
    """One metric of one suite, of all rows or of a part of them. `difference` is B less A, None on other rows."""

    suite: str
    metric: str
    part: str
    a: Estimate
    b: Estimate
    difference: Estimate | None
    p: float | None = None  # of no difference, and by which test
    test: str = ""
    p_holm: float | None = None  # corrected for all differences of this pair, slices too

    @property
    def sure(self) -> bool:
        """Whether the difference stands also among so many."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL

    @property
    def beyond(self) -> bool:
        """Whether the difference lies wholly on one side of zero."""
        return self.difference is not None and not self.difference.low <= 0 <= self.difference.high


@dataclass(frozen=True)
class MeasuredPair:
    """Two measurements: of the same model in two runs, or of two models. `other_rows`: suites that asked other rows."""

    model: str
    a: Sealed
    b: Sealed
    rows: list[Row]
    other_rows: list[str]

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "model": self.model, "suite": r.suite, "metric": r.metric, "slice": r.part,
                "a": r.a.to_json(), "b": r.b.to_json(),
                "difference": r.difference.to_json() if r.difference else None,
                "p": r.p, "test": r.test or None, "p_holm": r.p_holm,
            }
            for r in self.rows
        ]  # fmt: skip


def measured_pairs(a: Side, b: Side) -> list[MeasuredPair]:
    """Every pair of measurements that are not one and the same; of two models, the newest that share a suite's rows."""
    if a.top and b.top and (found := _of_tops(a, a.top, b, b.top)):
        return [found]
    names = [n for n, s in a.steps.items() if s.manifest.kind == "measure" and n in b.steps]
    pairs = [(n, a.steps[n], b.steps[n]) for n in names if a.steps[n].manifest.key != b.steps[n].manifest.key]
    return [_pair(name.partition(".")[2] or name, x, y) for name, x, y in pairs]


def _of_tops(a: Side, a_top: str, b: Side, b_top: str) -> MeasuredPair | None:
    """Of all measurements of the two, those with most rows of results in common, the newest of them."""
    label = a_top if a_top == b_top else f"{a_top}, {b_top}"
    ours, theirs = _measurements(a, a.steps[a_top]), _measurements(b, b.steps[b_top])
    pairs = [(x, y) for x in ours for y in theirs if x.manifest.key != y.manifest.key]
    if not pairs:
        return None
    return _pair(label, *max(pairs, key=lambda pair: len(_shared_settings(*pair))))


def _shared_settings(a: Sealed, b: Sealed) -> set[str]:
    """The settings that two measurements have in common: those of the same suites are most alike."""
    return {k for k, v in a.manifest.spec.items() if b.manifest.spec.get(k) == v}


def _measurements(side: Side, top: Sealed) -> list[Sealed]:
    """A measurement itself, or those that the store has of a model, newest first."""
    if top.manifest.kind == "measure":
        return [top]
    measures = [s for s in reversed(lineage.artifacts(side.store)) if s.manifest.kind == "measure"]
    return [s for s in measures if (m := s.manifest.parents.get("model")) and m.key == top.manifest.key]


def _pair(label: str, a: Sealed, b: Sealed) -> MeasuredPair:
    ours, theirs = read_report(a.path)["suites"], read_report(b.path)["suites"]
    shared = [name for name in ours if name in theirs]
    rows = [row for name in shared for row in _rows(name, ours[name], theirs[name])]
    return MeasuredPair(
        label, a, b, _corrected(rows), [name for name in shared if not same_rows(ours[name], theirs[name])]
    )


def same_rows(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return ours["data"] == theirs["data"] and ours["rows"]["clusters"] == theirs["rows"]["clusters"]


def _rows(suite: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[Row]:
    found = []
    paired = same_rows(ours, theirs)
    for metric, parts in ours["metrics"].items():
        for part in [ALL, *(p for p in parts if p != ALL)]:
            other = theirs["metrics"].get(metric, {})
            if part not in parts or part not in other:
                continue
            samples = [sample_of(body["rows"], metric, part) for body in (theirs, ours)]
            told = difference(samples[0], samples[1]) if paired and samples[0] and samples[1] else None
            p, test = paired_p(samples[0], samples[1]) if told and samples[0] and samples[1] else (math.nan, "")
            values = Estimate.from_json(parts[part]), Estimate.from_json(other[part])
            found.append(Row(suite, metric, part, *values, told, None if math.isnan(p) else p, test))
    return found


def _corrected(rows: list[Row]) -> list[Row]:
    """The rows with Holm's p: of twenty differences that are none, one lies beyond its 95 % interval."""
    adjusted = holm([math.nan if row.p is None else row.p for row in rows])
    return [replace(row, p_holm=None if math.isnan(each) else each) for row, each in zip(rows, adjusted, strict=True)]
