"""What a sweep shows: its variants while they run, and at the end one line a measured model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from align import cells, lineage, runner, seeds, shipped, sweep, words
from align import plan as plans
from align.artifact.store import Store
from align.cli import gating, running, terminal
from align.errors import UserError
from align.gates import seeds as over_seeds
from align.gates import written
from align.recipe import load
from align.report import frontier as frontiers
from align.runner import Choice
from align.seeds import Seeded
from align.specs.asking import rank
from align.sweep import Point, Variant


def run(
    recipe: str,
    arguments: list[str],
    folder: str | None,
    dry_run: bool,
    as_json: bool,
    best_of: str | None = None,
    frontier: bool = False,
) -> None:
    """Runs the variants, then shows the points. Raises the first variant's error once the others have had their turn."""
    overrides, axes = sweep.split_arguments(arguments)
    if best_of or frontier:
        overrides += sweep.frontier_settings(shipped.find(recipe)[0], overrides, best_of)
    variants = sweep.variants(shipped.find(recipe)[0], overrides, axes)
    store = lineage.store_at(folder, variants[0].recipe)
    planned = [plans.make(v.recipe, store) for v in variants]
    if not as_json:
        _told_plan(variants, planned)
    if dry_run:
        print(json.dumps({"variants": [v.settings for v in variants]}) if as_json else "  Nothing was run (--dry-run).")
        return
    points: dict[str, Point] = {}
    finished: list[Variant] = []
    failed: dict[int, UserError] = {}
    for variant in variants:
        try:
            _carry_out(variant, store, len(variants), as_json)
        except UserError as error:
            failed[variant.number] = error
            print(f"{variant.told}: {error}", file=sys.stderr)
            continue
        finished.append(variant)
        sweep.measured(variant, store, points)
    shown = sweep.labelled(points, finished, store)
    over = seeds.summarised(shown, store)
    if as_json:
        print(json.dumps(_json(variants, failed, shown) | {"seeds": [s.to_json() for s in over]}))
    elif shown:
        show(shown, over)
        if not failed and all(sweep.is_seed(axis.key) for axis in axes):
            _judged(variants, store, words.Commands(recipe, tuple(arguments), folder).line("gate"))
            first = [f"{key}={value}" for key, value in variants[0].settings.items()]
            print(f"  all seeds on a page: {words.Commands(recipe, (*overrides, *first), folder).line('report')}")
    elif finished:
        print("\n  Nothing was measured, so that there is no table: an evaluate stage does that.")
    if frontier:
        _draw(load(shipped.find(recipe)[0], overrides).name, shown)
    if failed:
        first = f"the first: {next(iter(failed.values()))}"
        raise UserError("sweep", f"{len(failed)} of {len(variants)} variants failed", "", first)


def _judged(variants: list[Variant], store: Store, command: str) -> None:
    """The gates over all seeds: told here, they block in `align gate`."""
    recipe = variants[0].recipe
    if recipe.gates:
        print()
        gating.show(
            terminal.console(), over_seeds.judge(recipe, {v.told: plans.make(v.recipe, store).steps for v in variants})
        )
        print(f"  what CI would say: {command}")


def _draw(name: str, points: list[Point]) -> None:
    """One drawing a frontier suite, beside where one stands; and in words what it marks."""
    for suite, places in sweep.places(points).items():
        path = Path(f"{name}-{suite}.svg")
        path.write_text(frontiers.draw(places, f"{name}: reward against KL, {suite}"), encoding="utf-8")
        print(f"  reward against KL: {path} ({frontiers.told(places)})", file=sys.stderr)


def _told_plan(variants: list[Variant], planned: list[plans.Plan]) -> None:
    new, count = sweep.to_run(planned)
    told = f"{len(new)} to run" if new else "nothing to run"
    known = [s.seconds for s in new if s.seconds is not None]
    about = f", about {plans.spoken(sum(known))}" if known and len(known) == len(new) else ""
    print(f"  {words.plural(len(variants), 'variant')} · {words.plural(count, 'step')} between them · {told}{about}\n")
    table = terminal.table("variant", "recipe", wraps=("variant",))
    for variant in variants:
        table.add_row("", variant.told, variant.recipe.name)
    terminal.console().print(table)
    print()


def _carry_out(variant: Variant, store: Store, count: int, as_json: bool) -> None:
    if not as_json:
        print(f"  {variant.number} of {count}: {variant.told}")
    display = running.open_display(as_json)
    with display:
        outcome = runner.run(variant.recipe, store, Choice(), display)
    if told := written.counted(outcome.gates):  # a sweep looks around: its gates are told and block nothing
        print(f"  gates of {variant.told}: {told}", file=sys.stderr if as_json else sys.stdout)


def _json(variants: list[Variant], failed: dict[int, UserError], points: list[Point]) -> dict[str, Any]:
    return {
        "variants": [
            {
                "recipe": v.recipe.name,
                "settings": v.settings,
                "error": str(failed[v.number]) if v.number in failed else None,
            }
            for v in variants
        ],
        "points": [
            {
                "model": p.model,
                "settings": p.settings,
                "recipe": p.variant.recipe.name,
                "values": [
                    {"suite": s, "metric": m, "slice": part, **value} for (s, m, part), value in p.values.items()
                ],
            }
            for p in points
        ],
    }


def show(points: list[Point], over: list[Seeded]) -> None:
    """One line a point, one column a suite's main metric, as many as the width allows; then what several seeds say."""
    console = terminal.console()
    columns = _columns(points)
    width = max(len(p.label) for p in [*points, *over]) + 6
    fitting = []
    for name in columns:
        width += max(len(_head(name)), 15) + 2
        if width <= console.width or not fitting:
            fitting.append(name)
    table = terminal.table("", *map(_head, fitting), right=tuple(map(_head, fitting)))
    for point in points:
        cells = [_cell(points, point, name) for name in fitting]
        table.add_row("", point.label, *cells)
    for group in over:
        table.add_row("", Text(group.label, "bold"), *(_over_seeds(group, name) for name in fitting))
    print()
    console.print(table)
    seeded = "; of several seeds: over seeds, as another training run would vary" if over else ""
    console.print(Text(terminal.hung("  ", f"± half the 95 % interval{seeded}"), "dim"))
    if left := len(columns) - len(fitting):
        print(f"  {words.plural(left, 'more metric')}: --json, or align show {points[-1].variant.recipe.name}")


def _over_seeds(group: Seeded, name: tuple[str, str, str]) -> str:
    found = group.figures.get(name)
    return cells.cell({"values": {"": found.over.to_json() if found else None}}, "")


def _columns(points: list[Point]) -> list[tuple[str, str, str]]:
    """The metrics people look at first, then the others; overall values only."""
    names = list(dict.fromkeys(name for p in points for name in p.values if name[2] == "all"))
    return sorted(names, key=lambda name: rank(name[1]))


def _head(name: tuple[str, str, str]) -> str:
    return f"{name[0]} {words.LABELS.get(name[1], name[1].replace('_', ' '))}" if name[0] != name[1] else name[0]


def _cell(points: list[Point], point: Point, name: tuple[str, str, str]) -> str:
    row = {"values": {p.key: p.values.get(name) for p in points}}
    return cells.cell(row, point.key)
