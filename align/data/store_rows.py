"""Canonical rows in parquet: how a stage writes them and the next one reads them.

    with RowWriter(out, "preference", ["train", "holdout"]) as writer:
        writer.write("train", row)
    for row in read_rows(inputs.rows("data").files, "preference", as_type="prompt"): ...

Equal rows in equal order give equal bytes. Rows are checked against their schema when they enter and when they leave.
Optional fields that a row does not have are absent again when it is read, not null. A row that is cast to a prompt keeps its
answer (the last turn, the chosen one) as `reference`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from align.data.comparisons import Judged, pairs_of
from align.errors import ArtifactError, DataError
from align.schema import COMMON_FIELDS, row_problem

Row = dict[str, Any]

ROWS_PER_GROUP = 4096
ROWS_PER_BATCH = 256
CHARACTERS_PER_GROUP = 64 << 20  # a group is ended by so many, too

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("train", pa.bool_())]))
_ANSWER_LISTS = pa.list_(_MESSAGES)
_COMMON = [
    ("id", pa.string()),
    ("source", pa.string()),
    ("weight", pa.float64()),
    ("slice", pa.string()),
    ("axis", pa.string()),
]
_FIELDS: dict[str, list[tuple[str, pa.DataType]]] = {
    "text": [("text", pa.string())],
    "tokens": [("input_ids", pa.list_(pa.int32())), ("completion_mask", pa.list_(pa.int8()))],
    "messages": [("messages", _MESSAGES)],
    "prompt": [("prompt", _MESSAGES), ("reference", pa.string()), ("meta", pa.string())],  # meta is JSON text
    "preference": [
        ("prompt", _MESSAGES),
        ("chosen", _MESSAGES),
        ("rejected", _MESSAGES),
        ("margin", pa.float64()),
        ("ranking", pa.string()),
    ],
    "unpaired_preference": [("prompt", _MESSAGES), ("completion", _MESSAGES), ("label", pa.bool_())],
    "ranking": [("prompt", _MESSAGES), ("completions", _ANSWER_LISTS), ("ranks", pa.list_(pa.int64()))],
    "scored_generation": [("prompt", _MESSAGES), ("completion", _MESSAGES), ("score", pa.float64())],
}
_OPTIONAL = ("margin", "ranking", "reference", "meta", "completion_mask")  # beside the common ones


def arrow_schema(row_type: str) -> pa.Schema:
    """The columns of a row type's parquet file; all optional fields are there, null where a row lacks them."""
    return pa.schema(_FIELDS[row_type] + _COMMON)


def part_file(folder: Path, part: str) -> Path:
    """Where a part of an artifact's rows lies."""
    return folder / f"rows-{part}.parquet"


class RowWriter:
    """Writes rows to one parquet file per part, a row group at a time; `counts` says how many each part has."""

    def __init__(self, folder: Path, row_type: str, parts: Sequence[str] = ("train",)) -> None:
        self.row_type = row_type
        self.counts = dict.fromkeys(parts, 0)
        self._schema = arrow_schema(row_type)
        self._waiting: dict[str, list[Mapping[str, Any]]] = {part: [] for part in parts}
        self._batches: dict[str, list[pa.RecordBatch]] = {part: [] for part in parts}
        self._sizes = dict.fromkeys(parts, 0)
        self._writing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "rows")
        self._files = {
            part: pq.ParquetWriter(part_file(folder, part), self._schema, compression="zstd", compression_level=3)
            for part in parts
        }

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            for part in self._files if kind is None else ():
                if self._waiting[part]:
                    self._pack(part)
                self._flush(part)
            self._wait()
        finally:
            self._thread.shutdown()
            for file in self._files.values():
                file.close()

    def write(self, part: str, row: Mapping[str, Any]) -> None:
        """Add a row. Raises DataError where it is not of the type."""
        problem = row_problem(self.row_type, row, f"rows-{part}", self.counts[part] + 1)
        if problem is not None:
            raise DataError(f"{problem.where}, row {problem.row:,}", problem.message)
        self.add(part, row)

    def add(self, part: str, row: Mapping[str, Any], size: int = 0) -> None:
        """Add a row that was checked already, of `size` characters; it must not be changed afterwards."""
        self.counts[part] += 1
        self._sizes[part] += size
        waiting = self._waiting[part]
        waiting.append(row)
        full = self._sizes[part] >= CHARACTERS_PER_GROUP
        if len(waiting) >= ROWS_PER_BATCH or full:
            self._pack(part)
            if full or len(self._batches[part]) * ROWS_PER_BATCH >= ROWS_PER_GROUP:
                self._flush(part)

    def _pack(self, part: str) -> None:
        """Rows become Arrow's columns while they are still in the processor's cache, which is several times as fast."""
        rows = self._waiting[part]
        arrays = [_column([row.get(field.name) for row in rows], field) for field in self._schema]
        self._batches[part].append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        rows.clear()

    def _flush(self, part: str) -> None:
        """A row group goes to disk, while the next one is made."""
        batches = self._batches[part]
        if batches:
            table = pa.Table.from_batches(batches)
            batches.clear()
            self._sizes[part] = 0
            self._wait()
            self._writing = self._thread.submit(self._files[part].write_table, table, ROWS_PER_GROUP)

    def _wait(self) -> None:
        """Until the group before is on disk: at most one waits, so that memory does not grow."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    """Arrow's column of plain values; conversations in one go, which is several times as fast as turn by turn."""
    if field.name == "meta":
        values = [None if v is None else json.dumps(v, sort_keys=True, ensure_ascii=False) for v in values]
    if field.type == _MESSAGES:
        return _conversations(values)
    if field.type == _ANSWER_LISTS:
        return pa.ListArray.from_arrays(
            _offsets(values), _conversations([c for each in values for c in each]), type=field.type
        )
    return pa.array(values, field.type)


