"""A sealed artifact's manifest: what it is, what it came from, and the hash of every file in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from align.artifact import digests
from align.errors import ArtifactError
from align.schema import validate_manifest

NAME = "manifest.json"
SCHEMA = "align/manifest"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Parent:
    """One input as it was used: an artifact by key, or a source by its location; `digest` is what it held."""

    digest: str
    kind: str
    key: str | None = None
    source: str | None = None
    part: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Manifest:
    kind: str
    name: str
    key: str
    stage_version: int
    spec: dict[str, Any]
    seed: int | None
    parents: dict[str, Parent]
    files: dict[str, dict[str, Any]]
    digest: str
    row_type: str | None = None
    rows: dict[str, int] = field(default_factory=dict)
    base: Parent | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    code: str = ""
    git: str | None = None
    tracking: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(self)}

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a sealed folder. Raises ArtifactError when it is absent, torn or of another version."""
        path = folder / NAME
        try:
            found = json.loads(path.read_bytes())
            if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
                raise ValueError("it is not an align manifest")
            version = found.pop("schema_version", None)
            if version != SCHEMA_VERSION:
                raise ValueError(f"its schema version is {version}, this align reads {SCHEMA_VERSION}")
            validate_manifest({"schema": SCHEMA, "schema_version": version, **found}, str(path))
            found["parents"] = {name: Parent(**p) for name, p in found["parents"].items()}
            found["base"] = Parent(**found["base"]) if found["base"] else None
            return cls(**found)
        except FileNotFoundError:
            raise ArtifactError(str(folder), "there is no manifest.json", "a sealed artifact has one") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArtifactError(
                str(path),
                f"the manifest cannot be read ({error})",
                "",
                "delete the folder; the next run builds it again",
            ) from None


def is_content(relative: str) -> bool:
    """Whether a file counts for the digest: what later stages read, and nothing with times or ids in it."""
    return relative.startswith(("model/", "rows-")) or relative == "report.json"


def content_digest(files: dict[str, dict[str, Any]]) -> str:
    return digests.of_files({name: entry["sha256"] for name, entry in files.items() if is_content(name)})


def listing(folder: Path) -> dict[str, Path]:
    """Every file under a folder but the manifest, by relative name. Raises ArtifactError on a link."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ArtifactError(str(path), "it is a link", "an artifact holds its files itself")
        if path.is_file() and path != folder / NAME:
            found[path.relative_to(folder).as_posix()] = path
    return found


def verify(folder: Path, manifest: Manifest) -> None:
    """Hashes every file of an artifact. Raises ArtifactError naming the first that is missing, extra or changed."""
    remedy = f"the artifact was changed after it was sealed; delete {folder} and run again to rebuild it"
    present = listing(folder)
    for name in sorted(set(manifest.files) - set(present)):
        raise ArtifactError(str(folder / name), "the file is missing", "", remedy)
    for name in sorted(set(present) - set(manifest.files)):
        raise ArtifactError(str(folder / name), "the file does not belong to the sealed artifact", "", remedy)
    found = digests.of_each([present[name] for name in manifest.files])
    for (name, entry), digest in zip(manifest.files.items(), found, strict=True):
        path = present[name]
        if path.stat().st_size != entry["size"] or digest != entry["sha256"]:
            raise ArtifactError(str(path), "its content does not match the hash in the manifest", "", remedy)
    if content_digest(manifest.files) != manifest.digest:
        raise ArtifactError(str(folder / NAME), "its digest does not match its list of files", "", remedy)
