"""Rows from where a recipe says they are: a file, a folder of files, or a data set on the hub; always streamed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import datasets
from datasets.exceptions import DatasetsError

from align.data.files import SUFFIXES, RawRow, read_file, row_suffix
from align.errors import DataError

_SPLIT_NAMES = ("train", "test", "validation", "valid", "val", "dev", "eval", "holdout")
_METADATA = (
    "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json",  # of `datasets`
    "manifest.json", "metrics.json", "report.json", "metrics.jsonl", "log.txt",  # of a sealed artifact
)  # fmt: skip


def read_rows(
    location: str | Path, split: str | None = None, revision: str | None = None, hub: bool = False
) -> Iterator[RawRow]:
    """Stream the rows of a file, of a folder, or (with `hub`) of a hub data set."""
    if hub:
        return _read_hub(str(location), split, revision)
    path = Path(location)
    if not path.exists():
        raise DataError(str(path), "there is no such file or folder", remedy=_did_you_mean(path))
    if path.is_dir():
        return (row for file in folder_files(path, split) for row in read_file(file))
    return read_file(path)


def folder_files(folder: Path, split: str | None = None) -> list[Path]:
    """The files of rows under a folder, in order of their paths; those of `split` where one is given.

    Raises DataError where there is nothing to read, where formats are mixed, or where the names speak of several splits
    and none was chosen: a test split must not slip into training.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _METADATA and row_suffix(p))
    files = [file for file in files if row_suffix(file) != ".txt"] or files  # a LICENSE.txt beside the rows
    if not files:
        raise DataError(str(folder), "the folder has no file of rows", f"Known endings: {', '.join(SUFFIXES)}")
    found = sorted({name for file in files if (name := _split_of(file.relative_to(folder)))})
    if split is not None:
        files = [file for file in files if is_of_split(file.relative_to(folder), split)]
        if not files:
            known = f"File names speak of {', '.join(found)}" if found else "No file name speaks of a split"
            raise DataError(str(folder), f"no file belongs to split {split}", known, _closest(split, found))
    elif len(found) > 1:
        example = "train" if "train" in found else found[0]
        raise DataError(
            str(folder), f"its files are of several splits: {', '.join(found)}", "One split", f"Say split: {example}"
        )
    kinds = sorted({str(row_suffix(file)) for file in files})
    if len(kinds) > 1:
        raise DataError(
            str(folder), f"its files have several formats: {', '.join(kinds)}", "One format", "Name one file."
        )
    return files


def is_of_split(path: Path, split: str) -> bool:
    """Whether the name of a folder, a file or a split has the split as one of its words: pairs_train, train-00000.parquet."""
    return any(re.search(rf"(^|[-._]){re.escape(split)}([-._]|$)", part) for part in path.parts)


def _split_of(path: Path) -> str | None:
    return next((name for name in _SPLIT_NAMES if is_of_split(path, name)), None)


def _did_you_mean(path: Path) -> str:
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f"Did you mean {path.parent / close[0]}?" if close else f"Looked in {path.parent.absolute()}"


def _closest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else ""


def _read_hub(name: str, split: str | None, revision: str | None) -> Iterator[RawRow]:
    """Rows of a hub data set; `split` is SPLIT, or CONFIGURATION/SPLIT where the data set has several.

    Code that a data set brings along is never run: this version of `datasets` cannot.
    """
    where = f"{name}@{revision[:12]}" if revision else name
    configuration, _, split = (split or "").rpartition("/")
    try:
        found = datasets.load_dataset(
            name, configuration or None, split=split or None, revision=revision, streaming=True
        )
        if isinstance(found, datasets.IterableDatasetDict):
            if len(found) > 1:
                raise DataError(
                    where,
                    f"the data set has several splits: {', '.join(map(str, found))}",
                    "One split",
                    "Say split: ...",
                )
            found = next(iter(found.values()))
        for number, row in enumerate(found, 1):
            yield RawRow(where, number, dict(row))
    except ValueError as error:  # an unknown split, a configuration to choose, values that do not fit their columns
        known = re.findall(r"\w+", str(error).rpartition("[")[2])
        choose = "Say split: CONFIGURATION/SPLIT." if "Config name is missing" in str(error) else ""
        raise DataError(where, _first_line(error), remedy=choose or _closest(split, known)) from error
    except (DatasetsError, OSError) as error:
        raise DataError(
            where, f"the hub data set cannot be read: {_first_line(error)}", "An id that exists, and a hub in reach",
            "Check the id, the network and HF_TOKEN; or download it and name the folder.",
        ) from error  # fmt: skip


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