def _conversations(values: list[list[Row]]) -> pa.Array:
    turns = [turn for messages in values for turn in messages]
    flags = [turn.get("train") for turn in turns] if turns and max(map(len, turns)) > 2 else None
    columns = [
        pa.array([turn["role"] for turn in turns], pa.string()),
        pa.array([turn["content"] for turn in turns], pa.string()),
        pa.array(flags, pa.bool_()) if flags else pa.nulls(len(turns), pa.bool_()),
    ]
    turn_array = pa.StructArray.from_arrays(columns, fields=list(_MESSAGES.value_type))
    return pa.ListArray.from_arrays(_offsets(values), turn_array, type=_MESSAGES)


def _offsets(values: list[list[Any]]) -> pa.Array:
    return pa.array([0, *accumulate(map(len, values))], pa.int32())


def read_rows(files: Sequence[Path], row_type: str, as_type: str | None = None) -> Iterator[Row]:
    """Rows of sealed parquet files, in order; `as_type` casts them on the way: to prompts, or a ranking to preference."""
    convert = cast(row_type, as_type or row_type)
    for path in files:
        for number, row in enumerate(_read_file(path), 1):
            problem = row_problem(row_type, row, str(path), number)
            if problem is not None:
                raise ArtifactError(f"{path}, row {number:,}", problem.message, f"It was sealed as {row_type} rows")
            yield from convert(row)


def cast(row_type: str, as_type: str) -> Callable[[Row], list[Row]]:
    """The rows of one type that a row of another gives. Raises DataError where there is no such cast."""
    if row_type == as_type:
        return lambda row: [row]
    if (row_type, as_type) == ("ranking", "preference"):
        return _ranking_to_pairs
    if as_type != "prompt" or row_type not in _ANSWER_OF:
        raise DataError(
            "", f"{row_type} rows cannot be used as {as_type} rows",
            f"{', '.join(_ANSWER_OF)} become prompts, ranking becomes preference",
        )  # fmt: skip
    return lambda row: [_to_prompt(row, _ANSWER_OF[row_type](row))]


_ANSWER_OF: dict[str, Callable[[Row], str | None]] = {
    "preference": lambda row: row["chosen"][0]["content"],
    "messages": lambda row: row["messages"][-1]["content"],
    "unpaired_preference": lambda row: row["completion"][0]["content"] if row["label"] else None,
    "ranking": lambda row: row["completions"][row["ranks"].index(min(row["ranks"]))][0]["content"],
    "scored_generation": lambda row: None,  # whether the score is a good one is not known
}


def _to_prompt(row: Row, answer: str | None) -> Row:
    prompt = row["prompt"] if "prompt" in row else row["messages"][:-1]
    return {"prompt": prompt, **({"reference": answer} if answer else {}), **_common(row)}


def _ranking_to_pairs(row: Row) -> list[Row]:
    """All pairs of a prompt, one after another; ties are none."""
    judged = Judged(row["prompt"], row["completions"], [-rank for rank in row["ranks"]])
    return [{**pair, **_common(row)} for pair in pairs_of(judged).rows]


def _common(row: Row) -> Row:
    return {name: row[name] for name in COMMON_FIELDS if name in row}


def _read_file(path: Path) -> Iterator[Row]:
    """Columns that hold only nulls are not read at all; nulls are taken out of the rows of the others."""
    with pq.ParquetFile(path) as file:
        empty = _null_columns(file.metadata)
        columns = [name for name in _leaves(file) if name not in empty]
        fields = {name.split(".")[0] for name in columns}
        optional = [name for name in (*COMMON_FIELDS, *_OPTIONAL) if name in fields]
        flagged = sorted({name.split(".")[0] for name in columns if name.endswith(".train")})
        for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=columns):
            for row in batch.to_pylist():
                for name in optional:
                    if row[name] is None:
                        del row[name]
                for name in flagged:
                    row[name] = _without_null_flags(row[name])
                yield _with_meta(row, json.loads)


def _with_meta(row: Mapping[str, Any], change: Callable[[Any], Any]) -> Row:
    """The row with its `meta`, where it has one, as JSON text or as an object again."""
    return {**row, "meta": change(row["meta"])} if "meta" in row else dict(row)


def _leaves(file: pq.ParquetFile) -> list[str]:
    return [file.schema.column(index).path for index in range(len(file.schema))]


def _null_columns(metadata: pq.FileMetaData) -> set[str]:
    """Leaf columns without a single value."""
    values: dict[str, int] = {}
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            present = column.statistics.num_values if column.is_stats_set else 1
            values[column.path_in_schema] = values.get(column.path_in_schema, 0) + present
    return {path for path, present in values.items() if present == 0}


def _without_null_flags(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_null_flags(item) for item in value]
    return {name: item for name, item in value.items() if item is not None}
