"""`align show`: the store, a recipe's last run, or one artifact with its lineage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from align import lineage, words
from align.artifact.store import Sealed, Store, free_bytes
from align.cli import comparison, terminal
from align.errors import ArtifactError
from align.lineage import Node
from align.plan import ago
from align.plan import show as setting

FILES_SHOWN = 12


def show(what: str | None, folder: str | None, as_json: bool) -> None:
    if what is None:
        store = lineage.store_at(folder)
        _out(_store_json(store)) if as_json else _store(store)
        return
    run = None if Path(what).is_dir() else lineage.last_run(what, folder)
    if run:
        _out(_run_json(*run)) if as_json else _run(*run)
        return
    found = lineage.resolve(what, folder)
    _out(_artifact_json(found.sealed, found.store)) if as_json else _artifact(found.sealed, found.store)


def _out(value: dict[str, Any]) -> None:
    print(json.dumps(value))


def _store(store: Store) -> None:
    console = terminal.console()
    everything = lineage.artifacts(store)
    if not everything:
        console.out(f"  {store.root} holds no artifacts yet. Begin: align init quickstart")
        return
    total = sum(map(lineage.bytes_of, everything))
    console.out(
        f"  {store.root} · {words.plural(len(everything), 'artifact')}, {words.size(total)}; "
        f"{words.size(free_bytes(store.root))} free\n"
    )
    known = lineage.recipes(store)
    if known:
        table = terminal.table("recipe", "steps", "last sealed", right=("steps",))
        for name in known:
            steps = [s for s in _steps(store, store.last_keys(name)).values() if s]
            table.add_row(
                "", name, str(len(steps)), ago(max((s.manifest for s in steps), key=_end)) if steps else "gone"
            )
        console.print(table)
        console.out()
    kinds = terminal.table("kind", "artifacts", "size", right=("artifacts", "size"))
    for kind in sorted({s.manifest.kind for s in everything}):
        of_kind = [s for s in everything if s.manifest.kind == kind]
        kinds.add_row("", kind, str(len(of_kind)), words.size(sum(map(lineage.bytes_of, of_kind))))
    console.print(kinds)
    if unfinished := sorted(store.root.glob("*.partial")):
        console.out("\n  unfinished: the same recipe goes on from it; else delete it")
        for path in unfinished:
            size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
            console.out(f"    {path.name}  {words.size(size)}")
    for name in lineage.unreadable(store):
        console.out(f"\n  cannot be read: {name} (delete it; the next run builds it again)")
    if known:
        console.out(f"\n  more: align show {known[0]}")


def _end(manifest: Any) -> tuple[str, float]:
    return manifest.started, manifest.seconds


def _steps(store: Store, keys: dict[str, str]) -> dict[str, Sealed | None]:
    """Step -> its artifact, or None where it is gone or torn; in the order they were made."""
    found: dict[str, Sealed | None] = {}
    for step, folder in keys.items():
        kind, _, key = folder.partition("-")
        try:
            found[step] = store.find(kind, key)
        except ArtifactError:
            found[step] = None
    return dict(sorted(found.items(), key=lambda item: _end(item[1].manifest) if item[1] else ("", 0.0)))


def _run(name: str, store: Store, keys: dict[str, str]) -> None:
    console = terminal.console()
    steps = _steps(store, keys)
    if not steps:
        console.out(f"  {name} has not run yet in {store.root}. Run it: align run {name}")
        return
    console.out(f"  {name} · {words.plural(len(steps), 'step')} in its last run · {store.root}\n")
    tables = [_steps_table(steps, keys, count, kind) for kind in (True, False) for count in (2, 1)]
    console.print(next((table for table in tables if terminal.fits(table, console)), tables[0]))
    for step, sealed in steps.items():
        if sealed and sealed.manifest.kind == "compare" and (report := lineage.report(sealed.path)):
            console.out()
            comparison.show(console, report, step)
    models = [s for s, sealed in steps.items() if sealed and (sealed.path / "model").is_dir()]
    if models:
        console.out(f"\n  more: align show {name}:{models[-1]}   talk to it: align chat {name}:{models[-1]}")


def _steps_table(steps: Mapping[str, Sealed | None], keys: Mapping[str, str], count: int, kind: bool) -> Table:
    """Steps with what each told, as many as `count` figures, and with or without their kind."""
    columns = ["step", *(["kind"] if kind else []), "artifact", "sealed", "took", "told"]
    table = terminal.table(*columns, right=("took",), wraps=("told",))
    for step, sealed in steps.items():
        if sealed is None:
            table.add_row("", step, *([""] if kind else []), keys[step][:20], "gone", "", "")
            continue
        manifest = sealed.manifest
        told = ", ".join(words.telling(manifest.kind, manifest.metrics, count))
        cells = [manifest.key[:8], ago(manifest), words.clock(manifest.seconds), told]
        table.add_row("", step, *([manifest.kind] if kind else []), *cells)
    return table


def _artifact(sealed: Sealed, store: Store) -> None:
    console, manifest = terminal.console(), sealed.manifest
    console.out(f"  {manifest.name} · {manifest.kind} · {words.size(lineage.bytes_of(sealed))}\n")
    facts = _pairs()
    for name, value in _facts(sealed).items():
        facts.add_row("", name, value)
    console.print(facts)
    settings = {k: v for k, v in manifest.spec.items() if v not in (None, {}, [])}
    _section(console, "settings", {k: setting(v) for k, v in settings.items()})
    _section(console, "metrics", {k: words.number(v) for k, v in manifest.metrics.items()})
    files = sorted(manifest.files.items(), key=lambda item: -item[1]["size"])
    shown = {name: words.size(entry["size"]) for name, entry in files[:FILES_SHOWN]}
    if len(files) > FILES_SHOWN:
        shown[f"and {len(files) - FILES_SHOWN} more"] = ""
    _section(console, "files", shown)
    for note in manifest.notes:
        console.out(f"\n  note: {note}")
    console.out("\n  lineage")
    console.print(Padding(_drawn(lineage.tree(sealed, store)), (0, 0, 0, 2)))
    if report := lineage.report(sealed.path) if manifest.kind == "compare" else None:
        console.out()
        comparison.show(console, report, manifest.name)
    if (sealed.path / "model").is_dir():
        console.out(f"\n  talk to it: align chat {manifest.key[:12]}   take it: align export {manifest.key[:12]} DIR")


def _facts(sealed: Sealed) -> dict[str, str]:
    manifest = sealed.manifest
    facts = {
        "key": manifest.key[:12],
        "digest": manifest.digest[:12],
        "folder": str(sealed.path),
        "sealed": f"{ago(manifest)}, took {words.clock(manifest.seconds)}",
        "seed": "" if manifest.seed is None else str(manifest.seed),
        "rows": ", ".join(f"{part} {count:,}" for part, count in manifest.rows.items()),
        "row type": manifest.row_type or "",
        "made with": ", ".join(f"{n} {v}" for n, v in manifest.versions.items() if n in ("python", "torch", "trl")),
        "commit": (manifest.git or "")[:12] + ("+" if (manifest.git or "").endswith("+") else ""),
        "W&B": str(manifest.tracking.get("url") or manifest.tracking.get("id") or ""),
    }
    return {name: value for name, value in facts.items() if value}


def _pairs() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in range(2):
        table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _section(console: Console, title: str, lines: dict[str, str]) -> None:
    if not lines:
        return
    table = _pairs()
    for name, value in lines.items():
        table.add_row("", name, value)
    console.out(f"\n  {title}")
    console.print(table)


def _drawn(node: Node) -> Tree:
    root = Tree(_leaf(node), guide_style="dim")

    def grow(branch: Tree, nodes: list[Node]) -> None:
        for child in nodes:
            grow(branch.add(_leaf(child)), child.parents)

    grow(root, node.parents)
    return root


def _leaf(node: Node) -> Text:
    text = Text()
    if node.label:
        text.append(f"{node.label}: ")
    text.append(node.identity)
    text.append(f"  {node.digest[:8] or 'never resolved'}", "dim")
    if node.state:
        text.append(f"  ({node.state})", "yellow" if node.state != "see above" else "dim")
    return text


def _store_json(store: Store) -> dict[str, Any]:
    return {
        "store": str(store.root),
        "recipes": {name: store.last_keys(name) for name in lineage.recipes(store)},
        "artifacts": [_brief(s) for s in lineage.artifacts(store)],
        "unreadable": lineage.unreadable(store),
        "unfinished": sorted(p.name for p in store.root.glob("*.partial")),
    }


def _brief(sealed: Sealed) -> dict[str, Any]:
    manifest = sealed.manifest
    return {
        "name": manifest.name, "kind": manifest.kind, "key": manifest.key, "digest": manifest.digest,
        "artifact": str(sealed.path), "started": manifest.started, "seconds": manifest.seconds,
        "bytes": lineage.bytes_of(sealed), "metrics": manifest.metrics, "notes": manifest.notes,
    }  # fmt: skip


def _run_json(name: str, store: Store, keys: dict[str, str]) -> dict[str, Any]:
    steps = _steps(store, keys)
    told = [
        {"step": s, **(_brief(sealed) if sealed else {"key": keys[s].partition("-")[2]})} for s, sealed in steps.items()
    ]
    return {"recipe": name, "store": str(store.root), "steps": told}


def _artifact_json(sealed: Sealed, store: Store) -> dict[str, Any]:
    def plain(node: Node) -> dict[str, Any]:
        return {**vars(node), "parents": [plain(p) for p in node.parents]}

    whole = {
        "artifact": str(sealed.path),
        "manifest": sealed.manifest.to_json(),
        "lineage": plain(lineage.tree(sealed, store)),
    }
    report = lineage.report(sealed.path)
    return {**whole, "report": report} if report else whole
