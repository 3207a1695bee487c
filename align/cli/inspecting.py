"""`align inspect`: what is meant by SOURCE and REF, the child that looks, and how far it is."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from align import lineage, shipped, words
from align import plan as plans
from align.artifact.inputs import SourceInput
from align.cli import talking
from align.errors import UserError
from align.launch.service import Service
from align.recipe import Recipe, load, split_reference
from align.sources import BUNDLED, Sources
from align.specs import PrepareSpec
from align.specs.base import RowType
from align.specs.training import TrainingSpec

PLAIN, WITH_MODEL = "align.inspection.plain", "align.inspection.with_model"
SECONDS_UNTOLD = 2.0  # a shorter wait needs no words
SECONDS_BETWEEN = 10.0  # lines where nobody looks at a terminal


@dataclass(frozen=True)
class Wanted:
    """What a person asked for; `named` is the model as the child opens it."""

    given: str
    model: str | None = None
    row_type: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    split: str | None = None
    max_length: int | None = None
    chat_template: str | None = None
    samples: int = 3
    limit: int | None = None
    store: str | None = None
    source: SourceInput | None = None
    named: dict[str, Any] | None = None
    drop_budget: float = 0.001
    format: str | None = None
    filters: dict[str, Any] = field(default_factory=dict)
    stage: str = ""


def columns_of(given: list[str]) -> dict[str, str]:
    """`["prompt=question"]` as ours: theirs."""
    pairs = [item.partition("=") for item in given]
    for ours, equals, theirs in pairs:
        if not (ours and equals and theirs):
            raise UserError("--columns", f"found {ours}{equals}{theirs}", "expected OURS=THEIRS, e.g. prompt=question")
    return {ours: theirs for ours, _, theirs in pairs}


def inspect(wanted: Wanted, problems: bool, as_json: bool) -> None:
    """Looks, and prints one page or one JSON object."""
    from align.cli import inspection_page

    known = RowType.__args__  # type: ignore[attr-defined]
    if wanted.row_type and wanted.row_type not in known:
        raise UserError("--as", f"{wanted.row_type} is not a row type", f"one of {', '.join(known)}")
    wanted = _resolved(wanted)
    assert wanted.source is not None
    told = ("columns", "format", "filters", "limit", "samples", "drop_budget", "max_length", "chat_template")
    request = {
        "do": "inspect", "source": asdict(wanted.source), "name": wanted.given, "as": wanted.row_type,
        "model": wanted.named, **{name: getattr(wanted, name) for name in told},
    }  # fmt: skip
    report = _ask(WITH_MODEL if wanted.named else PLAIN, request)
    if as_json:
        print(json.dumps({"source": wanted.given, "stage": wanted.stage or None, **report}))
    else:
        inspection_page.show(report, wanted.given, wanted.stage, problems)


def _ask(module: str, request: dict[str, Any]) -> dict[str, Any]:
    with Service(module) as service, Waiting() as waiting:
        for event in service.ask(request):
            if event["event"] == "progress":
                waiting.told(event["what"], event["done"], event["total"])
            elif event["event"] == "inspected":
                report = event["report"]
    return report


class Waiting:
    """Says on stderr how far something is, once it has lasted longer than people wait without a word."""

    def __init__(self) -> None:
        self._began = self._since = self._last = time.monotonic()
        self._what, self._shown = "", False

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def told(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        wait = 0.2 if sys.stderr.isatty() else SECONDS_BETWEEN
        if what != self._what:
            self._what, self._since, wait = what, now, 0.2
        if now - self._began < SECONDS_UNTOLD or (self._shown and now - self._last < wait):
            return
        self._shown, self._last = True, now
        counted = f" {done:,} of about {total:,}" if total > done else f" {done:,}" if done else ""
        left = (now - self._since) * (total - done) / done if 0 < done < total else 0
        line = f"{what}{counted}{f', {words.clock(round(left))} left' if left >= 1 else ''} ..."
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


def _resolved(wanted: Wanted) -> Wanted:
    """With the source, and the model as its child opens it; a recipe's entry brings what its stage has set."""
    recipe_name, colon, entry = wanted.given.rpartition(":")
    path, _ = shipped.find(recipe_name)
    if colon and path.is_file() and path.suffix in shipped.SUFFIXES:
        recipe = load(path)
        name, part = split_reference(entry, {**recipe.data})
        if name in recipe.data:
            return _of_entry(wanted, recipe, name)
        raise UserError(
            wanted.given, f"{recipe.name} has no data entry {name}", f"it has {', '.join(recipe.data)}", part or ""
        )
    if not colon and Path(wanted.given).suffix in shipped.SUFFIXES and Path(wanted.given).is_file():
        entries = words.listed(f"{wanted.given}:{name}" for name in load(wanted.given).data)
        raise UserError(wanted.given, "this is a recipe", "", f"inspect one of its data entries: {entries}")
    named = talking.named_model(wanted.model, wanted.store) if wanted.model else None
    return replace(wanted, source=_source(wanted.given, wanted.split, wanted.store), named=named)


