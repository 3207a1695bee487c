"""prepare: rows of any source become standard rows, every one checked, split by prompt.

Reads one source: a file, a folder, a hub data set or the bundled world. Writes rows-train.parquet and, with a holdout,
rows-holdout.parquet. No model takes part. Memory does not grow with the rows.

Nothing changes silently: the detected format and the columns that are not used are told, rows that are not of the wanted type are
counted by reason, and above `drop_budget` (a share of the rows read) the stage refuses. The split is a function of a row's
prompt and of split_seed alone (align/data/split.py), so that new rows and new training seeds move no row.

Metrics: rows/read, rows/kept, rows/dropped, rows/train, rows/holdout, dropped/REASON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from align import quickstart
from align.artifact.inputs import Inputs, SourceInput
from align.data.conversations import CannotConvert
from align.data.files import RawRow
from align.data.formats import Format, Row, detect
from align.data.readers import read_rows
from align.data.split import HOLDOUT, TRAIN, part_of, parts
from align.data.store_rows import RowWriter
from align.errors import DataError, Stopped
from align.schema import RowProblem, problem_of, row_problem
from align.specs.prepare import PrepareSpec
from align.tracking import Tracker

ROWS_LOOKED_AT = 50  # to detect the format
ROWS_BETWEEN_TELLING = 2000
ROW_NUMBERS_TOLD = 5


def run(spec: PrepareSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Convert, check, split and write the rows of `inputs.source()`."""
    source = inputs.source()
    raw_rows = _read(source, spec)
    first = list(islice(raw_rows, ROWS_LOOKED_AT))
    form = detect([raw.values for raw in first], spec.as_, spec.columns, spec.source)
    tracker.note(f"detected: {form.told}")

    ledger = Ledger()
    with RowWriter(out, spec.as_, parts(spec.holdout)) as writer:
        for raw in chain(first, raw_rows):
            row = _standard(raw, form, spec, ledger)
            if row is not None:
                writer.write(part_of(row, spec.holdout, spec.split_seed), row)
            if ledger.read % ROWS_BETWEEN_TELLING == 0:
                tracker.progress(ledger.read, spec.limit or 0, dropped=ledger.dropped)
                if tracker.stop_requested:
                    raise Stopped

    _judge(ledger, writer.counts, spec)
    _tell(ledger, form, tracker)
    tracker.progress(ledger.read, ledger.read, dropped=ledger.dropped)
    return {
        "rows/read": ledger.read,
        "rows/kept": ledger.read - ledger.dropped,
        "rows/dropped": ledger.dropped,
        **{f"rows/{part}": count for part, count in writer.counts.items()},
        **{f"dropped/{reason}": count for reason, count in ledger.reasons()},
    }


@dataclass
class Ledger:
    """read = kept + dropped; of every reason the number of rows and the first few problems."""

    read: int = 0
    dropped: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[RowProblem]] = field(default_factory=dict)

    def drop(self, problem: RowProblem) -> None:
        self.dropped += 1
        self.counts[problem.reason] = self.counts.get(problem.reason, 0) + 1
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


def _read(source: SourceInput, spec: PrepareSpec) -> Iterator[RawRow]:
    if source.kind == "quickstart":
        rows = (RawRow(spec.source, number, row) for number, row in enumerate(quickstart.rows(source.location), 1))
    else:
        rows = read_rows(source.location, source.split, source.revision, hub=source.kind == "hub")
    return islice(rows, spec.limit)


def _standard(raw: RawRow, form: Format, spec: PrepareSpec, ledger: Ledger) -> Row | None:
    """The canonical row; None if it is none, which the ledger then knows."""
    ledger.read += 1
    try:
        row = form.convert(raw.values)
        problem = row_problem(spec.as_, row, raw.file, raw.number)
    except CannotConvert as fault:
        row, problem = None, problem_of(raw.file, raw.number, fault.field, fault.found, fault.reason)
    if problem is None:
        return row
    ledger.drop(problem)
    return None


def _judge(ledger: Ledger, counts: dict[str, int], spec: PrepareSpec) -> None:
    """Raise DataError when too many rows were dropped or a part is empty."""
    if ledger.read == 0:
        raise DataError(spec.source, "there are no rows", "At least one row is needed")
    if ledger.dropped > spec.drop_budget * ledger.read:
        raise _over_budget(ledger, spec)
    if not sum(counts.values()):
        raise DataError(spec.source, f"none of its {ledger.read:,} rows is left", "At least one row is needed")
    for part, other in ((TRAIN, HOLDOUT), (HOLDOUT, TRAIN)):
        if counts.get(part) == 0:
            raise DataError(
                spec.source, f"no prompt fell into {part}: all {counts[other]:,} rows are in {other}",
                f"Both parts need rows, with holdout: {spec.holdout}", "Give more rows, another holdout or split_seed.",
            )  # fmt: skip


def _over_budget(ledger: Ledger, spec: PrepareSpec) -> DataError:
    """The most frequent mistake by its first row, how many rows have it, and what else there is."""
    (reason, count), *others = ledger.reasons()
    problem, share = ledger.examples[reason][0], ledger.dropped / ledger.read
    found = f"{count:,} of {ledger.read:,} rows {'have' if count > 1 else 'has'} this ({ledger.rows_of(reason)})"
    if others:
        rest = "; ".join(f"{name} {number:,} ({ledger.rows_of(name)})" for name, number in others)
        found += f". With other reasons, {rest}, that makes {ledger.dropped:,} rows"
    budget = next(step for step in _BUDGETS if step >= share)
    return DataError(
        f"{problem.where}, row {problem.row:,}", problem.message,
        f"{found}: {_percent(share)}, over the budget of {_percent(spec.drop_budget)}",
        f"Correct them; or drop them and go on: drop_budget: {budget:g}",
    )  # fmt: skip


_BUDGETS = [digit * 10.0**power for power in range(-6, 0) for digit in (1, 2, 5)] + [1.0]


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.99 else f"{share * 100:.0f} %"


def _tell(ledger: Ledger, form: Format, tracker: Tracker) -> None:
    if form.unused:
        names = ", ".join(f"{name} ({count:,} rows)" for name, count in sorted(form.unused.items()))
        tracker.note(f"columns not used: {names}")
    for reason, count in ledger.reasons():
        first = ledger.examples[reason][0]
        tracker.note(f"dropped {count:,} of {ledger.read:,} rows ({ledger.rows_of(reason)}): {first.message}")
