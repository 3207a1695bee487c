"""Opening a recipe by file or by the name of a shipped one, and copying shipped ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from align import shipped
from align.errors import UserError

if TYPE_CHECKING:
    from align.recipe import Recipe


def recipe(given: str, overrides: list[str] | None = None, quiet: bool = False) -> Recipe:
    """The recipe a person named, checked. A shipped one is used where no file of theirs has that name, and that is said."""
    from align.recipe import load

    path, is_shipped = shipped.find(given)
    if is_shipped and not quiet:
        print(
            f"{given} is not a file here; using the shipped recipe (copy it: align init {path.stem}).", file=sys.stderr
        )
    if not path.exists() and (close := _alike(path.stem)):
        raise UserError(given, "there is no such recipe", "", f"did you mean {close}?")
    return load(path, overrides or [])


def check_prepared(recipe: Recipe) -> None:
    """Holds a recipe against the rows that are prepared already, where its sources are here to say which these are."""
    from align import asked, lineage
    from align import plan as plans

    try:
        plan = plans.make(recipe, lineage.store_at(None, recipe))
    except UserError:
        return  # a recipe is sound also where its data are elsewhere
    asked.check(plan)


def _alike(name: str) -> str | None:
    """A recipe with a similar name: in this folder, in recipes/, or shipped."""
    import difflib

    here = {p.stem: str(p) for folder in (".", "recipes") for p in Path(folder).glob("*.y*ml")}
    known = {**{n: n for n in shipped.names()}, **here}
    return next((known[n] for n in difflib.get_close_matches(name, known, 1, 0.5)), None)


def init(name: str | None, target: str | None) -> None:
    known = shipped.names()
    if name is None:
        from align.cli.terminal import hung

        width = max(map(len, known), default=0)
        print("Recipes that come with align:\n")
        for stem, path in known.items():
            print(hung(f"  {stem:<{width}}  ", shipped.summary(path)))
        print("\nCopy one: align init RECIPE_NAME [DEST]")
        return
    stem = name.removeprefix("recipes/").removesuffix(".yaml")
    if stem not in known:
        import difflib

        close = difflib.get_close_matches(stem, known, 1, 0.5)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        raise UserError(name, "no such recipe comes with align", "", hint)
    path = shipped.copy(stem, target)
    print(f"Wrote {path}. Look at it, then: align plan {path}")