def _source(given: str, split: str | None, store: str | None) -> SourceInput:
    path = Path(given).expanduser()
    if path.exists():
        return SourceInput("folder" if path.is_dir() else "file", str(path.absolute()), split, None, "")
    if not given.startswith(BUNDLED) and ":" in given:
        reference = lineage.resolve(given, store)  # a step that wrote rows
        return SourceInput("folder", str(reference.sealed.path), split or reference.part, None, "")
    return Sources(lineage.store_at(store)).locate("SOURCE", given, "dataset", split)


def _of_entry(wanted: Wanted, recipe: Recipe, name: str) -> Wanted:
    spec = recipe.data[name]
    if not isinstance(spec, PrepareSpec):
        parts = ", ".join(reference for reference, port in spec.references().values() if port.takes == "rows")
        raise UserError(wanted.given, f"{name} is made of other entries", "", f"Inspect those: {parts}")
    store = lineage.store_at(wanted.store, recipe)
    source = Sources(store).locate(f"data.{name}.source", spec.source, "dataset", spec.split, spec.revision)
    wanted = replace(
        wanted, source=source, row_type=wanted.row_type or spec.as_, columns=wanted.columns or dict(spec.columns),
        limit=wanted.limit or spec.limit, drop_budget=spec.drop_budget, format=spec.format, filters=_filters(spec),
    )  # fmt: skip
    if wanted.model:
        return replace(wanted, named=talking.named_model(wanted.model, wanted.store))
    stage = _reader(recipe, name)
    if stage is None:
        return wanted
    reads = recipe.stages[stage]
    template = getattr(reads, "chat_template", None)
    plan = plans.make(recipe, store)
    step = next(name for name in plan.steps if name == stage or name.startswith(f"{stage}."))
    return replace(
        wanted, stage=stage, named=lineage.nearest_model(plan, store, step),
        max_length=wanted.max_length or getattr(reads, "max_length", None), chat_template=wanted.chat_template or template,
    )  # fmt: skip


def _filters(spec: PrepareSpec) -> dict[str, Any]:
    """What the entry leaves out; but for lengths in tokens of text, which only its tokenizer can count."""
    counted = [each for each in spec.filters.length if each.unit != "tokens" or spec.as_ == "tokens"]
    return spec.filters.model_copy(update={"length": counted}).model_dump()


def _reader(recipe: Recipe, name: str) -> str | None:
    """The first stage that reads an entry, one that trains before one that measures."""
    readers = [
        stage
        for stage, spec in recipe.stages.items()
        if any(reference.partition(".")[0] == name for reference, _ in spec.references().values())
    ]
    readers.sort(key=lambda stage: not isinstance(recipe.stages[stage], TrainingSpec))
    return next(iter(readers), None)
