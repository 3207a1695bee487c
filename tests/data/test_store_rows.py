import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align.data.store_rows import ROWS_PER_GROUP, RowWriter, arrow_schema, part_file, read_rows
from align.errors import ArtifactError, DataError
from align.schema import ROW_TYPES, load_schema

USER = {"role": "user", "content": "a"}
ANSWER = {"role": "assistant", "content": "b"}


def stored(folder, row_type, rows):
    with RowWriter(folder, row_type) as writer:
        for row in rows:
            writer.write("train", row)
    return [part_file(folder, "train")]


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_rows_come_back_as_they_went_in(row_type, tmp_path):
    rows = load_schema(row_type)["examples"]
    files = stored(tmp_path, row_type, rows)
    assert list(read_rows(files, row_type)) == rows


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_the_columns_are_the_fields_of_the_schema(row_type):
    assert set(arrow_schema(row_type).names) == set(load_schema(row_type)["properties"])


TEXT = st.text(min_size=1, max_size=8).filter(str.strip)
OPTIONAL = st.fixed_dictionaries({}, optional={"id": TEXT, "weight": st.floats(0.1, 9), "slice": TEXT, "axis": TEXT})
TURN = st.fixed_dictionaries({"role": st.just("assistant"), "content": TEXT}, optional={"train": st.booleans()})


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(TURN, OPTIONAL), min_size=1, max_size=5))
def test_optional_fields_are_absent_and_not_null_when_read(rows, tmp_path_factory):
    rows = [{"messages": [USER, turn], **optional} for turn, optional in rows]
    assert list(read_rows(stored(tmp_path_factory.mktemp("rows"), "messages", rows), "messages")) == rows


def test_equal_rows_give_equal_bytes(tmp_path):
    rows = [{"prompt": [USER], "chosen": [ANSWER], "rejected": [{**ANSWER, "content": f"{n}"}]} for n in range(50)]
    hashes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        hashes.append(hashlib.sha256(stored(tmp_path / name, "preference", rows)[0].read_bytes()).hexdigest())
    assert hashes[0] == hashes[1]


def test_rows_are_written_in_groups_and_keep_their_order(tmp_path):
    rows = [{"text": f"line {n}"} for n in range(2 * ROWS_PER_GROUP + 3)]
    files = stored(tmp_path, "text", rows)
    assert pq.ParquetFile(files[0]).metadata.num_row_groups == 3
    assert list(read_rows(files, "text")) == rows


def test_a_field_that_only_a_later_group_has_is_read(tmp_path):
    rows = [{"text": "a"}] * ROWS_PER_GROUP + [{"text": "b", "source": "late"}]
    assert list(read_rows(stored(tmp_path, "text", rows), "text")) == rows


def test_parts_go_to_files_of_their_own(tmp_path):
    with RowWriter(tmp_path, "text", ("train", "holdout")) as writer:
        writer.write("train", {"text": "a"})
        writer.write("holdout", {"text": "b"})
        writer.write("train", {"text": "c"})
    assert writer.counts == {"train": 2, "holdout": 1}
    assert list(read_rows([tmp_path / "rows-holdout.parquet"], "text")) == [{"text": "b"}]


def test_a_broken_row_does_not_enter(tmp_path):
    with pytest.raises(DataError, match=r"row 2: field text is empty"):
        stored(tmp_path, "text", [{"text": "a"}, {"text": ""}])


def test_a_broken_row_does_not_leave(tmp_path):
    path = part_file(tmp_path, "train")
    table = pa.Table.from_pylist([{"text": "a"}, {"text": " "}], schema=arrow_schema("text"))
    pq.write_table(table, path)
    with pytest.raises(ArtifactError, match=r"row 2: field text is empty"):
        list(read_rows([path], "text"))


def test_preference_rows_are_read_as_prompts(tmp_path):
    row = {"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER], "margin": 1.0, "slice": "near"}
    files = stored(tmp_path, "preference", [row])
    assert list(read_rows(files, "preference", as_type="prompt")) == [
        {"prompt": [USER], "reference": "b", "slice": "near"}
    ]


def test_what_a_prompt_brings_along_is_read_as_it_was_written(tmp_path):
    meta = {"instruction_id_list": ["length:words"], "kwargs": [{"n": 3, "word": None}], "näme": [1.5, True, "ü\n"]}
    rows = [{"prompt": [USER], "meta": meta, "reference": "#### 7"}, {"prompt": [USER]}]
    assert list(read_rows(stored(tmp_path, "prompt", rows), "prompt")) == rows


def test_conversations_are_read_as_prompts_and_keep_their_last_answer_as_reference(tmp_path):
    files = stored(tmp_path, "messages", [{"messages": [USER, ANSWER, USER, ANSWER], "id": "7"}])
    assert list(read_rows(files, "messages", as_type="prompt")) == [
        {"prompt": [USER, ANSWER, USER], "reference": "b", "id": "7"}
    ]


def test_no_other_cast_happens(tmp_path):
    with pytest.raises(DataError, match="text rows cannot be used as prompt rows"):
        list(read_rows(stored(tmp_path, "text", [{"text": "a"}]), "text", as_type="prompt"))


def test_datasets_reads_the_files_as_they_are(tmp_path):
    import datasets

    rows = [{"messages": [USER, ANSWER]}]
    stored(tmp_path, "messages", rows)
    found = datasets.Dataset.from_parquet(str(part_file(tmp_path, "train")), cache_dir=str(tmp_path / "cache"))
    assert found[0]["messages"][1]["content"] == "b"


def test_a_ranking_is_read_as_all_its_pairs_one_after_another(tmp_path):
    with RowWriter(tmp_path, "ranking") as writer:
        writer.write("train", {**load_schema("ranking")["examples"][0], "source": "judge"})
    pairs = list(read_rows([part_file(tmp_path, "train")], "ranking", as_type="preference"))
    assert [(p["chosen"][0]["content"], p["rejected"][0]["content"]) for p in pairs] == [
        ("Music from Detroit.", "Music."),
        ("Music from Detroit.", "A fish."),
    ]
    assert all(pair["source"] == "judge" for pair in pairs)


@pytest.mark.parametrize("row_type", ["unpaired_preference", "ranking", "scored_generation"])
def test_rows_with_answers_are_read_as_prompts(row_type, tmp_path):
    rows = load_schema(row_type)["examples"]
    with RowWriter(tmp_path, row_type) as writer:
        for row in rows:
            writer.write("train", row)
    read = list(read_rows([part_file(tmp_path, "train")], row_type, as_type="prompt"))
    assert [row["prompt"] for row in read] == [row["prompt"] for row in rows]
    references = {"unpaired_preference": ["Music from Detroit.", None], "ranking": ["Music from Detroit."]}
    assert [row.get("reference") for row in read] == references.get(row_type, [None] * len(rows))


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_an_artifact_is_a_source_like_others_and_loses_nothing(row_type, tmp_path):
    from align.data.formats import detect
    from align.data.readers import read_rows as read_source

    examples = load_schema(row_type)["examples"]
    with RowWriter(tmp_path, row_type) as writer:
        for row in examples:
            writer.write("train", row)
    for name in ("manifest.json", "metrics.json", "report.json", "README.md", "log.txt", "metrics.jsonl"):
        (tmp_path / name).write_text("{}")
    raws = [raw.values for raw in read_source(tmp_path)]
    found = detect(raws, row_type)
    assert [row for raw in raws for row in found.rows(raw)] == examples
    assert not found.unused
