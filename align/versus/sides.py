"""What a person named on each side: a recipe's run, or an artifact with all that it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from align import lineage, shipped
from align import plan as plans
from align.artifact.store import Sealed, Store
from align.errors import ArtifactError, UserError
from align.recipe import load


@dataclass(frozen=True)
class Side:
    """Sealed steps by name. `top`: the one that was named, where that was an artifact; `missing`: steps not sealed."""

    label: str
    store: Store
    steps: dict[str, Sealed]
    top: str | None = None
    missing: list[str] = field(default_factory=list)


def open_sides(first: str, rest: list[str], folder: str | None = None) -> tuple[Side, Side]:
    """Both sides of `A B [KEY=VALUE ...]` or `A KEY=VALUE ...`: settings change the second, which else is A itself.

    Raises UserError where a side names nothing that is sealed, or where settings are given and it is no recipe.
    """
    names = [word for word in rest if "=" not in word]
    overrides = [word for word in rest if "=" in word]
    if len(names) > 1:
        raise UserError(names[1], "two sides are compared, and this is a third", "", "e.g. align compare A B")
    if not names and not overrides:
        raise UserError(
            first, "there is nothing to compare it with", "", "name another, or a setting: stages.dpo.beta=0.3"
        )
    second = names[0] if names else first
    # with settings both sides are read from the recipe's file: the last run may be that of either
    return _open(first, [], folder, bool(overrides)), _open(second, overrides, folder, bool(overrides))


def _open(given: str, overrides: list[str], folder: str | None, from_file: bool) -> Side:
    if not Path(given).expanduser().is_dir():
        path, _ = shipped.find(given)
        known = given in lineage.recipes(lineage.store_at(folder))
        if path.is_file() and path.suffix in shipped.SUFFIXES and (from_file or not known):
            return _planned(path, given, overrides, folder)
        if overrides:
            raise UserError(given, "settings can only be given with a recipe's file", f"found {' '.join(overrides)}")
        if known and (run := lineage.last_run(given, folder)):
            return _remembered(*run)
    found = lineage.resolve(given, folder)
    steps: dict[str, Sealed] = {}
    _ancestors(found.sealed, found.store, steps)
    return Side(given, found.store, steps, next(reversed(steps)))


def _planned(path: Path, given: str, overrides: list[str], folder: str | None) -> Side:
    recipe = load(path, overrides)
    store = lineage.store_at(folder, recipe)
    label = " ".join([given, *overrides])
    steps: dict[str, Sealed] = {}
    missing: list[str] = []
    for name, step in plans.make(recipe, store).steps.items():
        sealed = store.find(step.kind, step.key) if step.artifact else None
        if sealed:
            steps[name] = sealed
        else:
            missing.append(name)
    if not steps:
        raise UserError(label, "none of its steps is sealed", f"looked in {store.root}", f"run it: align run {label}")
    return Side(label, store, steps, None, missing)


def _remembered(name: str, store: Store, keys: dict[str, str]) -> Side:
    steps: dict[str, Sealed] = {}
    for step, folder in keys.items():
        kind, _, key = folder.partition("-")
        sealed = store.find(kind, key)
        if sealed:
            steps[step] = sealed
    return Side(name, store, steps, None, [step for step in keys if step not in steps])


def _ancestors(sealed: Sealed, store: Store, steps: dict[str, Sealed]) -> None:
    """Adds an artifact after all that it came from, as far as that is still there, by the names they were made under."""
    if any(s.manifest.key == sealed.manifest.key for s in steps.values()):
        return
    for parent in sealed.manifest.parents.values():
        try:
            made = store.find(parent.kind, parent.key) if parent.key else None
        except ArtifactError:
            made = None
        if made:
            _ancestors(made, store, steps)
    name = sealed.manifest.name.partition(":")[2] or sealed.manifest.kind
    steps[name if name not in steps else f"{name} {sealed.manifest.key[:8]}"] = sealed
