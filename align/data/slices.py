"""How many rows each slice and axis has, told with what was prepared: suites and gates name them before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from align.data.store_rows import part_file

COLUMNS = {"slices": "slice", "axes": "axis"}
MOST = 100  # names of a part; with more of them only their number is told


def counted(folder: Path, parts: Iterable[str]) -> dict[str, float]:
    """`slices/PART`, how many there are, and `slices/PART/NAME`, the rows of each; `axes` likewise."""
    found: dict[str, float] = {}
    for part in parts:
        for told, column in COLUMNS.items():
            values = pq.read_table(part_file(folder, part), columns=[column])[column].drop_null()
            names = {each["values"]: each["counts"] for each in values.value_counts().to_pylist()}
            found[f"{told}/{part}"] = len(names)
            found |= {f"{told}/{part}/{name}": names[name] for name in sorted(names) if len(names) <= MOST}
    return found
