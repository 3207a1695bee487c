"""The Python face: run a recipe, and open what it made."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align import lineage, runner, shipped
from align import recipe as recipes
from align.artifact import manifest as manifests
from align.artifact.manifest import Manifest
from align.runner import Choice, Listener, Outcome


@dataclass(frozen=True)
class Opened:
    """A sealed artifact. `path` is what other software reads: the model's folder, the rows' file, or the report."""

    path: Path
    folder: Path
    manifest: Manifest

    @property
    def metrics(self) -> dict[str, float]:
        return self.manifest.metrics


def run(
    recipe: str | Path, *, choice: Choice | None = None, listener: Listener | None = None, **overrides: Any
) -> Outcome:
    """Runs a recipe like `align run`; overrides are settings by name: `seed=1`, `**{"stages.dpo.beta": 0.3}`.

    Call it under `if __name__ == "__main__":` in a script. Raises the error of the first step that fails; what was
    finished stays sealed, and the same call goes on from there. Gates raise nothing: those that did not pass are in the
    outcome's `gates.blocking`.
    """
    path, _ = shipped.find(str(recipe))
    loaded = recipes.load(path, [f"{name}={_written(value)}" for name, value in overrides.items()])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return runner.run(loaded, lineage.store_at(None, loaded), choice or Choice(), listener or Listener())
    finally:
        for number, handler in handlers.items():  # a stopped runner leaves them ignored; a caller lives on
            signal.signal(number, handler)


def open(reference: str | Path, store: str | Path | None = None) -> Opened:
    """What a reference names (RECIPE:STEP[.part], a key, a folder), every file checked against its hash."""
    found = lineage.resolve(str(reference), str(store) if store else None)
    manifests.verify(found.sealed.path, found.sealed.manifest)
    return Opened(_main_file(found.sealed.path, found.part), found.sealed.path, found.sealed.manifest)


def _main_file(folder: Path, part: str | None) -> Path:
    if (folder / "model").is_dir():
        return folder / "model"
    if (folder / "report.json").is_file():
        return folder / "report.json"
    rows = sorted(folder.glob(f"rows-{part or 'train'}*.parquet"))
    return rows[0] if len(rows) == 1 else folder


def _written(value: Any) -> str:
    """A Python value as YAML says it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    return f"'{value}'" if isinstance(value, str) and not value else str(value)
