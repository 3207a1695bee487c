"""One file of rows, streamed: jsonl, json, csv, tsv, txt, parquet or arrow; the text ones also as .gz or .zst.

What cannot be read is a DataError that names the file and the row. Row numbers count from 1; in jsonl they are line
numbers. A txt file has one `text` row for each block between blank lines.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from align.errors import DataError

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", ".arrow")
_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_BATCH = 1024
_BLOCK = 1 << 18  # bytes unpacked at once
_LOOKED_THROUGH, _LINES_TOLD = 1_000_000, 20  # lines behind a broken one: looked through for others, and told

Numbered = Iterator[tuple[int, dict[str, Any]]]


class RawRow(NamedTuple):
    """A row as found: `number` counts from 1 within `file`. `rows`: how many rows of the file it was gathered from."""

    file: str
    number: int
    values: dict[str, Any]
    rows: int = 1


def read_file(path: Path) -> Iterator[RawRow]:
    """Stream the rows of one file. Raises DataError where the file has none."""
    suffix = row_suffix(path)
    if suffix is None:
        raise DataError(
            str(path), f"the ending {path.suffix or '(none)'} is not one of a file of rows",
            f"Known are {', '.join(SUFFIXES)}, the text ones also with .gz or .zst", "Convert or rename the file.",
        )  # fmt: skip
    if path.stat().st_size == 0:
        raise DataError(str(path), "the file is empty", "At least one row is needed")
    number = 0
    for number, values in _READERS[suffix](path):
        yield RawRow(str(path), number, values)
    if number == 0:
        raise DataError(str(path), "the file holds no rows", "At least one row is needed")


def row_suffix(path: Path) -> str | None:
    """The format that a file's name speaks of, compression aside; None if it is no file of rows."""
    name = path.name.lower()
    plain = name.removesuffix(path.suffix.lower()) if path.suffix.lower() in _COMPRESSED else name
    suffix = Path(plain).suffix
    compressed_twice = suffix in (".parquet", ".arrow") and plain != name
    return suffix if suffix in SUFFIXES and not compressed_twice else None


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, its compression undone and its byte order mark taken off.

    Arrow unpacks: unlike Python's zstandard it does not take a broken-off file for a whole one.
    """
    number = 0
    packing = _COMPRESSED.get(path.suffix.lower())
    try:
        with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, packing) if packing else raw as stream:
            lines = io.BufferedReader(stream, _BLOCK)  # type: ignore[arg-type]
            first = lines.readline()
            if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise _encoding_error(path, 1, "the file begins like UTF-16")
            if first:
                number = 1
                yield first.removeprefix(b"\xef\xbb\xbf")
            for number, line in enumerate(lines, 2):  # noqa: B007 (told where the file is broken off)
                yield line
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}, after row {number:,}", f"the compressed file is broken off or damaged ({error})",
            "A whole file", "Copy or download it again.",
        ) from error  # fmt: skip


def _encoding_error(path: Path, number: int, found: str) -> DataError:
    remedy = f"Convert it: iconv -f ITS_ENCODING -t UTF-8 {path.name}"
    return DataError(f"{path}, row {number:,}", found, "A text in UTF-8", remedy)


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise _encoding_error(path, number, f"byte {fault.start + 1:,} is not UTF-8") from fault


def _object(value: Any, path: Path, number: int) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise DataError(
        f"{path}, row {number:,}", f"the row is a JSON {_json_name(value)}", "An object, with columns as keys"
    )


def _json_name(value: Any) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def _read_jsonl(path: Path) -> Numbered:
    return _json_lines(path, _lines(path))


def _json_lines(path: Path, lines: Iterator[bytes]) -> Numbered:
    for number, line in enumerate(lines, 1):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if line.isspace():
                continue
            raise _broken_line(path, number, line, error, lines) from error
        yield number, value if type(value) is dict else _object(value, path, number)


def _broken_line(
    path: Path, number: int, line: bytes, error: orjson.JSONDecodeError, rest: Iterator[bytes]
) -> DataError:
    """What is wrong with a line, and which of those behind it are broken too, so that all are repaired at once."""
    if b"\0" in line:
        return _encoding_error(path, number, "it holds zero bytes, like text in UTF-16")
    _decode(line, path, number)
    others = []
    with suppress(DataError):  # the file may be broken off, too
        others = [at for at, later in enumerate(islice(rest, _LOOKED_THROUGH), number + 1) if not _is_json(later)]
    also = ""
    if others:
        numbers = ", ".join(f"{at:,}" for at in others[:_LINES_TOLD]) + (" ..." if len(others) > _LINES_TOLD else "")
        also = (
            f"; so {'is' if len(others) == 1 else 'are'} {len(others):,} more (row{'s'[: len(others) > 1]} {numbers})"
        )
    remedy = "Repair or delete these lines." if others else "Repair or delete this line."
    return DataError(f"{path}, row {number:,}", f"broken JSON: {error}{also}", "One JSON object per line", remedy)


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return line.isspace()
    return True


def _read_json(path: Path) -> Numbered:
    """A list of rows; or one row per line, as in many files that are called .json."""
    lines = _lines(path)
    head = next(lines, b"")
    try:
        by_line = isinstance(orjson.loads(head), dict)
    except orjson.JSONDecodeError:
        by_line = False
    if by_line:
        yield from _json_lines(path, _chain(head, lines))
        return
    rows = _parse_whole(head + b"".join(lines), path)
    if not isinstance(rows, list):
        keys = f" with keys {', '.join(list(rows)[:5])}" if isinstance(rows, dict) else ""
        found = f"the file is one JSON {_json_name(rows)}{keys}"
        raise DataError(str(path), found, "A list of rows, or one row per line")
    for number, row in enumerate(rows, 1):
        yield number, _object(row, path, number)


def _chain(head: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from lines


def _parse_whole(text: bytes, path: Path) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        for number, line in enumerate(text.split(b"\n"), 1):
            _decode(line, path, number)
        remedy = "Repair it, or write one JSON object per line into a .jsonl file."
        raise DataError(
            f"{path}, line {error.lineno:,}", f"broken JSON: {error.msg}", "A list of rows", remedy
        ) from error


def _read_csv(path: Path) -> Numbered:
    csv.field_size_limit(sys.maxsize)
    lines = (_decode(line, path, number) for number, line in enumerate(_lines(path), 1))
    separator = "\t" if row_suffix(path) == ".tsv" else ","
    reader = csv.DictReader(lines, delimiter=separator, strict=True)
    number = 0
    try:
        (head, *others) = reader.fieldnames or ("",)
        if not others and (other := next((each for each in ";\t|," if each in head), None)):
            found = f"the header is one column, {head!r}: its cells seem to be separated by {other!r}"
            raise DataError(f"{path}, header", found, f"A {separator!r} between cells", "Write it so, or as .jsonl.")
        for number, row in enumerate(reader, 1):
            if None in row or None in row.values():
                width = len(reader.fieldnames or ())
                extra = row.get(None) or []
                cells = width + len(extra) - sum(value is None for value in row.values())
                raise DataError(
                    f"{path}, row {number:,}", f"the row has {cells} cells", f"A row of {width}, as in the header",
                    'Put cells that hold a comma, a quote or a line break between quotes ("...").',
                )  # fmt: skip
            yield number, dict(row)
    except csv.Error as error:
        raise DataError(f"{path}, row {number + 1:,}", f"broken csv: {error}", "A closing quote for each") from error


def _read_txt(path: Path) -> Numbered:
    block: list[str] = []
    number = 0
    for line_number, line in enumerate(_lines(path), 1):
        text = _decode(line, path, line_number)
        if text.strip():
            block.append(text)
        elif block:
            number += 1
            yield number, {"text": "".join(block).strip()}
            block = []
    if block:
        yield number + 1, {"text": "".join(block).strip()}


def _read_parquet(path: Path) -> Numbered:
    try:
        with pq.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=_BATCH)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
    except (pa.ArrowException, OSError) as error:
        raise _not_readable(path, "parquet", error) from error


def _read_arrow(path: Path) -> Numbered:
    """Both forms: the file with a footer, and the stream that `datasets` writes."""
    try:
        with pa.memory_map(str(path)) as source:
            has_footer = source.read(6) == b"ARROW1"
            source.seek(0)
            if has_footer:
                file = pa.ipc.open_file(source)
                batches = (file.get_batch(index) for index in range(file.num_record_batches))
            else:
                batches = iter(pa.ipc.open_stream(source))
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
    except (pa.ArrowException, OSError) as error:
        raise _not_readable(path, "arrow", error) from error


def _not_readable(path: Path, form: str, error: Exception) -> DataError:
    found = f"it cannot be read as {form}: {str(error).splitlines()[0]}"
    return DataError(str(path), found, "A whole file", "Copy or write it again.")


_READERS: dict[str, Callable[[Path], Numbered]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_txt,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
}
