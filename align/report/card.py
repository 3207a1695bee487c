"""A model card: what a checkpoint is, what it was measured at, and what it came from, in Markdown with the hub's metadata.

Everything in it is read from the store. Nothing in it is a path of the machine that made the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from align import cells, lineage, words
from align.artifact.manifest import Manifest, Parent
from align.artifact.store import Sealed, Store
from align.errors import ArtifactError
from align.plan import show
from align.report import tables
from align.sources import BUNDLED
from align.specs import STEPS

SHOWN_VERSIONS = ("python", "torch", "transformers", "trl", "peft")


@dataclass(frozen=True)
class Measured:
    """What was measured of a checkpoint: the `measure` artifact, and the comparison that it is part of, if one is there."""

    sealed: Sealed
    report: dict[str, Any]
    comparison: dict[str, Any] | None
    name: str  # of the checkpoint in the comparison


@dataclass(frozen=True)
class Origin:
    """A checkpoint's chain of training, oldest first, its data by key, and the model that all of it began with, if one did."""

    chain: list[Sealed]
    data: dict[str, Sealed]
    base: Parent | None


def card(sealed: Sealed, store: Store) -> str:
    """The card of a checkpoint. Raises ArtifactError when the artifact is no model."""
    if not (sealed.path / "model").is_dir():
        raise ArtifactError(sealed.manifest.name, f"it is made by {sealed.manifest.kind} and holds no model")
    origin, measured = origin_of(sealed, store), measured_of(sealed, store)
    front = yaml.safe_dump(metadata(sealed, origin, measured), sort_keys=False, allow_unicode=True)
    parts = [_what(sealed, origin), _use(sealed), _results(measured), _training(origin), _data(origin)]
    parts += [_again(sealed), _limits(origin, measured)]
    return f"---\n{front}---\n\n" + "\n\n".join(filter(None, parts)) + "\n"


def origin_of(sealed: Sealed, store: Store) -> Origin:
    """Follows the weights to where they began, and gathers every data entry on the way."""
    chain, data, base = [sealed], {}, None
    while True:
        manifest = chain[0].manifest
        data |= _rows_of(manifest, store)
        grew = manifest.parents.get(STEPS[manifest.kind].trains) if manifest.kind in STEPS else None
        if grew is None or grew.key is None:
            base = grew
            break
        found = _find(store, grew)
        if found is None:
            break
        chain.insert(0, found)
    return Origin(chain, data, base)


def _rows_of(manifest: Manifest, store: Store) -> dict[str, Sealed]:
    """By key all that rows were read from, and what its own were taken from where it mixes or selects."""
    found: dict[str, Sealed] = {}
    for parent in manifest.parents.values():
        if parent.key and parent.part and (rows := _find(store, parent)):
            found[parent.key] = rows
            found |= {} if rows.manifest.kind == "prepare" else _rows_of(rows.manifest, store)
    return found


def _find(store: Store, parent: Parent) -> Sealed | None:
    try:
        return store.find(parent.kind, parent.key or "")
    except ArtifactError:
        return None


def measured_of(sealed: Sealed, store: Store) -> list[Measured]:
    """Every measurement of exactly this checkpoint in the store; of two with the same suites the newer."""
    everything = lineage.artifacts(store)
    joins = [s for s in everything if s.manifest.kind == "compare"]
    found: dict[tuple[str, ...], Measured] = {}
    for one in everything:
        model = one.manifest.parents.get("model") if one.manifest.kind == "measure" else None
        if model and (model.key, model.digest) == (sealed.manifest.key, sealed.manifest.digest):
            report = lineage.report(one.path) or {"suites": {}}
            found[tuple(sorted(report["suites"]))] = _joined(one, report, joins)
    return list(found.values())


def _joined(one: Sealed, report: dict[str, Any], joins: list[Sealed]) -> Measured:
    for join in reversed(joins):
        keys = [p.key for p in join.manifest.parents.values()]
        if one.manifest.key in keys and (told := lineage.report(join.path)):
            return Measured(one, report, told, told["models"][keys.index(one.manifest.key)])
    return Measured(one, report, None, "")


