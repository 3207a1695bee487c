"""A source read through once: its format, its columns, the rows that break, lengths, repetitions, and a sample of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from align import quickstart
from align.artifact.inputs import SourceInput
from align.data import filters, token_rows
from align.data.conversations import CannotConvert
from align.data.files import RawRow, row_suffix
from align.data.filters import Sieve
from align.data.formats import Format
from align.data.forms import Row
from align.data.ledger import NO_SOURCE
from align.data.pair_health import PairHealth
from align.data.readers import folder_files, read_rows
from align.data.row_statistics import texts_of as prompt_and_answers
from align.data.split import TRAIN
from align.errors import DataError
from align.inspection.guess import Guess, recognise
from align.inspection.measures import SAMPLE, Column, Repetitions, Reservoir, percentiles, texts_of
from align.schema import RowProblem, problem_of, row_problem

ROWS_LOOKED_AT = 50  # to recognise the format
ROWS_BETWEEN_TELLING = 2000
PROBLEMS_KEPT = 20  # of each reason

Progress = Callable[[int, int], None]  # rows read, rows expected (0: unknown)


@dataclass(frozen=True)
class Asked:
    """What is to be read, as what. `seconds` ends the reading early: the rest of a long source is then not seen."""

    source: SourceInput
    name: str
    row_type: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    limit: int | None = None
    seconds: float | None = None
    sieves: Sequence[Sieve] = ()  # what leaves out rows on purpose
    part: Callable[[Row], str] = lambda row: TRAIN


@dataclass
class Survey:
    """What was found. `sample` holds (row number, standard row); `whole` is false where reading ended early."""

    guess: Guess
    whole: bool = True
    read: int = 0
    expected: int = 0
    kept: int = 0
    words: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)  # rows that a sieve takes out, by its reason
    sources: Counter[str] = field(default_factory=Counter)
    health: PairHealth | None = None
    longest: tuple[int, int] = (0, 0)  # characters, row number
    problems: dict[str, list[tuple[RowProblem, str]]] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    repetitions: Repetitions = field(default_factory=Repetitions)
    sample: Reservoir[tuple[int, Row]] = field(default_factory=lambda: Reservoir(SAMPLE))
    broken: str = ""  # why the source could not be read to its end

    @property
    def format(self) -> Format:
        return self.guess.format

    @property
    def dropped(self) -> int:
        return sum(self.counts.values())

    def lengths(self) -> dict[str, dict[str, dict[str, float]]]:
        """unit -> part of a row -> percentiles, over the sample."""
        parts = [texts_of(row) for _, row in self.sample.items]
        names = list(dict.fromkeys(name for part in parts for name in part))
        units: dict[str, Callable[[str], int]] = {"characters": len, "words": lambda text: len(text.split())}
        units = {"tokens": token_rows.count} if self.format.row_type == "tokens" else units
        return {
            unit: {name: percentiles([measure(part[name]) for part in parts if name in part]) for name in names}
            for unit, measure in units.items()
        }


def survey(asked: Asked, progress: Progress = lambda done, total: None) -> Survey:
    """Read a source through. A row that breaks is counted; a file that breaks ends the reading, and is told.

    Raises DataError where not even the first rows can be read or recognised.
    """
    rows = islice(_rows(asked.source, asked.name), asked.limit)
    first = list(islice(rows, ROWS_LOOKED_AT))
    if not first:
        raise DataError(asked.name, "there are no rows", "At least one row is needed")
    guess = recognise([raw.values for raw in first], asked.row_type, asked.columns, asked.name, asked.format)
    row_type = guess.format.row_type
    health = PairHealth() if row_type == "preference" else None
    found = Survey(guess, expected=expected_rows(asked, first), health=health)
    sieves = (*filters.always(row_type), *asked.sieves)
    began, told = time.monotonic(), 0
    try:
        for raw in guess.format.units(_columns(found, chain(first, rows))):
            _take(found, raw, sieves, asked.part)
            if found.read - told >= ROWS_BETWEEN_TELLING:
                told = found.read
                progress(found.read, max(found.expected, found.read))
                if asked.seconds and time.monotonic() - began > asked.seconds:
                    found.whole = False
                    break
    except DataError as error:
        found.broken = str(error)
    if found.whole:
        found.expected = found.read
    return found


def _rows(source: SourceInput, name: str) -> Iterator[RawRow]:
    if source.kind == "quickstart":
        return (RawRow(name, number, row) for number, row in enumerate(quickstart.rows(source.location), 1))
    return read_rows(source.location, source.split, source.revision, hub=source.kind == "hub")


def _columns(found: Survey, rows: Iterator[RawRow]) -> Iterator[RawRow]:
    """The rows on their way, their columns counted as they stand in the source."""
    for raw in rows:
        for name, value in raw.values.items():
            found.columns.setdefault(name, Column()).add(value)
        yield raw


def _take(found: Survey, raw: RawRow, sieves: Sequence[Sieve], part: Callable[[Row], str]) -> None:
    found.read += raw.rows
    for row, problem in standard(raw, found.format):
        texts = prompt_and_answers(found.format.row_type)(row) if problem is None else None
        why = next((said for sieve in sieves if (said := sieve(row, texts))), None) if texts else None
        if why and why.asked:
            found.left_out[why.reason] += 1
            continue
        if why:
            problem = problem_of(raw.file, raw.number, "", why.words, why.reason)
        if problem is not None:
            _drop(found, problem, raw)
            continue
        found.kept += 1
        found.sources[row.get("source", NO_SOURCE)] += 1
        if texts:
            found.longest = max(found.longest, (len(texts.prompt) + sum(map(len, texts.answers)), raw.number))
        if found.health and texts:
            found.health.add(row, texts, raw.number, raw.values)
        found.words += sum(len(text.split()) for text in texts_of(row).values())
        found.repetitions.add(raw.number, row, part(row))
        found.sample.add((raw.number, row))


def _drop(found: Survey, problem: RowProblem, raw: RawRow) -> None:
    found.counts[problem.reason] = found.counts.get(problem.reason, 0) + 1
    kept = found.problems.setdefault(problem.reason, [])
    if len(kept) < PROBLEMS_KEPT:
        kept.append((problem, _excerpt(raw.values)))


def standard(raw: RawRow, form: Format) -> Iterator[tuple[Row, RowProblem | None]]:
    """The rows in standard form that a row gives, each with what keeps it from being one."""
    try:
        rows = form.rows(raw.values)
    except CannotConvert as fault:
        yield {}, problem_of(raw.file, raw.number, fault.field, fault.found, fault.reason)
        return
    if not rows:
        yield {}, problem_of(raw.file, raw.number, "", "gives no rows: all its answers were judged alike", "only_ties")
    for row in rows:
        yield row, row_problem(form.row_type, row, raw.file, raw.number)


def _excerpt(values: Mapping[str, Any]) -> str:
    text = orjson.dumps(values, default=str).decode()
    return text if len(text) <= 200 else text[:199] + "…"


def expected_rows(asked: Asked, first: list[RawRow]) -> int:
    """About how many rows a source has, from the sizes of its files; 0 where that cannot be said."""
    if asked.source.kind == "quickstart":
        return asked.limit or 0
    if asked.source.kind == "hub":
        return asked.limit or 0
    path = Path(asked.source.location)
    files = folder_files(path, asked.source.split) if path.is_dir() else [path]
    if all(row_suffix(file) == ".parquet" for file in files):
        rows = sum(_parquet_rows(file) for file in files)
    else:
        size = sum(map(_plain_bytes, files))
        each = sum(len(orjson.dumps(raw.values, default=str)) + 1 for raw in first) / len(first)
        rows = round(size / each)
    return min(rows, asked.limit or rows)


def _parquet_rows(file: Path) -> int:
    try:
        return pq.ParquetFile(file).metadata.num_rows
    except (pa.ArrowException, OSError):
        return 0  # reading it will say what is wrong


def _plain_bytes(file: Path) -> int:
    """Size once unpacked: gzip writes it at its end (modulo 4 GiB, RFC 1952), zstd files are taken to hold four times theirs."""
    size = file.stat().st_size
    if file.suffix.lower() == ".gz" and size > 4:
        with file.open("rb") as stream:
            stream.seek(-4, 2)
            return max(size, int.from_bytes(stream.read(4), "little"))
    return size * 4 if file.suffix.lower() == ".zst" else size
