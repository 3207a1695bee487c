"""prepare: rows of any source become standard rows, every one checked, split by prompt.

Reads one source: a file, a folder, a hub data set or the bundled world. Writes rows-train.parquet and, with a holdout,
rows-holdout.parquet. No model takes part. Memory does not grow with the rows.

Nothing changes silently: the detected format (or the one that `format` names) and the columns that are not used are told;
rows that are not of the wanted type are counted by reason, and above `drop_budget` (a share of the rows) the stage refuses.
The split is a function of a row's prompt and of split_seed alone (align/data/split.py), so that new rows and new training
seeds move no row.

Metrics: rows/read, rows/kept, rows/dropped, rows/train, rows/holdout, dropped/REASON; where one row gives several or several
become one, rows/expanded, rows/joined and rows/ties (see align/data/ledger.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from align import quickstart
from align.artifact.inputs import Inputs, SourceInput
from align.data.conversations import CannotConvert
from align.data.files import RawRow
from align.data.formats import Format, detect
from align.data.forms import Row
from align.data.ledger import Ledger
from align.data.readers import read_rows
from align.data.split import HOLDOUT, TRAIN, part_of, parts
from align.data.store_rows import RowWriter
from align.errors import DataError, Stopped
from align.schema import problem_of, row_problem
from align.specs.prepare import PrepareSpec
from align.tracking import Tracker

ROWS_LOOKED_AT = 50  # to detect the format
ROWS_BETWEEN_TELLING = 2000


def run(spec: PrepareSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Convert, check, split and write the rows of `inputs.source()`."""
    source = inputs.source()
    raw_rows = _read(source, spec)
    first = list(islice(raw_rows, ROWS_LOOKED_AT))
    form = detect([raw.values for raw in first], spec.as_, spec.columns, spec.source, spec.format)
    tracker.note(f"detected: {form.told}")

    ledger = Ledger()
    with RowWriter(out, spec.as_, parts(spec.holdout)) as writer:
        for raw in form.units(chain(first, raw_rows)):
            for row in _standard(raw, form, spec, ledger):
                writer.write(part_of(row, spec.holdout, spec.split_seed), row)
            if ledger.read % ROWS_BETWEEN_TELLING == 0:
                tracker.progress(ledger.read, spec.limit or 0, dropped=ledger.dropped)
                if tracker.stop_requested:
                    raise Stopped

    ledger.check(spec.drop_budget, spec.source)
    _need_all_parts(writer.counts, spec)
    _tell(ledger, form, tracker)
    tracker.progress(ledger.read, ledger.read, dropped=ledger.dropped)
    ties = {"rows/ties": form.ties} if form.ties else {}
    return ledger.metrics() | {f"rows/{part}": count for part, count in writer.counts.items()} | ties


def _read(source: SourceInput, spec: PrepareSpec) -> Iterator[RawRow]:
    if source.kind == "quickstart":
        rows = (RawRow(spec.source, number, row) for number, row in enumerate(quickstart.rows(source.location), 1))
    else:
        rows = read_rows(source.location, source.split, source.revision, hub=source.kind == "hub")
    return islice(rows, spec.limit)


def _standard(raw: RawRow, form: Format, spec: PrepareSpec, ledger: Ledger) -> Iterator[Row]:
    """The canonical rows that a row gives; those that are none are entered in the ledger."""
    ledger.read += raw.rows
    ledger.joined += raw.rows - 1
    try:
        rows = form.rows(raw.values)
    except CannotConvert as fault:
        ledger.drop(problem_of(raw.file, raw.number, fault.field, fault.found, fault.reason))
        return
    if not rows:
        ledger.drop(
            problem_of(raw.file, raw.number, "", "gives no rows: all its answers were judged alike", "only_ties")
        )
        return
    ledger.expanded += len(rows) - 1
    for row in rows:
        problem = row_problem(spec.as_, row, raw.file, raw.number)
        if problem is None:
            yield row
        else:
            ledger.drop(problem)


def _need_all_parts(counts: dict[str, int], spec: PrepareSpec) -> None:
    for part, other in ((TRAIN, HOLDOUT), (HOLDOUT, TRAIN)):
        if counts.get(part) == 0:
            raise DataError(
                spec.source, f"no prompt fell into {part}: all {counts[other]:,} rows are in {other}",
                f"Both parts need rows, with holdout: {spec.holdout}", "Give more rows, another holdout or split_seed.",
            )  # fmt: skip


def _tell(ledger: Ledger, form: Format, tracker: Tracker) -> None:
    if form.unused:
        names = ", ".join(f"{name} ({count:,} rows)" for name, count in sorted(form.unused.items()))
        tracker.note(f"columns not used: {names}")
    if form.ties:
        tracker.note(f"{form.ties:,} pairs left out: both answers were judged alike")
    for sentence in ledger.notes():
        tracker.note(sentence)