def metadata(sealed: Sealed, origin: Origin, measured: list[Measured]) -> dict[str, Any]:
    """The front matter as the hub reads it (hub docs, model cards); without what is not known."""
    base = origin.base.source if origin.base and origin.base.kind == "hub" else None
    datasets = [
        p.source for s in origin.data.values() for p in s.manifest.parents.values() if p.kind == "hub" and p.source
    ]
    reward = sealed.manifest.kind == "reward"
    told = {
        "library_name": "transformers",
        "pipeline_tag": "text-classification" if reward else "text-generation",
        "license": license_of(origin.base),
        "base_model": base,
        "datasets": list(dict.fromkeys(datasets)),
        "tags": ["align", *dict.fromkeys(s.manifest.kind for s in origin.chain)],
        "model-index": _index(sealed, measured),
    }
    return {name: value for name, value in told.items() if value}


def license_of(base: Parent | None) -> str | None:
    """The licence that the base model's own card states, where that card lies on this machine in the model's folder."""
    readme = Path(base.source) / "README.md" if base and base.kind == "folder" and base.source else None
    if readme is None or not readme.is_file():
        return None
    front = re.match(r"---\s*\n(.*?)\n---", readme.read_text(encoding="utf-8", errors="replace"), re.S)
    try:
        told = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        return None
    found = told.get("license") if isinstance(told, dict) else None
    return found if isinstance(found, str) else None


def _index(sealed: Sealed, measured: list[Measured]) -> list[dict[str, Any]]:
    results = []
    for one in measured:
        for suite, body in one.report["suites"].items():
            metrics = [
                {"type": metric, "name": f"{suite} {metric}", "value": round(parts["all"]["value"], 6)}
                for metric, parts in body["metrics"].items()
                if "all" in parts
            ]
            data = {"name": suite, "type": suite}
            if metrics:
                results.append({"task": {"type": "text-generation"}, "dataset": data, "metrics": metrics})
    return [{"name": sealed.manifest.name.replace(":", "-"), "results": results}] if results else []


def _what(sealed: Sealed, origin: Origin) -> str:
    manifest = sealed.manifest
    how = words.listed(s.manifest.kind for s in origin.chain)
    began = f"from {_source(origin.base)}" if origin.base else "from random weights"
    recipe = _text(manifest.name.partition(":")[0])
    return (
        f"# {_text(manifest.name)}\n\nTrained {began} by {how} with align, as the recipe `{recipe}` says. "
        f"Content digest `{manifest.digest[:16]}`."
    )


def _use(sealed: Sealed) -> str:
    if sealed.manifest.kind == "reward":
        return ""
    return (
        "## Use\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("FOLDER")\ntokenizer = AutoTokenizer.from_pretrained("FOLDER")\n```'
    )


def _results(measured: list[Measured]) -> str:
    if not measured:
        return ""
    lines = ["## Results", ""]
    for one in measured:
        against = one.comparison["baseline"] if one.comparison and one.comparison["baseline"] != one.name else ""
        head = [
            "suite",
            "metric",
            "slice",
            "value (95 % interval)",
            "n",
            *([f"difference from {against}"] * bool(against)),
        ]
        lines += ["| " + " | ".join(map(_text, head)) + " |", "|---" * len(head) + "|"]
        name, report = one.name or "this", one.comparison or tables.single("this", one.report)
        shown = [row for row in cells.telling(report["rows"]) if row["values"].get(name)]
        lines += [_line(row, row["values"][name], name, bool(against)) for row in shown]
        if len(shown) < len(report["rows"]):
            lines += ["", f"More by slice and axis: `align show {one.sealed.manifest.key[:12]} --json`"]
        lines.append("")
    told = "Rows that share a prompt count as one. * beyond the 95 % interval of the paired difference."
    return "\n".join([*lines, told])


def _line(row: dict[str, Any], value: dict[str, Any], name: str, against: bool) -> str:
    part = row.get("slice") or "all"
    told = [
        row["suite"],
        row["metric"],
        "" if part == "all" else part,
        tables.interval(value),
        f"{value.get('n') or ''}",
    ]
    if against:
        difference = value.get("difference")
        star = "*" if cells.beyond(row, name) else ""
        told.append(tables.interval(difference, "+") + star if difference else "")
    return "| " + " | ".join(map(_text, told)) + " |"


