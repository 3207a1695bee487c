"""References to artifacts, and what an artifact came from.

A reference is RECIPE:STEP[.part] (a recipe's last run; RECIPE is its name or file), a key or the beginning of one, the name
of a folder in the store, or a path.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align import shipped
from align.artifact.manifest import NAME, Manifest, Parent
from align.artifact.store import Sealed, Store
from align.errors import ArtifactError, UserError
from align.plan import Plan
from align.recipe import Recipe, load
from align.sources import BUNDLED
from align.specs import STEPS, PretrainSpec

VARIABLE = "ALIGN_STORE"
DEFAULT = ".align"
KEY = re.compile(r"(?:([a-z_]+)-)?([0-9a-f]{4,64})")


@dataclass(frozen=True)
class Reference:
    """A sealed artifact that a person named, the store it lies in, and the part of it that was meant."""

    sealed: Sealed
    store: Store
    part: str | None = None


@dataclass
class Node:
    """An artifact or source in a lineage. `state` is empty when all is well, else what is wrong."""

    label: str
    identity: str
    digest: str
    state: str = ""
    parents: list[Node] = field(default_factory=list)


def store_at(folder: str | None = None, recipe: Recipe | None = None) -> Store:
    """The store meant: the one given, the recipe's own, ALIGN_STORE, else .align in the current folder."""
    own = recipe.store if recipe and "store" in recipe.model_fields_set else None
    root = Path(folder or own or os.environ.get(VARIABLE) or DEFAULT)
    if root.is_file():
        raise UserError(str(root), "it is a file", "A store is a folder", "name another one: --store FOLDER")
    return Store(root)


def recipes(store: Store) -> list[str]:
    """Names of the recipes that ran against a store."""
    return sorted(p.stem for p in (store.root / "recipes").glob("*.json"))


def last_run(given: str, folder: str | None = None) -> tuple[str, Store, dict[str, str]] | None:
    """A recipe given by name or file: its name, its store, and step -> `kind-key` of its last run. None: no recipe."""
    store = store_at(folder)
    if given in recipes(store):
        return given, store, store.last_keys(given)
    path, _ = shipped.find(given)
    if not path.is_file() or path.suffix not in shipped.SUFFIXES:
        return None
    recipe = load(path)
    store = store_at(folder, recipe)
    return recipe.name, store, store.last_keys(recipe.name)


def resolve(given: str, folder: str | None = None) -> Reference:
    """The artifact a person names. Raises UserError that says what there is instead."""
    path = Path(given).expanduser()
    if path.is_dir() and ((path / NAME).is_file() or (path.parent / NAME).is_file()):
        path = path if (path / NAME).is_file() else path.parent
        return Reference(Sealed(path, Manifest.read(path)), Store(path.parent))
    if ":" in given:
        return _of_step(given, folder)
    store = store_at(folder)
    if key := KEY.fullmatch(given):
        found = [s for s in artifacts(store) if s.manifest.key.startswith(key[2]) and key[1] in (None, s.manifest.kind)]
        if len(found) == 1:
            return Reference(found[0], store)
        if found:
            names = ", ".join(f"{s.path.name} ({s.manifest.name})" for s in found[:5])
            raise UserError(given, f"{len(found)} artifacts begin so: {names}", "", "give more of the key")
    if run := last_run(given, folder):
        raise UserError(given, "this is a recipe", "", _one_of(given, run[2]))
    raise UserError(
        given, "there is no such artifact or recipe", "expected RECIPE:STEP, a key or a folder", _hint(given, store)
    )


def _of_step(given: str, folder: str | None) -> Reference:
    name, _, wanted = given.rpartition(":")
    run = last_run(name, folder)
    if run is None:
        store = store_at(folder)
        raise UserError(given, f"no recipe {name} has run here", f"looked in {store.root}", _hint(given, store))
    recipe, store, steps = run
    if not steps:
        raise UserError(given, f"{recipe} has not run yet", f"looked in {store.root}", f"run it: align run {name}")
    step, part = (wanted, None) if wanted in steps else _with_part(wanted)
    if step not in steps:
        close = difflib.get_close_matches(wanted, list(steps), 1, 0.5)
        there = f"did you mean {recipe}:{close[0]}?" if close else f"it has {', '.join(steps)}"
        raise UserError(given, f"{recipe} has no step {wanted} in its last run", "", there)
    kind, _, key = steps[step].partition("-")
    sealed = store.find(kind, key)
    if sealed is None:
        raise UserError(given, f"the artifact of {step} is not in {store.root} any more", "", "run the recipe again")
    if part and part not in sealed.manifest.rows:
        parts = ", ".join(sealed.manifest.rows) or "no parts"
        raise UserError(given, f"{step} has no part {part}", f"it has {parts}")
    return Reference(sealed, store, part)


