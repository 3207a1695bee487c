"""prepare: rows of any source become standard rows, every one checked, split by prompt.

Reads one source: a file, a folder, a hub data set or the bundled world. Writes rows-train.parquet and, with a holdout,
rows-holdout.parquet; report.json, with all that was counted; README.md, the same for people; quarantine.jsonl, where rows
repeat questions of `against`. No model takes part, but for the tokenizer of the one that `tokenizer` names: it counts the
tokens of texts, and reads token ids that are held against texts. Memory does not grow with the rows, but for hashes: 50 bytes
a row, 50 more a pair, 60 more a row with `filters: {duplicates: ...}`; for near duplicates about 40 and 4 for each distinct
word of a row, with a holdout as much again for its prompt.

Nothing changes silently: the detected format (or the one that `format` names) and the columns that are not used are told;
rows that are not of the wanted type, pairs with two identical sides and rows that a filter leaves out are counted by reason,
and above `drop_budget` (a share of the rows; filters aside) the stage refuses. Where a row falls is a function of split_seed and
of its prompt alone (align/data/split.py), or, where other prompts are nearly the same, of these prompts: they fall on one side,
in whatever order rows come. So a new training seed moves no row, and a new row only prompts that are nearly the same. What is
told of rows (lengths, sources, copies, health) is told of those that are kept; copies made for a weight are no repetitions.

Metrics: rows/read, rows/kept, rows/dropped, rows/train, rows/holdout, dropped/REASON; where one row gives several or several
become one, rows/expanded, rows/joined and rows/ties (align/data/ledger.py); copies/rows, copies/prompts, copies/ids; sources,
sources/largest; characters/*; of preferences health/* (align/data/pair_health.py); duplicates/exact, near, prompts and
near_prompts; slices/PART (how many), slices/PART/NAME (rows), and axes likewise; with `against` leakage/rows, exact, ngram and
near, and the same for each reference (leakage/REFERENCE/rows).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from align import quickstart
from align.artifact.inputs import Inputs, SourceInput
from align.data import card, filters, pair_health, slices, token_rows
from align.data.conversations import CannotConvert
from align.data.files import RawRow
from align.data.formats import Format, detect
from align.data.forms import Row
from align.data.leakage import evidence
from align.data.leakage.questions import question
from align.data.leakage.references import Questions
from align.data.leakage.scan import Policy, Scan, Verdict
from align.data.ledger import Ledger
from align.data.pair_health import PairHealth
from align.data.parting import LEFT_OUT, part_rows
from align.data.readers import read_rows
from align.data.row_statistics import RowStatistics, Texts, texts_of
from align.data.split import HOLDOUT, TRAIN, parts
from align.data.store_rows import RowWriter, part_file
from align.data.store_rows import read_rows as read_sealed
from align.data.weights import copies
from align.errors import DataError, Stopped
from align.models.tokenizer import load_tokenizer
from align.schema import is_row, problem_of, row_problem
from align.specs.prepare import PrepareSpec
from align.tracking import Tracker

ROWS_LOOKED_AT = 50  # to detect the format
ROWS_BETWEEN_TELLING = 2000
_STAGED = "staged"  # all rows, until it is known which part each belongs to


def run(spec: PrepareSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Convert, check, filter, split and write the rows of `inputs.source()`."""
    source = inputs.source()
    raw_rows = _read(source, spec)
    first = list(islice(raw_rows, ROWS_LOOKED_AT))
    form = detect([raw.values for raw in first], spec.as_, spec.columns, spec.source, spec.format)
    tracker.note(f"detected: {form.told}")

    ledger, statistics = Ledger(), RowStatistics(spec.as_)
    health = PairHealth() if spec.as_ == "preference" else None
    tokenizer = load_tokenizer(inputs.model("tokenizer")) if spec.tokenizer else None
    with _scan(spec, inputs, out, tokenizer) as scan:
        with RowWriter(out, spec.as_, [_STAGED]) as writer, _rare_collections():
            for raw, row, texts, made in _kept(
                form.units(chain(first, raw_rows)), form, spec, ledger, tracker, tokenizer
            ):
                size = statistics.add(row, texts, raw.number, made)
                if health and not made:
                    health.add(row, texts, raw.number, raw.values)
                writer.add(_STAGED, row, size)
                scan.add(row, raw.file, raw.number, made)
        verdict = scan.finish()

    _leave_out(scan, verdict, spec, ledger, out)
    ledger.check(spec.drop_budget, spec.source)
    chosen = np.where(verdict.reason == 0, verdict.held_out.astype(np.int8), LEFT_OUT)
    counts = part_rows(part_file(out, _STAGED), out, parts(spec.holdout), chosen)
    _need_all_parts(counts, spec)
    kept = verdict.reason == 0
    judged = health.report(kept[statistics.found()]) if health else None
    told = card.report(ledger, form, counts, statistics.report(kept), judged)
    unit = "tokens" if spec.as_ == "tokens" else "characters"
    _tell(ledger, form, told, card.huge(*statistics.longest(kept), unit), tracker)
    for sentence in verdict.notes:
        tracker.note(sentence)
    card.write(out, told, tracker.notes, parts(spec.holdout))
    tracker.progress(ledger.read, ledger.read, dropped=ledger.dropped)
    ties = {"rows/ties": form.ties} if form.ties else {}
    in_parts = {f"rows/{part}": count for part, count in counts.items()}
    named = slices.counted(out, parts(spec.holdout))
    return ledger.metrics() | in_parts | ties | card.metrics(told) | verdict.metrics | named


