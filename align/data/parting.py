"""Deals the rows of one parquet file out to the parts of an artifact, once it is known which row goes where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from align.data.store_rows import ROWS_PER_GROUP, part_file

LEFT_OUT = -1


def part_rows(staged: Path, folder: Path, parts: Sequence[str], chosen: np.ndarray) -> dict[str, int]:
    """Write the rows of `staged` to the files of their parts, in order, and delete it; gives the rows of each part.

    `chosen` has for each row the place of its part in `parts`, or LEFT_OUT.
    """
    if len(parts) == 1 and not chosen.any():
        staged.rename(part_file(folder, parts[0]))
        return {parts[0]: len(chosen)}
    with pq.ParquetFile(staged) as file:
        writers = [_PartWriter(part_file(folder, part), file.schema_arrow) for part in parts]
        done = 0
        for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
            here = chosen[done : done + len(batch)]
            done += len(batch)
            for place, writer in enumerate(writers):
                writer.add(batch.filter(pa.array(here == place)))
    for writer in writers:
        writer.close()
    staged.unlink()
    return {part: writer.rows for part, writer in zip(parts, writers, strict=True)}


class _PartWriter:
    """Row groups of the same size as RowWriter's, so that equal rows give equal bytes."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = pq.ParquetWriter(path, schema, compression="zstd", compression_level=3)
        self._waiting = schema.empty_table()
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += len(batch)
        self._waiting = pa.concat_tables([self._waiting, pa.Table.from_batches([batch])])
        while len(self._waiting) >= ROWS_PER_GROUP:
            self._write(ROWS_PER_GROUP)

    def _write(self, rows: int) -> None:
        self._file.write_table(self._waiting.slice(0, rows).combine_chunks(), ROWS_PER_GROUP)
        self._waiting = self._waiting.slice(rows)

    def close(self) -> None:
        if len(self._waiting):
            self._write(len(self._waiting))
        self._file.close()