def _one_of(recipe: str, steps: dict[str, str]) -> str:
    kinds = {step: key.partition("-")[0] for step, key in steps.items()}
    models = [step for kind in STEPS for step in kinds if kinds[step] == kind and STEPS[kind].writes == "model"]
    return f"name one of its steps, such as {recipe}:{models[-1]}" if models else f"run it first: align run {recipe}"


def _with_part(wanted: str) -> tuple[str, str | None]:
    step, dot, part = wanted.rpartition(".")
    return (step, part) if dot else (wanted, None)


def _hint(given: str, store: Store) -> str:
    known = recipes(store)
    everything = [*known, *(f"{name}:{step}" for name in known for step in store.last_keys(name))]
    close = difflib.get_close_matches(given, everything, 1, 0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"recipes that ran here: {', '.join(known)}" if known else f"the store {store.root} is empty"


def artifacts(store: Store) -> list[Sealed]:
    """Every sealed artifact of a store that can be read, oldest first; a torn one is for the next run to complain about."""
    found = []
    for path in store.root.glob(f"*-*/{NAME}"):
        if path.parent.suffix in (".partial", ".old"):
            continue
        try:
            found.append(Sealed(path.parent, Manifest.read(path.parent)))
        except ArtifactError:
            continue
    return sorted(found, key=lambda s: (s.manifest.started, s.manifest.name))


def unreadable(store: Store) -> list[str]:
    """Folders that look like artifacts and cannot be read."""
    known = {s.path for s in artifacts(store)}
    folders = [p.parent for p in store.root.glob(f"*-*/{NAME}")]
    return sorted(p.name for p in folders if p not in known and p.suffix not in (".partial", ".old"))


def nearest_model(plan: Plan, store: Store, step: str) -> dict[str, Any] | None:
    """What stands for the model that a step starts from, as a child opens it: the nearest one that is there already.

    Up from the step's own model: a sealed one, the recipe's base, or the shape of one that is begun from random weights.
    None where a base from the hub was never resolved.
    """
    spec = plan.steps[step].spec
    if isinstance(spec, PretrainSpec) and spec.architecture:
        return {"name": step, "architecture": spec.architecture.model_dump()}
    name = next((n for n, (_, port) in spec.references().items() if port.takes == "model"), None)
    if name is None:
        return None
    edge = plan.steps[step].edges[name]
    if edge.source:
        place = {"hub": edge.source.location} if edge.source.kind == "hub" else {"folder": edge.source.location}
        return {"name": plan.recipe.base, **place}
    parent = plan.steps[edge.step or ""]
    if parent.artifact and (parent.artifact / "model").is_dir():
        return {
            "name": f"{plan.recipe.name}:{parent.name}", "kind": parent.kind, "key": parent.key, "store": str(store.root),
        }  # fmt: skip
    return nearest_model(plan, store, parent.name)


def bytes_of(sealed: Sealed) -> int:
    return sum(entry["size"] for entry in sealed.manifest.files.values())


def report(artifact: Path) -> dict | None:
    """The report of an artifact that holds one."""
    path = artifact / "report.json"
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except ValueError as error:
        raise ArtifactError(str(path), f"it is not JSON ({error})", "", "run the step again with --force") from None


def tree(sealed: Sealed, store: Store) -> Node:
    """What an artifact came from, down to the sources. Whatever was shown once is not unfolded again."""
    return _node("", sealed, store, set())


def _node(label: str, sealed: Sealed, store: Store, seen: set[str]) -> Node:
    manifest = sealed.manifest
    node = Node(label, f"{manifest.name}  {manifest.kind}-{manifest.key[:8]}", manifest.digest)
    if manifest.key in seen:
        node.state = "see above" if manifest.parents else ""
        return node
    seen.add(manifest.key)
    node.parents = [_parent(name, parent, store, seen) for name, parent in manifest.parents.items()]
    return node


def _parent(label: str, parent: Parent, store: Store, seen: set[str]) -> Node:
    label = f"{label}.{parent.part}" if parent.part else label
    if parent.key is None:
        where = f"{BUNDLED if parent.kind == 'quickstart' else ''}{parent.source or '?'}"
        return Node(label, f"{where} @ {parent.revision[:12]}" if parent.revision else where, parent.digest)
    try:
        sealed = store.find(parent.kind, parent.key)
    except ArtifactError:
        sealed = None
    if sealed is None:
        return Node(label, f"{parent.kind}-{parent.key[:8]}", parent.digest, "not in the store")
    node = _node(label, sealed, store, seen)
    if sealed.manifest.digest != parent.digest:
        node.state = f"rebuilt since, was {parent.digest[:8]}"
    return node
