"""What a measure step has to do, pass by pass over the rows of its suites, and how long the rest of it will take.

A pass takes as long a unit as the passes of its kind took so far in this step; where these are few or none, as long as all others
on the average. What the cache remembers takes no time, and says nothing of the others.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from align.evals.measured import Progress
from align.specs import Suite
from align.specs.asking import Generating, is_scorer
from align.specs.contests import FrontierSuite, HealthSuite, KlSuite, PreferenceSuite
from align.specs.suites import BenchmarkSuite, LossSuite, MemorisationSuite, RetentionSuite, TransferSuite

Clock = Callable[[], float]
ANSWER, READ, QUICK, VERDICT, BENCHMARK = "answer", "read", "quick", "verdict", "benchmark"
# Units of a row, one being a token that is sampled: on two CPU cores and on a GPU these come within a factor of three.
OF_A_ROW = {READ: 8.0, QUICK: 0.5, VERDICT: 500.0, BENCHMARK: 40.0}
DOCUMENTS = 1000  # of a benchmark task, before lm-eval has said how many it has
TRUSTED = 0.1  # of a kind's units, counted at the pace of all kinds
SOON = 0.5  # seconds of work after which a pace can be told


@dataclass
class Pass:
    """One pass over rows: its suite, its kind, its units, and the share of it that is done."""

    suite: int
    kind: str
    units: float
    share: float = 0.0


def passes(suite: Suite, row_type: str, on_itself: bool = False) -> Sequence[tuple[str, float]]:
    """The passes of a suite in order, each with its kind and its units a row. `on_itself`: the model is its `against`."""
    answers = ANSWER, float(getattr(suite, "max_new_tokens", 0))
    reads, quick = (READ, OF_A_ROW[READ]), (QUICK, OF_A_ROW[QUICK])
    both = READ, 2 * OF_A_ROW[READ]  # answers of a pair
    of_pairs, against = row_type == "preference", bool(getattr(suite, "against", None))
    if isinstance(suite, PreferenceSuite):
        judged = [(VERDICT, 2 * OF_A_ROW[VERDICT])] if suite.judge else [] if is_scorer(suite.by) else [reads, reads]
        return [both] * (1 + against if of_pairs else 0) + ([answers, answers, *judged] if suite.by else [])
    if isinstance(suite, HealthSuite):
        scored = [reads, reads] if suite.proxy and not is_scorer(suite.proxy) else []
        told = [quick] * (bool(suite.gold) + 2 * bool(suite.proxy))
        return [answers, answers, *scored, *told, *[both, both] * of_pairs]
    if isinstance(suite, FrontierSuite):
        scored = [] if is_scorer(suite.proxy) else [reads]
        drawn = [
            (kind, max(suite.best_of) * units) for kind, units in (answers, *scored) if suite.best_of and on_itself
        ]
        return [answers, *scored, reads, reads, *drawn]
    if isinstance(suite, RetentionSuite) and row_type != "prompt":
        compared = row_type == "text" and against
        return [both if of_pairs else reads] * (1 + against) + [both] * compared
    if isinstance(suite, MemorisationSuite):
        return [both, (ANSWER, 2.0 * suite.tokens)]
    if isinstance(suite, BenchmarkSuite):
        return [(BENCHMARK, OF_A_ROW[BENCHMARK])]
    if isinstance(suite, KlSuite):
        return [answers, reads, reads]
    if isinstance(suite, LossSuite):
        return [reads]
    assert isinstance(suite, Generating | RetentionSuite)
    return [answers] * (1 + (against and isinstance(suite, RetentionSuite))) + [quick, quick] * _held_against(suite)


def _held_against(suite: Suite) -> bool:
    return isinstance(suite, TransferSuite) and suite.train is not None


class Work:
    """All passes of a step in order; `tell` hears of every step forward. `clock` gives seconds."""

    def __init__(self, todo: Sequence[Pass], tell: Callable[[Work], None], clock: Clock = time.monotonic) -> None:
        self.passes, self.suite = list(todo), 0
        self._tell, self._clock = tell, clock
        self._next = 0
        self._seconds: dict[str, float] = defaultdict(float)  # by kind, of what was not remembered
        self._units: dict[str, float] = defaultdict(float)

    def ask(self, suite: int) -> None:
        """The suite at this place begins; all before it are over."""
        self.suite = suite
        self._next = next((i for i, each in enumerate(self.passes) if each.suite == suite), len(self.passes))
        self._finish(self._next)

    def begin(self) -> Progress:
        """The progress of the suite's next pass, which begins now; the one before it is over."""
        self._finish(self._next)
        told_of = self._next < len(self.passes) and self.passes[self._next].suite == self.suite
        current = self.passes[self._next] if told_of else Pass(self.suite, "", 0.0)
        self._next += told_of
        since = self._clock()

        def told(done: int, total: int, fresh: bool = True) -> None:
            nonlocal since
            now, share = self._clock(), min(1.0, done / max(1, total))
            if fresh:
                self._seconds[current.kind] += now - since
                self._units[current.kind] += max(0.0, share - current.share) * current.units
            current.share, since = share, now
            self._tell(self)

        return told

    def _finish(self, count: int) -> None:
        for each in self.passes[:count]:
            each.share = 1.0
        self._tell(self)

    def share(self) -> float:
        """Of all units, those done."""
        return sum(each.share * each.units for each in self.passes) / max(1e-9, sum(each.units for each in self.passes))

    def taken(self) -> dict[str, float]:
        """Seconds of each kind of pass so far, without what was remembered."""
        return dict(self._seconds)

    def left(self) -> float | None:
        """Seconds that the rest will take; None before there is a pace."""
        seconds, units = sum(self._seconds.values()), sum(self._units.values())
        if seconds < SOON or not units:
            return None
        return sum((1 - each.share) * each.units * self._pace(each.kind, seconds / units) for each in self.passes)

    def _pace(self, kind: str, average: float) -> float:
        """Seconds a unit: the average of all kinds as long as little of this one was done, since the first batch is slow."""
        trusted = TRUSTED * sum(each.units for each in self.passes if each.kind == kind)
        return (self._seconds[kind] + trusted * average) / max(1e-9, self._units[kind] + trusted)


def work_of(
    suites: Iterable[tuple[Suite, str, int, bool]], tell: Callable[[Work], None], clock: Clock = time.monotonic
) -> Work:
    """The work of suites, each with the type of its rows, how many it asks, and whether the model is its own `against`."""
    todo = [
        Pass(position, kind, units * (rows or documents(suite)))
        for position, (suite, row_type, rows, on_itself) in enumerate(suites)
        for kind, units in passes(suite, row_type, on_itself)
    ]
    return Work(todo, tell, clock)


def documents(suite: Suite) -> int:
    """How many documents a benchmark asks, about; 0 for all else."""
    return (suite.limit or DOCUMENTS) * len(suite.tasks) if isinstance(suite, BenchmarkSuite) else 0
