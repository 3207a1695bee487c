"""The store: sealed artifacts by key, the partial ones being built, and what each recipe last had.

<store>/<kind>-<key12>/            sealed: manifest.json written last, one rename is the seal
<store>/<kind>-<key12>.partial/    being built; holds resume state; never read by another step
<store>/recipes/<name>.json        step -> key of that recipe's last run
<store>/pins.json                  hub source -> commit
<store>/cache/  locks/  digests.json    deletable
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from align.artifact import crash, digests
from align.artifact import manifest as manifests
from align.artifact.manifest import Manifest
from align.errors import ArtifactError
from align.schema import validate_manifest

# What a sealed artifact may hold; everything else in a partial folder is resume state and is left behind.
KEPT = ("model", "rows-", "report.json", "metrics.json", "metrics.jsonl", "log.txt", "README.md", "plots")
KEPT += ("quarantine.jsonl",)


@dataclass(frozen=True)
class Sealed:
    path: Path
    manifest: Manifest


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.cache = self.root / "cache"

    def folder(self, kind: str, key: str) -> Path:
        return self.root / f"{kind}-{key[:12]}"

    def partial(self, kind: str, key: str) -> Path:
        return self.root / f"{kind}-{key[:12]}.partial"

    def lock(self, key: str) -> Path:
        return self.root / "locks" / f"{key[:12]}.lock"

    def find(self, kind: str, key: str) -> Sealed | None:
        """The sealed artifact with this key, or None. Does not hash its files: `open` does."""
        folder = self.folder(kind, key)
        aside = folder.with_name(folder.name + ".old")
        if aside.exists() and not folder.exists():
            aside.rename(folder)  # a crash between the two renames of a replacement: the old one is still whole
        if not folder.exists():
            return None
        found = Manifest.read(folder)
        if found.key != key:
            raise ArtifactError(
                str(folder), f"it holds key {found.key[:20]}", f"expected {key[:20]}", "delete the folder"
            )
        return Sealed(folder, found)

    def open(self, kind: str, key: str) -> Sealed:
        """The sealed artifact with this key, every file checked against its hash."""
        sealed = self.find(kind, key)
        if sealed is None:
            raise ArtifactError(
                str(self.folder(kind, key)), "there is no such artifact", "", "run the step that makes it"
            )
        manifests.verify(sealed.path, sealed.manifest)
        return sealed

    def seal(self, draft: Manifest) -> Sealed:
        """Turns the partial folder of `draft.key` into a sealed artifact: fsync, hash, manifest last, one rename."""
        partial, final = self.partial(draft.kind, draft.key), self.folder(draft.kind, draft.key)
        for path in partial.iterdir():
            if not path.name.startswith(KEPT):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        present = manifests.listing(partial)
        for path in present.values():
            path.chmod(0o644)
        paths = list(present.values())
        digests.sync_each(paths)
        files = {
            name: {"sha256": digest, "size": path.stat().st_size}
            for (name, path), digest in zip(present.items(), digests.of_each(paths), strict=True)
        }
        done = replace(draft, files=files, digest=manifests.content_digest(files))
        validate_manifest(done.to_json(), str(partial / manifests.NAME))
        crash.point("before-manifest")
        digests.write_json(partial / manifests.NAME, done.to_json())
        for folder in {p.parent for p in manifests.listing(partial).values()}:
            digests.sync(folder)
        crash.point("before-rename")
        aside = final.with_name(final.name + ".old")
        if final.exists():
            if aside.exists():
                shutil.rmtree(aside)
            final.rename(aside)
            crash.point("between-renames")
        partial.rename(final)
        digests.sync(self.root)
        crash.point("after-rename")
        if aside.exists():
            manifests.verify(final, done)
            shutil.rmtree(aside)
        return Sealed(final, done)

    def last_keys(self, recipe: str) -> dict[str, str]:
        """Step name -> `kind-key` of the recipe's last run; empty when it never ran."""
        return _read_map(self.root / "recipes" / f"{recipe}.json")

    def remember(self, recipe: str, step: str, kind: str, key: str) -> None:
        known = self.last_keys(recipe)
        if known.get(step) != f"{kind}-{key}":
            digests.write_json(self.root / "recipes" / f"{recipe}.json", {**known, step: f"{kind}-{key}"})

    def pins(self) -> dict[str, str]:
        return _read_map(self.root / "pins.json")

    def pin(self, source: str, commit: str) -> None:
        digests.write_json(self.root / "pins.json", {**self.pins(), source: commit})


def free_bytes(path: Path) -> int:
    """Free space where `path` lies or will lie."""
    while not path.exists():
        path = path.parent
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _read_map(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ArtifactError(
            str(path), f"it cannot be read ({error})", "", "delete it; only its memory of past runs is lost"
        ) from None
    return {str(k): str(v) for k, v in found.items()}
