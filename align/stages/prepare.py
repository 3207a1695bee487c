"""prepare: rows of any source become standard rows, every one checked, split by prompt.

Reads one source: a file, a folder, a hub data set or the bundled world. Writes rows-train.parquet and, with a holdout,
rows-holdout.parquet; report.json, with all that was counted; README.md, the same for people. No model takes part. Memory does
not grow with the rows, but for hashes: 40 bytes a row, 40 more a pair, 60 more a row with `filters: {duplicates: ...}`.

Nothing changes silently: the detected format (or the one that `format` names) and the columns that are not used are told;
rows that are not of the wanted type, pairs with two identical sides and rows that a filter leaves out are counted by reason,
and above `drop_budget` (a share of the rows; filters aside) the stage refuses. The split is a function of a row's prompt and of
split_seed alone (align/data/split.py), so that new rows and new training seeds move no row.

Metrics: rows/read, rows/kept, rows/dropped, rows/train, rows/holdout, dropped/REASON; where one row gives several or several
become one, rows/expanded, rows/joined and rows/ties (align/data/ledger.py); copies/rows, copies/prompts, copies/ids; sources,
sources/largest; characters/*; of preferences health/* (align/data/pair_health.py).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from align import quickstart
from align.artifact.inputs import Inputs, SourceInput
from align.data import card, filters, pair_health
from align.data.conversations import CannotConvert
from align.data.files import RawRow
from align.data.formats import Format, detect
from align.data.forms import Row
from align.data.ledger import Ledger
from align.data.pair_health import PairHealth
from align.data.readers import read_rows
from align.data.row_statistics import RowStatistics, Texts, texts_of
from align.data.split import HOLDOUT, TRAIN, part_of, parts
from align.data.store_rows import RowWriter
from align.data.weights import copies
from align.errors import DataError, Stopped
from align.schema import is_row, problem_of, row_problem
from align.specs.prepare import PrepareSpec
from align.tracking import Tracker

ROWS_LOOKED_AT = 50  # to detect the format
ROWS_BETWEEN_TELLING = 2000


def run(spec: PrepareSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Convert, check, filter, split and write the rows of `inputs.source()`."""
    source = inputs.source()
    raw_rows = _read(source, spec)
    first = list(islice(raw_rows, ROWS_LOOKED_AT))
    form = detect([raw.values for raw in first], spec.as_, spec.columns, spec.source, spec.format)
    tracker.note(f"detected: {form.told}")

    ledger, statistics = Ledger(), RowStatistics(spec.as_)
    health = PairHealth() if spec.as_ == "preference" else None
    with RowWriter(out, spec.as_, parts(spec.holdout)) as writer, _rare_collections():
        for raw, row, texts in _kept(form.units(chain(first, raw_rows)), form, spec, ledger, tracker):
            size = statistics.add(row, texts, raw.number)
            if health:
                health.add(row, texts, raw.number, raw.values)
            writer.add(part_of(row, spec.holdout, spec.split_seed), row, size)

    ledger.check(spec.drop_budget, spec.source)
    _need_all_parts(writer.counts, spec)
    told = card.report(ledger, form, writer.counts, statistics.report(), health.report() if health else None)
    _tell(ledger, form, told, tracker)
    card.write(out, told, tracker.notes, parts(spec.holdout))
    tracker.progress(ledger.read, ledger.read, dropped=ledger.dropped)
    ties = {"rows/ties": form.ties} if form.ties else {}
    return (
        ledger.metrics() | {f"rows/{part}": count for part, count in writer.counts.items()} | ties | card.metrics(told)
    )


def _read(source: SourceInput, spec: PrepareSpec) -> Iterator[RawRow]:
    if source.kind == "quickstart":
        rows = (RawRow(spec.source, number, row) for number, row in enumerate(quickstart.rows(source.location), 1))
    else:
        rows = read_rows(source.location, source.split, source.revision, hub=source.kind == "hub")
    return islice(rows, spec.limit)


def _kept(
    units: Iterator[RawRow], form: Format, spec: PrepareSpec, ledger: Ledger, tracker: Tracker
) -> Iterator[tuple[RawRow, Row, Texts]]:
    """The rows that stay, with where they come from and their texts; the ledger knows of the others."""
    fits, texts_in = is_row(spec.as_), texts_of(spec.as_)
    sieves = [*filters.always(spec.as_), *filters.asked(spec.filters)]
    for raw in units:
        for row in _converted(raw, form, ledger):
            source = row.get("source")
            if not fits(row):
                problem = row_problem(spec.as_, row, raw.file, raw.number)
                assert problem is not None
                ledger.drop(problem, source)
                continue
            texts = texts_in(row)
            why = next((found for sieve in sieves if (found := sieve(row, texts))), None)
            if why:
                ledger.drop(problem_of(raw.file, raw.number, "", why.words, why.reason), source, why.asked)
                continue
            times = copies(row, spec.weights, spec.split_seed, raw.file, raw.number) if "weight" in row else 1
            if times == 0:
                ledger.drop(problem_of(raw.file, raw.number, "weight", "leaves it out", "weight"), source, True)
            ledger.expanded += max(times - 1, 0)
            yield from [(raw, row, texts)] * times
        if ledger.read % ROWS_BETWEEN_TELLING == 0:
            tracker.progress(ledger.read, spec.limit or 0, dropped=ledger.dropped)
            if tracker.stop_requested:
                raise Stopped


def _converted(raw: RawRow, form: Format, ledger: Ledger) -> list[Row]:
    """The rows that a row gives, not yet checked; none where it has another form than the others."""
    ledger.read += raw.rows
    ledger.joined += raw.rows - 1
    try:
        rows = form.rows(raw.values)
    except CannotConvert as fault:
        problem = problem_of(raw.file, raw.number, fault.field, fault.found, fault.reason)
    else:
        if rows:
            ledger.expanded += len(rows) - 1
            return rows
        problem = problem_of(raw.file, raw.number, "", "gives no pair: all its answers were judged alike", "only_ties")
    ledger.drop(problem, raw.values.get("source"))
    return []


def _need_all_parts(counts: dict[str, int], spec: PrepareSpec) -> None:
    for part, other in ((TRAIN, HOLDOUT), (HOLDOUT, TRAIN)):
        if counts.get(part) == 0:
            raise DataError(
                spec.source, f"no prompt fell into {part}: all {counts[other]:,} rows are in {other}",
                f"Both parts need rows, with holdout: {spec.holdout}", "Give more rows, another holdout or split_seed.",
            )  # fmt: skip


def _tell(ledger: Ledger, form: Format, told: dict[str, Any], tracker: Tracker) -> None:
    if form.unused:
        names = ", ".join(f"{name} ({count:,} rows)" for name, count in sorted(form.unused.items()))
        tracker.note(f"columns not used: {names}")
    if form.ties:
        tracker.note(f"{form.ties:,} pairs left out: both answers were judged alike")
    concerns = card.copied(told["copies"]) + pair_health.imbalance(told["sources"])
    for sentence in ledger.notes() + concerns + (pair_health.notes(told["health"]) if told["health"] else []):
        tracker.note(sentence)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Rows hold no circles: Python's collector would only walk over those that wait to be written, again and again."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