def _training(origin: Origin) -> str:
    lines = ["## Training", "", "| step | kind | data | seed | key | digest |", "|---|---|---|---|---|---|"]
    for sealed in origin.chain:
        m = sealed.manifest
        seed = "" if m.seed is None else str(m.seed)
        data = ", ".join(_reads(m, origin))
        lines.append(f"| {_text(m.name)} | {m.kind} | {data} | {seed} | `{m.key[:12]}` | `{m.digest[:12]}` |")
    for sealed in origin.chain:
        m = sealed.manifest
        settings = {k: show(v) for k, v in m.spec.items() if v not in (None, {}, [])}
        told = "; ".join(f"{k} {v}" for k, v in settings.items())
        lines += ["", f"{_text(m.name)}: {_text(told)}."]
    versions = origin.chain[-1].manifest.versions
    made = ", ".join(f"{n} {versions[n]}" for n in SHOWN_VERSIONS if n in versions)
    notes = [f"- {_text(s.manifest.name)}: {_text(note)}" for s in origin.chain for note in s.manifest.notes]
    return "\n".join(
        [
            *lines,
            *(["", "Told on the way:", "", *notes] if notes else []),
            *(["", f"Made with {made}."] if made else []),
        ]
    )


def _reads(manifest: Manifest, origin: Origin) -> Iterator[str]:
    for parent in manifest.parents.values():
        if parent.key and parent.part:
            rows = origin.data.get(parent.key)
            yield _text(f"{rows.manifest.name.rpartition(':')[2] if rows else parent.key[:12]}.{parent.part}")


def _data(origin: Origin) -> str:
    if not origin.data:
        return ""
    lines = [
        "## Data",
        "",
        "| entry | source | rows of | read | kept | left out | digest |",
        "|---|---|---|---|---|---|---|",
    ]
    for sealed in origin.data.values():
        m = sealed.manifest
        counts = [
            words.number(m.metrics[k]) if k in m.metrics else "" for k in ("rows/read", "rows/kept", "rows/dropped")
        ]
        source = ", ".join([_source(p) for p in m.parents.values() if p.key is None] or _reads(m, origin))
        cells = [m.name.rpartition(":")[2], source, m.row_type or "", *counts, f"`{m.digest[:12]}`"]
        lines.append("| " + " | ".join(map(_text, cells)) + " |")
    return "\n".join(lines)


def _again(sealed: Sealed) -> str:
    recipe = sealed.manifest.name.partition(":")[0]
    return (
        f"## Do it again\n\n```bash\nalign run {recipe}.yaml\nalign show {sealed.manifest.key[:12]}\n"
        f"align report {recipe}.yaml\n```"
    )


def _limits(origin: Origin, measured: list[Measured]) -> str:
    told = []
    if not measured:
        told.append("It was not evaluated: nothing is known of what it learnt or forgot.")
    else:
        suites = words.listed(dict.fromkeys(s for one in measured for s in one.report["suites"]))
        told.append(f"It was measured by {_text(suites)} alone; of anything else nothing is known.")
    if license_of(origin.base) is None:
        whose = "those of the base model and of the data apply" if origin.base else "that of the data applies"
        told.append(f"Its licence was not stated; {whose}.")
    leaked = [
        f"{s.manifest.name.rpartition(':')[2]} {name.removeprefix('leakage/')} {words.number(value)}"
        for s in origin.data.values()
        for name, value in s.manifest.metrics.items()
        if name.startswith("leakage/") and value
    ]
    if leaked:
        told.append(f"Overlap of training and evaluation data that was found: {_text('; '.join(leaked))}.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in told)


def _source(parent: Parent) -> str:
    """Where something came from without the folders of this machine."""
    where = parent.source or "?"
    if parent.kind == "quickstart":
        where = f"{BUNDLED}{where}"
    elif parent.kind != "hub":
        where = Path(where).name
    return _text(f"{where} @ {parent.revision[:12]}" if parent.revision else where)


def _text(text: str) -> str:
    """On one line, and neither markup nor the end of a table's cell."""
    return " ".join(str(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").split())
