"""Runs of the quickstart and of recipes derived from it, through the command line, and what they reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from align.artifact.store import Store
from tests import warm

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
MINUTES = 12  # of one run, on a busy machine

Report = dict[str, Any]


def align(
    recipe: Path, store: Path, *arguments: str, verb: str = "run", python: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python or warm.python(), "-m", "align", verb, str(recipe), f"store={store}", *arguments],
        cwd=store.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
        timeout=60 * MINUTES,
    )  # fmt: skip


def run(recipe: Path, store: Path, *arguments: str) -> None:
    """A recipe with its gates, started as a person starts it: it has to end in exit code 0."""
    done = align(recipe, store, *arguments, python=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr


def report(store: Path, step: str, name: str = "quickstart") -> Report:
    kind, _, key = Store(store).last_keys(name)[step].partition("-")
    return json.loads((Store(store).open(kind, key).path / "report.json").read_text())


def derived(name: str, keep: tuple[str, ...], changes: dict[str, Any]) -> dict[str, Any]:
    """The quickstart with `keep` of its stages, and changes: of each section of the recipe, entries put in or replaced."""
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe["stages"] = {stage: recipe["stages"][stage] for stage in keep}
    for section in ("data", "stages"):
        recipe[section] |= changes.get(section, {})
    used = json.dumps([recipe["stages"], changes.get("data", {})])
    recipe["data"] = {entry: told for entry, told in recipe["data"].items() if f'"{entry}' in used}
    return recipe | {"name": name, "gates": changes["gates"]}


def write(recipe: dict[str, Any], folder: Path) -> Path:
    path = folder / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
