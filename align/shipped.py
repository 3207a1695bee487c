"""The recipes that come with align: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from align.errors import UserError

PACKAGE = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")


def folder() -> Path:
    """Where the shipped recipes lie."""
    inside = PACKAGE / "_shipped" / "recipes"
    return inside if inside.is_dir() else PACKAGE.parent / "recipes"


def names() -> dict[str, Path]:
    """Name -> file of every shipped recipe."""
    return {p.stem: p for p in sorted(folder().glob("*.yaml"))}


def summary(path: Path) -> str:
    """The first comment of a recipe: what it is for."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    paragraph = " ".join(lines).strip()
    return paragraph.split(". ")[0].rstrip(".")


def find(given: str) -> tuple[Path, bool]:
    """The recipe file a person means, and whether it is a shipped one: a file of theirs comes first."""
    path = Path(given)
    if path.is_file():
        return path, False
    stem = path.name.removesuffix(path.suffix) if path.suffix in SUFFIXES else path.name
    bare = given in (stem, f"{stem}{path.suffix}", f"recipes/{stem}", f"recipes/{stem}{path.suffix}")
    known = names()
    if bare and stem in known:
        return known[stem], True
    return path, False


def copy(name: str, target: str | None) -> Path:
    """Copies a shipped recipe to a file or into a folder. Raises UserError rather than write over anything."""
    source = names()[name]
    path = Path(target or source.name)
    if path.is_dir() or (target and target.endswith("/")):
        path = path / source.name
    elif path.suffix not in SUFFIXES:
        path = path.with_name(path.name + ".yaml")
    if path.exists():
        raise UserError(
            str(path),
            "it exists already",
            "",
            f"give another name: align init {name} {path.with_name(f'my-{path.name}')}",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    return path
