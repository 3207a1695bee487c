"""Every data entry of a recipe: its rows read (a long source for a while), judged, and a sample kept.

A mixture is laid together from the samples of what it mixes; of a selection all rows are taken that it selects among.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from typing import Any

from align import words
from align.artifact.inputs import RowsInput, SourceInput
from align.artifact.store import Sealed
from align.data import filters
from align.data.pair_health import PairHealth
from align.data.row_statistics import texts_of
from align.data.split import TRAIN, part_of, parts
from align.data.store_rows import cast, read_rows
from align.errors import UserError
from align.findings import Finding
from align.inspection import report
from align.inspection.measures import Repetitions, Reservoir
from align.inspection.survey import Asked, Survey, survey
from align.job import spec_of
from align.models.inputs import input_of, outside_model
from align.models.tokenizer import shipped_tokenizer
from align.preflight.context import Context, Entry, Row
from align.specs import STEPS, MixSpec, PrepareSpec, SelectSpec
from align.specs.filters import Filters
from align.stages.mix import rows_of_each

SECONDS = 10.0  # for the reading of one source
SAMPLE = 2000
FIRST = 200  # rows of each part that a run looks at by itself


def examine(context: Context, seconds: float = SECONDS) -> None:
    """Findings of every entry, each read for so long; the entries that could be read are then in the context."""
    for name, job in context.jobs.items():
        if STEPS[job.kind].writes != "rows":
            continue
        context.say(f"reading {name}")
        spec = spec_of(job)
        try:
            sealed = context.store.find(job.kind, job.key)
            entry = _sealed(context, name, sealed, spec) if sealed else _unsealed(context, name, spec, seconds)
        except UserError as error:
            context.add(Finding("problem", f"data.{name}", str(error)))
            context.failed[name] = "whose rows cannot be read"
            continue
        context.entries[name] = entry
        for part in spec.parts():
            if not entry.rows.get(part):
                remedy = "Give more rows, another holdout or split_seed."
                context.add(Finding("problem", f"data.{name}", f"no prompt fell into {part}", remedy))


def glance(context: Context) -> None:
    """The first rows of what is prepared already; repeated rows as they were counted then."""
    for name, job in context.jobs.items():
        sealed = context.store.find(job.kind, job.key) if STEPS[job.kind].writes == "rows" else None
        if sealed is None:
            continue
        spec = spec_of(job)
        repetitions = Repetitions()
        repetitions.rows = int(sealed.manifest.metrics.get("copies/rows", 0))
        rows: dict[str, list[Row]] = {}
        for part in spec.parts():
            source = input_of(name, sealed, part, context.store)
            assert isinstance(source, RowsInput)
            rows[part] = list(islice(read_rows(source.files, source.type), FIRST))
        total = {part: sealed.manifest.rows.get(part, 0) for part in rows}
        context.entries[name] = Entry(name, spec.as_, rows, total, repetitions)


def _unsealed(context: Context, name: str, spec: Any, seconds: float) -> Entry:
    if isinstance(spec, MixSpec):
        return _mixed(context, name, spec)
    return _selected(context, name, spec) if isinstance(spec, SelectSpec) else _read(context, name, spec, seconds)


def _read(context: Context, name: str, spec: PrepareSpec, seconds: float) -> Entry:
    source = SourceInput(**context.edge(name, "source")["source"])
    sieves = filters.asked(*_filters(context, name, spec))
    part = partial(part_of, holdout=spec.holdout, seed=spec.split_seed)
    asked = Asked(source, spec.source, spec.as_, spec.columns, spec.format, spec.limit, seconds, sieves, part)
    found = survey(asked)
    context.add(*_told(found, name, spec, context.only_asked(name)))
    rows: dict[str, list[Row]] = {part: [] for part in parts(spec.holdout)}
    for _, row in found.sample.items[:SAMPLE]:
        rows[part(row)].append(row)
    expected = max(found.read, found.expected) * found.kept / max(1, found.read)
    sampled = max(1, sum(map(len, rows.values())))
    total = {part: round(expected * len(kept) / sampled) for part, kept in rows.items()}
    against = [edge["name"] for field, edge in context.jobs[name].edges.items() if field.startswith("against.")]
    quarantines = frozenset(against if spec.leaks == "quarantine" else ())
    return Entry(name, spec.as_, rows, total, found.repetitions, found.whole, quarantines)


def _filters(context: Context, name: str, spec: PrepareSpec) -> tuple[Filters, Callable[[str], int] | None]:
    """What the entry leaves out, and what counts tokens for it; without those of a tokenizer that is not made yet."""
    edge = context.jobs[name].edges.get("tokenizer", {})
    if spec.as_ == "tokens" or not edge:
        return spec.filters, None
    if "source" in edge:
        return spec.filters, filters.token_counter(shipped_tokenizer(outside_model(SourceInput(**edge["source"]))))
    others = [each for each in spec.filters.length if each.unit != "tokens"]
    return spec.filters.model_copy(update={"length": others}), None


def _mixed(context: Context, name: str, spec: MixSpec) -> Entry:
    """Each entry's share of the sample. Raises UserError where one has fewer rows than the mixture wants."""
    found = [context.entry_of(name, f"mix.{place}") for place in range(len(spec.mix))]
    read = [each for each in found if each]
    if len(read) < len(found):
        raise UserError(f"data.{name}", "an entry that it mixes could not be read")
    samples = [[made for row in e.rows[part] for made in cast(e.row_type, spec.as_)(row)] for e, part in read]
    there = [
        round(entry.total[part] * len(rows) / max(1, len(entry.rows[part])))
        for (entry, part), rows in zip(read, samples, strict=True)
    ]
    sure = all(entry.whole for entry, _ in read)  # else the rows that there are were only estimated
    wanted = rows_of_each(spec if sure else spec.model_copy(update={"repeat": True}), there, spec.mix)
    repetitions, total = Repetitions(), sum(wanted)
    for (entry, _), have, want in zip(read, there, wanted, strict=True):
        own = entry.repetitions.rows * want / max(have, sum(entry.total.values()))
        repetitions.rows += round(own) + max(0, want - have)
    taken = [round(want * min(1, SAMPLE / total)) for want in wanted]
    rows = [row for sample, take in zip(samples, taken, strict=True) for row in islice(cycle(sample), take)]
    told = ", ".join(f"{each} {want:,}" for each, want in zip(spec.mix, wanted, strict=True))
    context.add(Finding("ok", f"data.{name}", f"a mixture of {words.plural(total, 'row')}: {told}"))
    return Entry(name, spec.as_, {TRAIN: rows}, {TRAIN: total}, repetitions, sure)


