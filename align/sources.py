"""What a recipe reads from outside: where it lies, what it holds (its digest), and which commit of a hub id is meant."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from align import quickstart
from align.artifact.digests import DigestCache, of_value
from align.artifact.inputs import SourceInput
from align.artifact.store import Store
from align.errors import DataError

BUNDLED = "quickstart:"
HUB_ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
COMMIT = re.compile(r"[0-9a-f]{40}")
FILE_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".arrow", ".txt", ".gz", ".zst", ".safetensors", ".yaml")


class Sources:
    """Locates and digests sources for one plan. Digests of files are cached in the store by size, mtime and inode.

    `beside` is the recipe's folder, where a source that is missing might lie.
    """

    def __init__(self, store: Store, beside: Path | None = None) -> None:
        self._store, self._beside = store, beside
        self._digests = DigestCache(store.root / "digests.json")
        self._pins = store.pins()

    def locate(
        self, where: str, location: str, repo: str, split: str | None = None, revision: str | None = None
    ) -> SourceInput:
        """The source a recipe names, with its digest; an unpinned hub id has an empty digest.

        `where` is the recipe key, for messages; `repo` is `model` or `dataset`. Raises DataError when nothing is there.
        """
        if location.startswith(BUNDLED):
            return self._bundled(where, location.removeprefix(BUNDLED))
        path = Path(location).expanduser()
        if path.exists():
            kind = "folder" if path.is_dir() else "file"
            digest = of_value([kind, "".join(path.suffixes[-2:]), self._digests.of_path(path)])
            return SourceInput(kind, str(path.absolute()), split, None, digest)
        if (
            location.startswith(("./", "../", "/", "~"))
            or location.endswith(FILE_SUFFIXES)
            or not HUB_ID.fullmatch(location)
        ):
            raise DataError(
                where,
                f"{location} does not exist",
                "expected a file, a folder or a hub id",
                _nearby(path, self._beside),
            )
        commit = (
            revision if revision and COMMIT.fullmatch(revision) else self._pins.get(pin_name(repo, location, revision))
        )
        digest = of_value(["hub", repo, location, split, commit]) if commit else ""
        return SourceInput("hub", location, split, commit, digest)

    def save(self) -> None:
        self._digests.save()

    def _bundled(self, where: str, name: str) -> SourceInput:
        if name not in quickstart.SOURCES:
            close = difflib.get_close_matches(name, quickstart.SOURCES, 1) or [", ".join(quickstart.SOURCES)]
            raise DataError(where, f"the bundled world has no {name}", "", f"did you mean {BUNDLED}{close[0]}?")
        return SourceInput("quickstart", name, None, None, of_value(["quickstart", name, quickstart.digest()]))


def pin_name(repo: str, location: str, revision: str | None) -> str:
    return f"{repo}:{location}@{revision or 'main'}"


def _nearby(path: Path, beside: Path | None) -> str:
    """A hint from the names that lie where the missing one was looked for, or beside the recipe."""
    folder = path.parent
    if beside and (beside / path).exists():
        return f"it lies beside the recipe, and paths begin where align is called: cd {beside.absolute()}"
    if not folder.is_dir():
        return f"there is no folder {folder} in {Path.cwd()}"
    close = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], 1, 0.5)
    return f"did you mean {folder / close[0]}?" if close else f"looked in {folder.absolute()}"
