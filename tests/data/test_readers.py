import gzip
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datasets.exceptions import DatasetNotFoundError

from align.data.readers import folder_files, read_rows
from align.errors import DataError

ROWS = [{"prompt": "Was ist größer?", "answer": "B"}, {"prompt": "zwei\nZeilen, mit Komma", "answer": "C"}]


def jsonl(rows=ROWS) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def values(location, **options):
    return [raw.values for raw in read_rows(location, **options)]


def fault(path, data: bytes, name: str) -> str:
    (path / name).write_bytes(data)
    with pytest.raises(DataError) as error:
        list(read_rows(path / name))
    return str(error.value)


CSV = 'prompt,answer\nWas ist größer?,B\n"zwei\nZeilen, mit Komma",C\n'.encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rows.jsonl", jsonl()),
        ("bom.jsonl", b"\xef\xbb\xbf" + jsonl()),
        ("rows.jsonl.gz", gzip.compress(jsonl())),
        ("two_members.jsonl.gz", gzip.compress(jsonl(ROWS[:1])) + gzip.compress(jsonl(ROWS[1:]))),
        ("rows.jsonl.zst", zstandard.ZstdCompressor().compress(jsonl())),
        ("rows.json", json.dumps(ROWS, indent=2).encode()),
        ("by_line.json", jsonl()),
        ("rows.csv", CSV),
        ("rows.csv.gz", gzip.compress(CSV)),
        ("rows.tsv", CSV.replace(b"prompt,", b"prompt\t").replace(b"?,B", b"?\tB").replace(b'",C', b'"\tC')),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # compressed bytes hold the time: no id may show them
)
def test_text_files_are_read(name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    assert values(tmp_path / name) == ROWS


def test_parquet_and_both_forms_of_arrow_are_read(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, tmp_path / "rows.parquet")
    for name, make in (("file.arrow", pa.ipc.new_file), ("stream.arrow", pa.ipc.new_stream)):
        with make(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
    for name in ("rows.parquet", "file.arrow", "stream.arrow"):
        assert values(tmp_path / name) == ROWS


def test_a_folder_that_datasets_saved_is_read(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    assert values(tmp_path / "saved") == ROWS


def test_blocks_of_a_txt_file_are_rows(tmp_path):
    (tmp_path / "general.txt").write_text("one\ntwo\n\n\n  three\n")
    assert values(tmp_path / "general.txt") == [{"text": "one\ntwo"}, {"text": "three"}]


def test_row_numbers_are_line_numbers(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n\n{"a": 2}\n')
    assert [raw.number for raw in read_rows(tmp_path / "rows.jsonl")] == [1, 3]


def test_reading_is_lazy(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n{broken\n')
    rows = read_rows(tmp_path / "rows.jsonl")
    assert next(iter(rows)).values == {"a": 1}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", jsonl() + b'{"prompt": "x"\n', r"a.jsonl, row 3: broken JSON: .* Repair or delete this line."),
        (
            "a.jsonl",
            b'{"a": 1}\n{"a": \n{"a": 3}\nno\n\n{"a": 6}}\n',
            r"row 2: broken JSON: .*; so are 2 more \(rows 4, 6\)\. .* Repair or delete these lines\.",
        ),
        ("a.jsonl", b"{\n{\n", r"row 1: .*; so is 1 more \(row 2\)\."),
        (
            "a.jsonl",
            '{"a": 1}\n'.encode("utf-16-le"),
            "row 1: it holds zero bytes, like text in UTF-16. Expected a text in UTF-8",
        ),
        ("a.jsonl", b"[1]\n", "row 1: the row is a JSON list. Expected an object"),
        ("a.jsonl", '{"a": "größer"}\n'.encode("latin-1"), r"row 1: byte 10 is not UTF-8.*iconv"),
        ("a.jsonl", '{"a": 1}\n'.encode("utf-16"), "UTF-16"),
        ("a.jsonl", b"", "the file is empty"),
        ("a.jsonl", b"\n\n", "the file holds no rows"),
        ("a.csv", b"prompt,answer\n", "the file holds no rows"),
        ("a.jsonl.gz", gzip.compress(jsonl() * 50)[:-20], "after row .*: the compressed file is broken off or damaged"),
        ("a.jsonl.zst", zstandard.ZstdCompressor().compress(jsonl() * 50)[:-9], "broken off or damaged"),
        ("a.jsonl.gz", jsonl(), "broken off or damaged"),
        ("a.json", b'[{"a": 1},\n {"a": 2},\n {"a": }]', "line 3: broken JSON"),
        (
            "a.json",
            b'{\n"data": [{"a": 1}], "version": 2}',
            "one JSON object with keys data, version. Expected a list of rows",
        ),
        ("a.json", b'[{"a": 1}, 2]', "row 2: the row is a JSON number"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "row 2: the row has 3 cells. Expected a row of 2, as in the header"),
        (
            "a.csv",
            b"prompt;answer\na;b\n",
            "header: the header is one column, 'prompt;answer': .* separated by ';'. Expected a ','",
        ),
        ("a.tsv", b"prompt,answer\na,b\n", "separated by ','"),
        ("a.csv", b"a,b\n1\n", "row 1: the row has 1 cells"),
        ("a.csv", b'a,b\n1,"2\n', "row 1: broken csv"),
        ("a.parquet", b"PAR1 no", "cannot be read as parquet"),
        ("a.arrow", b"ARROW1 no", "cannot be read as arrow"),
        ("a.xlsx", b"x", "ending .xlsx is not one of a file of rows"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(name, data, message, tmp_path):
    import re

    assert re.search(message, fault(tmp_path, data, name)), fault(tmp_path, data, name)


def test_a_missing_file_is_answered_with_its_neighbour(tmp_path):
    (tmp_path / "judged.jsonl.gz").write_bytes(gzip.compress(jsonl()))
    with pytest.raises(DataError, match=r"there is no such file.*Did you mean .*judged\.jsonl\.gz\?"):
        read_rows(tmp_path / "judge.jsonl.gz")


def folder_of(path, *names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(jsonl())
    return path


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    folder_of(tmp_path, "b.jsonl", "a.jsonl", "deep/c.jsonl")
    (tmp_path / "README.md").write_text("no rows")
    (tmp_path / "LICENSE.txt").write_text("no rows")
    assert [path.name for path in folder_files(tmp_path)] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert [raw.number for raw in read_rows(tmp_path)] == [1, 2] * 3


@pytest.mark.parametrize(
    "names",
    [
        ("train.jsonl", "test.jsonl"),
        ("pairs_train.jsonl", "pairs_validation.jsonl"),
        ("train/0.jsonl", "test/0.jsonl"),
        ("data/train_sft-00000-of-00002.jsonl", "data/test_sft-00000-of-00001.jsonl"),
    ],
)
def test_a_folder_of_several_splits_is_not_read_as_one(names, tmp_path):
    folder_of(tmp_path, *names)
    with pytest.raises(DataError, match=r"several splits: .*train.*Say split: train"):
        read_rows(tmp_path)
        list(read_rows(tmp_path))
    assert [p.relative_to(tmp_path).as_posix() for p in folder_files(tmp_path, "train")] == [names[0]]


def test_a_split_that_no_file_names_is_an_error(tmp_path):
    folder_of(tmp_path, "train.jsonl", "test.jsonl")
    with pytest.raises(DataError, match=r"no file belongs to split tran.*Did you mean train"):
        folder_files(tmp_path, "tran")


def test_formats_are_not_mixed_within_a_folder(tmp_path):
    folder_of(tmp_path, "a.jsonl", "b.csv")
    with pytest.raises(DataError, match=r"several formats: \.csv, \.jsonl"):
        folder_files(tmp_path)


def test_a_folder_without_rows_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no file of rows"):
        folder_files(tmp_path)


def hub_that(monkeypatch, answer):
    asked = {}

    def load_dataset(name, configuration=None, **options):
        asked.update(name=name, configuration=configuration, **options)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("align.data.readers.datasets.load_dataset", load_dataset)
    return asked


def test_a_hub_data_set_is_streamed_at_its_revision(monkeypatch):
    asked = hub_that(monkeypatch, datasets.Dataset.from_list(ROWS).to_iterable_dataset())
    assert values("org/set", split="train", revision="a" * 40, hub=True) == ROWS
    told = {"name": "org/set", "configuration": None, "split": "train", "revision": "a" * 40, "streaming": True}
    assert asked == told
    values("org/set", split="main/train", revision="a" * 40, hub=True)
    assert asked == told | {"configuration": "main"}


def test_several_splits_on_the_hub_have_to_be_chosen_from(monkeypatch):
    rows = datasets.Dataset.from_list(ROWS).to_iterable_dataset()
    hub_that(monkeypatch, datasets.IterableDatasetDict({"train": rows, "test": rows}))
    with pytest.raises(DataError, match="org/set: the data set has several splits: train, test"):
        values("org/set", hub=True)
    hub_that(monkeypatch, datasets.IterableDatasetDict({"train": rows}))
    assert values("org/set", hub=True) == ROWS


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DatasetNotFoundError("'org/set' doesn't exist"), "cannot be read: .*doesn't exist"),
        (ValueError("Config name is missing.\nPlease pick one among: ['main', 'other']"), "Say split: CONFIGURATION/SPLIT"),
        (ConnectionError("no route"), "cannot be read: no route.*download it and name the folder"),
        (ValueError('Unknown split "trian". Should be one of [\'test\', \'train\'].'), "Did you mean train?"),
    ],
)  # fmt: skip
def test_a_hub_that_does_not_answer_is_told(error, message, monkeypatch):
    hub_that(monkeypatch, error)
    with pytest.raises(DataError, match=message):
        values("org/set", split="trian", hub=True)
