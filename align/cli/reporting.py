"""`align report`: reads the store, writes the page, says where it is."""

from __future__ import annotations

import json
from pathlib import Path

from align import gates, lineage, seeds, words
from align import plan as plans
from align.artifact.store import Store
from align.cli import opening
from align.errors import UserError
from align.plan import Plan
from align.report import card as cards
from align.report import generations, page
from align.report.collect import collect


def report(given: str, overrides: list[str] | None, target: str | None, folder: str | None, as_json: bool) -> None:
    recipe = opening.recipe(given, overrides, quiet=as_json)
    path = Path(target or f"{recipe.name}-report.html")
    if path.is_dir():
        raise UserError(str(path), "it is a folder", "", f"name a file: -o {path / f'{recipe.name}-report.html'}")
    store = lineage.store_at(folder, recipe)
    plan = plans.make(recipe, store)
    seen = collect(plan, store)
    if not any(s.sealed for s in seen.values()):
        raise _nothing(given, store, plan)
    suites = generations.read(seen)
    packed = generations.packed(recipe.name, suites) if suites else ""
    commands = words.Commands(given, tuple(overrides or ()), folder)
    over = seeds.runs(recipe, store)
    seeded = page.OverSeeds(tuple(over), seeds.comparisons(over))
    text = page.write(plan, seen, store, commands, packed, gates.judge(recipe, plan.steps), seeded)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    left = sum(s.sealed is None for s in seen.values())
    if as_json:
        print(json.dumps({"recipe": recipe.name, "file": str(path.absolute()), "bytes": len(text.encode())}))
        return
    missing = f" {words.plural(left, 'step')} of {len(seen)} still to run." if left else ""
    told = f" With figures over seeds {words.listed(map(str, over))}." if seeded.reports else ""
    print(f"Wrote {path} ({words.size(len(text.encode()))}).{missing}{told} Open it in a browser.")


def _nothing(given: str, store: Store, plan: Plan) -> UserError:
    """Why there is nothing to show: it never ran here, or what ran had other settings, data or code."""
    if not store.last_keys(plan.recipe.name):
        return UserError(
            given, f"nothing of it has run in {store.root}", "", f"run it first: align run {given}, or name --store"
        )
    first = next(iter(plan.steps.values()))
    return UserError(
        given, f"what ran in {store.root} was something else ({first.name}: {first.reason})", "",
        f"give the overrides of that run, or run it as it is now: align run {given}",
    )  # fmt: skip


def card(given: str, target: str | None, folder: str | None) -> None:
    found = lineage.resolve(given, folder)
    text = cards.card(found.sealed, found.store)
    if target is None:
        print(text, end="")
        return
    path = Path(target)
    if path.is_dir():
        raise UserError(target, "it is a folder", "", f"name a file: -o {path / 'README.md'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"Wrote {path}.")
