"""Hashes: of files, of plain values, and a cache that spares hashing a source again that did not change."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SIDE_BY_SIDE = 4  # files: sha256 takes a second for each gigabyte and lets other threads run


def of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_each(paths: Sequence[Path]) -> list[str]:
    """sha256 of each of several files."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(of_file, paths))


def of_value(value: Any) -> str:
    """sha256 of a plain value's canonical JSON. Raises TypeError on anything without a stable form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(files: dict[str, str]) -> str:
    """One digest for a set of files given as relative path -> sha256."""
    return of_value(sorted(files.items()))


@functools.cache
def of_code() -> str:
    """One digest for align's own source files: which code made an artifact."""
    package = Path(__file__).parents[1]
    return of_files({p.relative_to(package).as_posix(): of_file(p) for p in package.rglob("*.py")})


class DigestCache:
    """sha256 by path, size, mtime and inode, kept in one JSON file. Losing it costs time, never truth."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[Any]] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError):  # a cache: absent or torn is the same as empty
            self._known = json.loads(path.read_text())

    def of_path(self, path: Path) -> str:
        """sha256 of a file, or of all files under a folder by their relative names."""
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            return of_files({str(p.relative_to(path)): self._of_file(p) for p in files})
        return self._of_file(path)

    def _of_file(self, path: Path) -> str:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        name = str(path.absolute())
        known = self._known.get(name)
        if known and known[:3] == stamp:
            return str(known[3])
        digest = of_file(path)
        self._known[name] = [*stamp, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        if self._changed:
            write_json(self._path, self._known)
            self._changed = False


def write_json(path: Path, value: Any) -> None:
    """Replaces a small JSON file in one step: a reader sees the old or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def sync_each(paths: Sequence[Path]) -> None:
    """Makes what was written to several files survive a power cut."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(sync, paths))


def sync(path: Path) -> None:
    """Makes what was written to a file or folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
