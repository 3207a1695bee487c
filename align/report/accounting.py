"""Where rows went: what each data entry read, kept and left out, and what training cut or dropped after that."""

from __future__ import annotations

from dataclasses import dataclass

from align import words
from align.artifact.manifest import Parent
from align.report.collect import Seen

PARTS = ("rows/read", "rows/kept", "rows/dropped")
LOST = ("rows/dropped", "rows/truncated", "eval_rows/dropped", "eval_rows/truncated")


@dataclass(frozen=True)
class Entry:
    """One data entry. `parts`: rows by part; `reasons`: rows by why they were left out; `more`: other counts, told."""

    name: str
    source: str
    row_type: str
    read: str
    kept: str
    dropped: str
    parts: list[tuple[str, str]]
    reasons: list[tuple[str, str]]
    more: list[tuple[str, str]]
    notes: list[str]


def entries(seen: dict[str, Seen]) -> list[Entry]:
    return [_entry(s) for s in seen.values() if s.step.kind == "prepare" and s.manifest]


def _entry(seen: Seen) -> Entry:
    manifest = seen.manifest
    assert manifest
    metrics = manifest.metrics
    parts = {f"rows/{part}" for part in manifest.rows}
    reasons = [n for n in metrics if n.startswith("dropped/")]
    read, kept, dropped = (words.number(metrics[n]) if n in metrics else "–" for n in PARTS)
    rest = [n for n in metrics if n not in {*PARTS, *parts, *reasons}]
    return Entry(
        seen.name,
        source(seen),
        manifest.row_type or "",
        read,
        kept,
        dropped,
        [(part, f"{count:,}") for part, count in manifest.rows.items()],
        [(_spoken(n.partition("/")[2]), words.number(metrics[n])) for n in reasons],
        [(_spoken(n), words.number(metrics[n])) for n in rest],
        manifest.notes,
    )


def source(seen: Seen) -> str:
    """Where a step's rows or model came from, with the commit of a hub id."""
    manifest = seen.manifest
    found = [p for p in manifest.parents.values() if p.key is None] if manifest else []
    told = [f"{named(p)}{f' @ {p.revision[:12]}' if p.revision else ''}" for p in found]
    return ", ".join(told)


def named(source: Parent) -> str:
    """A source as a recipe names it."""
    return f"{'quickstart:' if source.kind == 'quickstart' else ''}{source.source or '?'}"


@dataclass(frozen=True)
class Loss:
    """Rows that a stage left out or cut short, of those it was given."""

    step: str
    counts: list[tuple[str, str]]


def losses(seen: dict[str, Seen]) -> list[Loss]:
    found = []
    for s in seen.values():
        metrics = s.manifest.metrics if s.manifest and s.step.kind != "prepare" else {}
        counts = [(_spoken(n), words.number(metrics[n])) for n in LOST if n in metrics]
        if counts:
            found.append(Loss(s.name, counts))
    return found


def _spoken(name: str) -> str:
    counted, _, part = name.partition("/")
    if counted in ("slices", "axes") and "/" not in part:  # how many there are; of each, how many rows
        return f"{counted} in {part}"
    return name.removeprefix("rows/").replace("eval_rows/", "held-out ").replace("_", " ").replace("/", " · ")