def _read(source: SourceInput, spec: PrepareSpec) -> Iterator[RawRow]:
    if source.kind == "quickstart":
        rows = (RawRow(spec.source, number, row) for number, row in enumerate(quickstart.rows(source.location), 1))
    else:
        rows = read_rows(source.location, source.split, source.revision, hub=source.kind == "hub")
    return islice(rows, spec.limit)


def _kept(
    units: Iterator[RawRow], form: Format, spec: PrepareSpec, ledger: Ledger, tracker: Tracker, tokenizer: Any
) -> Iterator[tuple[RawRow, Row, Texts, bool]]:
    """The rows that stay, where they come from, their texts, whether each is a copy; the ledger knows of the others."""
    fits, texts_in = is_row(spec.as_), texts_of(spec.as_)
    tokens = filters.token_counter(tokenizer) if tokenizer and spec.as_ != "tokens" else None
    sieves = [*filters.always(spec.as_), *filters.asked(spec.filters, tokens)]
    for raw in units:
        for row in _converted(raw, form, ledger):
            source = row.get("source")
            if not fits(row):
                problem = row_problem(spec.as_, row, raw.file, raw.number)
                assert problem is not None
                ledger.drop(problem, source)
                continue
            if foreign := _foreign(row, spec, tokenizer):
                ledger.drop(problem_of(raw.file, raw.number, "input_ids", foreign, "input_ids_unknown"), source)
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
            for copy in range(times):
                yield raw, row, texts, copy > 0
        if ledger.read % ROWS_BETWEEN_TELLING == 0:
            tracker.progress(ledger.read, spec.limit or 0, dropped=ledger.dropped)
            if tracker.stop_requested:
                raise Stopped


def _foreign(row: Row, spec: PrepareSpec, tokenizer: Any) -> str:
    """What is wrong with token ids that the tokenizer named for them does not know."""
    if tokenizer is None or spec.as_ != "tokens":
        return ""
    token = token_rows.unknown_to(row, tokenizer)
    return "" if token is None else f"holds token {token:,}, and {spec.tokenizer} knows those below {len(tokenizer):,}"


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


def _scan(spec: PrepareSpec, inputs: Inputs, out: Path, tokenizer: Any) -> Scan:
    """What holds the rows against each other, and against the questions of other data entries."""
    questions = Questions()
    for place, name in enumerate(spec.against):
        source = inputs.rows(f"against.{place}")
        for number, row in enumerate(read_sealed(source.files, source.type), 1):
            questions.add(name, number, question(row))
    policy = Policy(spec.leaks, spec.near_duplicates, spec.holdout, spec.split_seed)
    read = partial(token_rows.as_text, tokenizer=tokenizer) if spec.as_ == "tokens" and tokenizer else None
    return Scan(policy, questions.sealed() if spec.against else None, spec.against, out, read)


def _leave_out(scan: Scan, verdict: Verdict, spec: PrepareSpec, ledger: Ledger, out: Path) -> None:
    """Enter the rows that go in the ledger. Raises DataError where leaks are refused."""
    if spec.leaks == "refuse" and scan.evidence.rows:
        raise DataError(
            spec.source, f"{scan.evidence.rows:,} rows repeat questions of {', '.join(spec.against)}, such as "
            f"{scan.evidence.example}", "No such row, with leaks: refuse",
            f"All are in {out / evidence.FILE}. Take them out; or have them left out here: leaks: quarantine.",
        )  # fmt: skip
    for problem, source in scan.left_out(verdict):
        ledger.drop(problem, source, asked=True)


def _need_all_parts(counts: dict[str, int], spec: PrepareSpec) -> None:
    for part, other in ((TRAIN, HOLDOUT), (HOLDOUT, TRAIN)):
        if counts.get(part) == 0:
            raise DataError(
                spec.source, f"no prompt fell into {part}: all {counts[other]:,} rows are in {other}",
                f"Both parts need rows, with holdout: {spec.holdout}", "Give more rows, another holdout or split_seed.",
            )  # fmt: skip


def _tell(ledger: Ledger, form: Format, told: dict[str, Any], more: list[str], tracker: Tracker) -> None:
    if form.unused:
        names = ", ".join(f"{name} ({count:,} rows)" for name, count in sorted(form.unused.items()))
        tracker.note(f"columns not used: {names}")
    if form.ties:
        tracker.note(f"{form.ties:,} pairs left out: both answers were judged alike")
    concerns = card.copied(told["copies"]) + pair_health.imbalance(told["sources"]) + more
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
