"""Row accounting: every row that was read is kept, or dropped for a reason that is told with row numbers.

    read - joined + expanded = kept + dropped

`joined`: rows that went into another one (messages of a tree). `expanded`: rows beyond the first that one row gave (pairs
of a scored list). Rows that were asked to go (filters) are dropped too, but do not count against the budget of broken ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from align.errors import DataError
from align.schema import RowProblem

ROW_NUMBERS_TOLD = 5
SOURCES_TOLD = 50
NO_SOURCE, OTHER_SOURCES = "(none)", "(others)"
_BUDGETS = [digit * 10.0**power for power in range(-6, 0) for digit in (1, 2, 5)] + [1.0]


@dataclass
class Ledger:
    """Of every reason the number of rows and the first few problems."""

    read: int = 0
    joined: int = 0
    expanded: int = 0
    dropped: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[RowProblem]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)  # reasons that the recipe asked for
    by_source: dict[str, int] = field(default_factory=dict)  # rows dropped

    @property
    def rows(self) -> int:
        """What there was to keep."""
        return self.read - self.joined + self.expanded

    @property
    def kept(self) -> int:
        return self.rows - self.dropped

    @property
    def broken(self) -> int:
        return sum(count for reason, count in self.counts.items() if reason not in self.asked)

    def drop(self, problem: RowProblem, source: object = None, asked: bool = False) -> None:
        """`source`: what the row says it came from; `asked`: the recipe wants such rows left out."""
        self.dropped += 1
        name = source if isinstance(source, str) and source else NO_SOURCE
        if name not in self.by_source and len(self.by_source) >= SOURCES_TOLD:
            name = OTHER_SOURCES
        self.by_source[name] = self.by_source.get(name, 0) + 1
        self.counts[problem.reason] = self.counts.get(problem.reason, 0) + 1
        if asked:
            self.asked.add(problem.reason)
        examples = self.examples.setdefault(problem.reason, [])
        if len(examples) < ROW_NUMBERS_TOLD:
            examples.append(problem)

    def reasons(self) -> list[tuple[str, int]]:
        """The most frequent first."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))

    def rows_of(self, reason: str) -> str:
        """Such as `rows 3, 17, 1,207 ...`."""
        numbers = ", ".join(f"{problem.row:,}" for problem in self.examples[reason])
        more = " ..." if self.counts[reason] > ROW_NUMBERS_TOLD else ""
        return f"row{'s' if self.counts[reason] > 1 else ''} {numbers}{more}"

    def metrics(self) -> dict[str, float]:
        """joined and expanded only where there are any."""
        told: dict[str, float] = {"rows/read": self.read, "rows/kept": self.kept, "rows/dropped": self.dropped}
        told |= {name: n for name, n in (("rows/joined", self.joined), ("rows/expanded", self.expanded)) if n}
        return told | {f"dropped/{reason}": count for reason, count in self.reasons()}

    def notes(self) -> list[str]:
        """A sentence for each reason."""
        return [
            f"dropped {count:,} of {self.rows:,} rows ({self.rows_of(reason)}): {self.examples[reason][0].message}"
            for reason, count in self.reasons()
        ]

    def check(self, budget: float, where: str) -> None:
        """Raise DataError where there are no rows, none is left, or more than `budget` (a share) are broken."""
        if self.read == 0:
            raise DataError(where, "there are no rows", "At least one row is needed")
        if self.broken > budget * self.rows:
            raise self._over_budget(budget)
        if self.kept == 0:
            told = "; ".join(f"{reason} {count:,}" for reason, count in self.reasons())
            raise DataError(where, f"none of its {self.rows:,} rows is left ({told})", "At least one row is needed")

    def _over_budget(self, budget: float) -> DataError:
        """The most frequent mistake by its first row, how many rows have it, and what else there is."""
        (reason, count), *others = [item for item in self.reasons() if item[0] not in self.asked]
        problem, share = self.examples[reason][0], self.broken / self.rows
        found = f"{count:,} of {self.rows:,} rows {'have' if count > 1 else 'has'} this ({self.rows_of(reason)})"
        if others:
            rest = "; ".join(f"{name} {number:,} ({self.rows_of(name)})" for name, number in others)
            found += f". With other reasons, {rest}, that makes {self.broken:,} rows"
        enough = next(step for step in _BUDGETS if step >= share)
        return DataError(
            f"{problem.where}, row {problem.row:,}", problem.message,
            f"{found}: {_percent(share)}, over the budget of {_percent(budget)}",
            f"Correct them; or drop them and go on: drop_budget: {enough:g}",
        )  # fmt: skip


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.99 else f"{share * 100:.0f} %"