def _selected(context: Context, name: str, spec: SelectSpec) -> Entry:
    """All rows that it selects among: which of them stay only the model can say."""
    read = context.entry_of(name, "select")
    if not read:
        raise UserError(f"data.{name}", f"{spec.select}, whose rows it selects, could not be read")
    entry, part = read
    context.add(Finding("ok", f"data.{name}", f"looked at as if all rows of {spec.select} were selected"))
    return Entry(name, spec.as_, {TRAIN: entry.rows[part]}, {TRAIN: entry.total[part]}, entry.repetitions, entry.whole)


def _told(found: Survey, name: str, spec: PrepareSpec, only_asked: bool) -> list[Finding]:
    subject = f"data.{name}"
    read = f"{found.read:,} rows" if found.whole else f"{found.read:,} of about {found.expected:,} rows read"
    unused = ", ".join(found.format.unused)
    gone = ", ".join(f"{reason} {rows:,}" for reason, rows in found.left_out.items())
    more = f"{f'; left out as asked: {gone}' if gone else ''}{f'; not used: {unused}' if unused else ''}"
    head = Finding("ok", subject, f"{found.format.told}; {read}{more}")
    notable = [f for f in report.findings(found, subject, spec.drop_budget, only_asked) if f.state != "note"]
    weighted = next((n for n, row in found.sample.items if row.get("weight", 1) != 1), None)
    if weighted and spec.weights == "refuse":
        said = f"row {weighted:,} has a weight, which training would not use"
        notable.append(Finding("problem", subject, said, "Say weights: resample, or weights: ignore."))
    return [head, *notable]


def _sealed(context: Context, name: str, sealed: Sealed, spec: Any) -> Entry:
    """Rows that were prepared before: they broke no rule then; a sample of them is looked at."""
    kept: dict[str, list[Row]] = {}
    repetitions, health = Repetitions(), PairHealth() if spec.as_ == "preference" else None
    for part in spec.parts():
        rows = input_of(name, sealed, part, context.store)
        assert isinstance(rows, RowsInput)
        sample = Reservoir[Row](SAMPLE)
        for number, row in enumerate(read_rows(rows.files, rows.type), 1):
            repetitions.add(number, row, part)
            if health:
                health.add(row, texts_of(spec.as_)(row), number, row)
            sample.add(row)
        kept[part] = sample.items
    counts = {part: sealed.manifest.rows.get(part, 0) for part in spec.parts()}
    dropped = int(sealed.manifest.metrics.get("rows/dropped", 0))
    lost = f", {dropped:,} were left out" if dropped else ""
    subject = f"data.{name}"
    context.add(Finding("ok", subject, f"prepared before: {words.plural(sum(counts.values()), 'row')}{lost}"))
    told = report.repetitions(repetitions, sum(counts.values()), subject, context.only_asked(name))
    told += report.health(health, subject)
    context.add(*(finding for finding in told if finding.state != "note"))
    return Entry(name, spec.as_, kept, counts, repetitions)
