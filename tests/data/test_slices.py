from __future__ import annotations

from pathlib import Path

from align.data.slices import MOST, counted
from align.data.store_rows import RowWriter


def write(folder: Path, rows: dict[str, list[dict[str, str]]]) -> None:
    with RowWriter(folder, "text", list(rows)) as writer:
        for part, told in rows.items():
            for row in told:
                writer.write(part, {"text": "words", **row})


def test_slices_and_axes_are_counted_by_part(tmp_path: Path) -> None:
    write(tmp_path, {"train": [{"slice": "near"}, {"slice": "near", "axis": "a/b"}, {}], "holdout": [{}]})
    assert counted(tmp_path, ["train", "holdout"]) == {
        "slices/train": 1, "slices/train/near": 2, "axes/train": 1, "axes/train/a/b": 1,
        "slices/holdout": 0, "axes/holdout": 0,
    }  # fmt: skip


def test_of_very_many_slices_only_the_number_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"train": [{"slice": str(number)} for number in range(MOST + 1)]})
    assert counted(tmp_path, ["train"]) == {"slices/train": MOST + 1, "axes/train": 0}
