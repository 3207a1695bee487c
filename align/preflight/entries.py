"""Every data entry of a recipe: its rows read (a long source for a while), judged, and a sample kept."""

from __future__ import annotations

from itertools import islice

from align import words
from align.artifact.inputs import RowsInput, SourceInput
from align.artifact.store import Sealed
from align.data.split import part_of, parts
from align.data.store_rows import read_rows
from align.errors import UserError
from align.findings import Finding
from align.inspection import report
from align.inspection.measures import Repetitions, Reservoir
from align.inspection.survey import Asked, Survey, survey
from align.job import spec_of
from align.models.inputs import input_of
from align.preflight.context import Context, Entry, Row
from align.specs import PrepareSpec

SECONDS = 10.0  # for the reading of one source
SAMPLE = 2000
FIRST = 200  # rows of each part that a run looks at by itself


def examine(context: Context, seconds: float = SECONDS) -> None:
    """Findings of every entry, each read for so long; the entries that could be read are then in the context."""
    for name, job in context.jobs.items():
        if job.kind != "prepare":
            continue
        context.say(f"reading {name}")
        spec: PrepareSpec = spec_of(job)
        try:
            sealed = context.store.find("prepare", job.key)
            entry = _sealed(context, name, sealed, spec) if sealed else _read(context, name, spec, seconds)
        except UserError as error:
            context.add(Finding("problem", f"data.{name}", str(error)))
            context.failed[name] = "whose rows cannot be read"
            continue
        context.entries[name] = entry
        for part in parts(spec.holdout):
            if not entry.rows.get(part):
                remedy = "Give more rows, another holdout or split_seed."
                context.add(Finding("problem", f"data.{name}", f"no prompt fell into {part}", remedy))


def glance(context: Context) -> None:
    """The first rows of what is prepared already; repeated rows as they were counted then."""
    for name, job in context.jobs.items():
        sealed = context.store.find("prepare", job.key) if job.kind == "prepare" else None
        if sealed is None:
            continue
        spec: PrepareSpec = spec_of(job)
        repetitions = Repetitions()
        repetitions.rows = int(sealed.manifest.metrics.get("copies/rows", 0))
        rows: dict[str, list[Row]] = {}
        for part in parts(spec.holdout):
            source = input_of(name, sealed, part, context.store)
            assert isinstance(source, RowsInput)
            rows[part] = list(islice(read_rows(source.files, source.type), FIRST))
        total = {part: sealed.manifest.rows.get(part, 0) for part in rows}
        context.entries[name] = Entry(name, spec.as_, rows, total, repetitions)


def _read(context: Context, name: str, spec: PrepareSpec, seconds: float) -> Entry:
    source = SourceInput(**context.edge(name, "source")["source"])
    asked = Asked(source, spec.source, spec.as_, spec.columns, spec.format, spec.limit, seconds)
    found = survey(asked)
    context.add(*_told(found, name, spec))
    rows: dict[str, list[Row]] = {part: [] for part in parts(spec.holdout)}
    for _, row in found.sample.items[:SAMPLE]:
        rows[part_of(row, spec.holdout, spec.split_seed)].append(row)
    expected = max(found.read, found.expected) * found.kept / max(1, found.read)
    sampled = max(1, sum(map(len, rows.values())))
    total = {part: round(expected * len(kept) / sampled) for part, kept in rows.items()}
    return Entry(name, spec.as_, rows, total, found.repetitions, found.whole)


def _told(found: Survey, name: str, spec: PrepareSpec) -> list[Finding]:
    subject = f"data.{name}"
    read = f"{found.read:,} rows" if found.whole else f"{found.read:,} of about {found.expected:,} rows read"
    unused = ", ".join(found.format.unused)
    head = Finding("ok", subject, f"{found.format.told}; {read}{f'; not used: {unused}' if unused else ''}")
    notable = [f for f in report.findings(found, subject, spec.drop_budget) if f.state != "note"]
    return [head, *notable]


def _sealed(context: Context, name: str, sealed: Sealed, spec: PrepareSpec) -> Entry:
    """Rows that were prepared before: they broke no rule then; a sample of them is looked at."""
    kept: dict[str, list[Row]] = {}
    repetitions = Repetitions()
    for part in parts(spec.holdout):
        rows = input_of(name, sealed, part, context.store)
        assert isinstance(rows, RowsInput)
        sample = Reservoir[Row](SAMPLE)
        for number, row in enumerate(read_rows(rows.files, rows.type), 1):
            repetitions.add(number, row)
            sample.add(row)
        kept[part] = sample.items
    counts = {part: sealed.manifest.rows.get(part, 0) for part in parts(spec.holdout)}
    dropped = int(sealed.manifest.metrics.get("rows/dropped", 0))
    lost = f", {dropped:,} were left out" if dropped else ""
    subject = f"data.{name}"
    context.add(Finding("ok", subject, f"prepared before: {words.plural(sum(counts.values()), 'row')}{lost}"))
    told = report.repetitions(repetitions, sum(counts.values()), subject)
    context.add(*(finding for finding in told if finding.state != "note"))
    return Entry(name, spec.as_, kept, counts, repetitions)
