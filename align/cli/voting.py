"""`align votes`: checks and counts votes, writes the preference rows, and seals them as a data entry of the store."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from align import lineage, runner, words
from align import plan as plans
from align.artifact.store import Store
from align.cli import opening, terminal
from align.cli.lines import Lines
from align.errors import UserError
from align.plan import Step
from align.recipe import Recipe
from align.report import generations, tables
from align.report import votes as ballots
from align.report.collect import collect
from align.report.votes import Preferences, Vote
from align.runner import Choice

ENTRY = "preferences"


def votes(
    file: str, given: str | None, overrides: list[str] | None, target: str | None, folder: str | None, as_json: bool
) -> None:
    path = Path(file)
    cast = ballots.read(path)
    store = _checked(cast, given, overrides, folder, as_json)
    found = ballots.preferences(cast)
    rows = Path(target) if target else path.with_name(f"{path.stem}.preference.jsonl")
    if rows.resolve() == path.resolve():
        raise UserError(str(rows), "that are the votes themselves", "", "name another file for the preference rows")
    if not as_json:
        _show(path, cast)
    sealed = _seal(path, rows, found, store) if found.rows else None
    if as_json:
        print(json.dumps(_json(cast, found, rows, sealed)))
    else:
        _tell(found, rows, sealed)


def _checked(
    cast: list[Vote], given: str | None, overrides: list[str] | None, folder: str | None, quiet: bool
) -> Store:
    """The store to seal in, once each vote was found to be on what the recipe's models said."""
    if given is None:
        return lineage.store_at(folder)
    recipe = opening.recipe(given, overrides, quiet=quiet)
    store = lineage.store_at(folder, recipe)
    ballots.check(cast, generations.read(collect(plans.make(recipe, store), store)), given)
    return store


def _seal(path: Path, rows: Path, found: Preferences, store: Store) -> Step:
    """Writes the rows and prepares them as any recipe would that names the file."""
    rows.parent.mkdir(parents=True, exist_ok=True)
    rows.write_text(ballots.lines(found), encoding="utf-8")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "votes"
    told = {"name": name, "data": {ENTRY: {"source": str(rows), "as": "preference"}}, "tracking": {"wandb": "disabled"}}
    with Lines(sys.stderr) as listener:
        outcome = runner.run(Recipe.model_validate(told), store, Choice(), listener)
    return outcome.plan.steps[ENTRY]


def _show(path: Path, cast: list[Vote]) -> None:
    console = terminal.console()
    prompts = len({v.cluster for v in cast})
    console.out(f"  {path.name} · {words.plural(len(cast), 'vote')} on {words.plural(prompts, 'prompt')}\n")
    table = terminal.table("models", "win rate", "n", "votes", right=("n",), wraps=("models", "votes"))
    for t in ballots.tallies(cast):
        n = t.won + t.lost + t.tied
        cast_as = {"won": t.won, "lost": t.lost, "as good": t.tied, "skipped": t.skipped}
        counts = ", ".join(f"{count} {what}" for what, count in cast_as.items() if count)
        told = tables.interval(t.win_rate.to_json()) if t.win_rate else "–"
        table.add_row("", f"{t.model} against {t.against}", told, str(n), counts)
    console.print(table)
    if share := ballots.left_share(cast):
        told = tables.interval(share.to_json())
        warned = ", so the side mattered more than the answer" if share.low > 0.5 or share.high < 0.5 else ""
        console.out(f"\n  Share of votes for the left answer: {told}, n = {share.n}{warned}.")
    console.out("  95 % intervals; a tie is half a win; votes on one prompt count as one.\n")


def _tell(found: Preferences, rows: Path, sealed: Step | None) -> None:
    left = words.listed(words.plural(count, why) for why, count in found.left_out.items() if count)
    without = f" ({left} make none)" if left else ""
    if sealed is None:
        print(f"  No preference rows: {left}.")
        return
    print(f"  Wrote {rows}: {words.plural(len(found.rows), 'preference row')}{without}.")
    print(f"  Sealed as {sealed.kind}-{sealed.key[:12]}. Train on it:")
    print(f"    data: {{votes: {{source: {rows}, as: preference}}}}")


def _json(cast: list[Vote], found: Preferences, rows: Path, sealed: Step | None) -> dict[str, Any]:
    share = ballots.left_share(cast)
    return {
        "votes": len(cast),
        "win_rates": [t.to_json() for t in ballots.tallies(cast)],
        "left_share": share.to_json() if share else None,
        "preferences": {
            "rows": len(found.rows),
            "left_out": found.left_out,
            "file": str(rows.absolute()) if sealed else None,
            "artifact": str(sealed.artifact) if sealed else None,
        },
    }
