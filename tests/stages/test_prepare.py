import json
from pathlib import Path

import pytest

from align import quickstart
from align.artifact.inputs import Inputs, SourceInput
from align.data.split import split_key
from align.data.store_rows import RowWriter, read_rows
from align.errors import DataError, Stopped
from align.schema import ROW_TYPES, load_schema
from align.specs.prepare import PrepareSpec
from align.stages.prepare import run


class Told:
    """The face of the tracker that prepare sees."""

    def __init__(self, stop: bool = False) -> None:
        self.notes: list[str] = []
        self.done: list[tuple[int, int]] = []
        self.stop_requested = stop

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def progress(self, done: int, total: int, **telling: float) -> None:
        self.done.append((done, total))


@pytest.fixture
def prepare(tmp_path):
    """Prepares rows (or a source) and gives metrics, what was told, and the rows by part."""

    def prepared(rows, source_kind="file", tracker=None, name="out", **settings):
        path, out = tmp_path / "rows.jsonl", tmp_path / name
        out.mkdir()
        if source_kind == "file":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        location = str(path) if source_kind == "file" else rows
        spec = PrepareSpec(source="data/rows.jsonl", **settings)
        tracker = tracker or Told()
        source = SourceInput(source_kind, location, spec.split, spec.revision, "d")
        metrics = run(spec, Inputs({"source": source}, tmp_path), out, tracker)  # type: ignore[arg-type]
        parts = {
            p.stem.removeprefix("rows-"): list(read_rows([p], spec.as_)) for p in sorted(out.glob("rows-*.parquet"))
        }
        return metrics, tracker, parts

    return prepared


def pair(n: int, **change) -> dict:
    return {"prompt": f"question {n}", "chosen": f"good {n}", "rejected": "bad", **change}


def test_rows_are_converted_and_told(prepare):
    metrics, told, parts = prepare([pair(n, judge="gpt") for n in range(3)], **{"as": "preference"})
    assert metrics.items() >= {"rows/read": 3, "rows/kept": 3, "rows/dropped": 0, "rows/train": 3}.items()
    assert parts["train"][2]["chosen"] == [{"role": "assistant", "content": "good 2"}]
    assert told.notes == [
        "detected: preference pairs: prompt, chosen and rejected as text",
        "columns not used: judge (3 rows)",
    ]


def test_no_prompt_stands_on_both_sides_of_the_split(prepare):
    rows = [pair(n % 60) for n in range(180)]
    metrics, _, parts = prepare(rows, **{"as": "preference"}, holdout=0.3)
    sides = {part: {split_key(row) for row in rows} for part, rows in parts.items()}
    assert sides["train"] and sides["holdout"] and not sides["train"] & sides["holdout"]
    assert metrics["rows/train"] + metrics["rows/holdout"] == 180


def test_new_rows_and_another_order_move_no_row(prepare):
    rows = [pair(n) for n in range(100)]
    before = prepare(rows, name="a", **{"as": "preference"}, holdout=0.2)[2]["holdout"]
    after = prepare([pair(n) for n in range(200, 240)] + rows[::-1], name="b", **{"as": "preference"}, holdout=0.2)[2][
        "holdout"
    ]
    assert [row for row in after if row in before] == before[::-1]


def test_another_split_seed_sets_other_rows_aside(prepare):
    rows = [pair(n) for n in range(100)]
    one = prepare(rows, name="a", **{"as": "preference"}, holdout=0.2)[2]["holdout"]
    other = prepare(rows, name="b", **{"as": "preference"}, holdout=0.2, split_seed=1)[2]["holdout"]
    assert one != other


def test_the_same_source_gives_the_same_bytes(prepare, tmp_path):
    for name in ("a", "b"):
        prepare([pair(n) for n in range(50)], name=name, **{"as": "preference"}, holdout=0.2)
    for part in ("train", "holdout"):
        one, other = (Path(tmp_path / name / f"rows-{part}.parquet").read_bytes() for name in ("a", "b"))
        assert one == other


def test_bad_rows_within_the_budget_are_dropped_and_counted_by_reason(prepare):
    rows = [pair(n) for n in range(98)] + [pair(98, rejected=" "), pair(99, prompt=None)]
    metrics, told, parts = prepare(rows, **{"as": "preference"}, drop_budget=0.02)
    assert metrics["rows/read"] == 100 == metrics["rows/kept"] + metrics["rows/dropped"]
    assert metrics["dropped/rejected_empty"] == metrics["dropped/prompt_missing"] == 1
    assert len(parts["train"]) == 98
    assert (
        "dropped 1 of 100 rows (row 99): field rejected is empty. A preference row needs two non-empty answers."
        in told.notes
    )


def test_bad_rows_over_the_budget_stop_the_step_and_say_how_to_go_on(prepare):
    rows = [pair(n, rejected="" if n % 100 == 7 else "bad") for n in range(1000)] + [{"prompt": "x"}]
    with pytest.raises(DataError) as error:
        prepare(rows, **{"as": "preference"})
    message = str(error.value)
    assert "rows.jsonl, row 8: field rejected is empty. A preference row needs two non-empty answers." in message
    assert "10 of 1,001 rows have this (rows 8, 108, 208, 308, 408 ...)" in message
    assert (
        "With other reasons, chosen_missing 1 (row 1,001), that makes 11 rows: 1.1 %, over the budget of 0.1 %"
        in message
    )
    assert "drop_budget: 0.02" in message


def test_the_budget_is_a_share_and_may_be_met_exactly(prepare):
    rows = [pair(n, rejected="" if n < 5 else "bad") for n in range(100)]
    assert prepare(rows, name="a", **{"as": "preference"}, drop_budget=0.05)[0]["rows/dropped"] == 5
    with pytest.raises(DataError):
        prepare(rows, name="b", **{"as": "preference"}, drop_budget=0.049)


def test_a_source_whose_first_rows_are_broken_is_still_detected(prepare):
    rows = [{"prompt": "x"}, *[pair(n) for n in range(40)]]
    assert prepare(rows, **{"as": "preference"}, drop_budget=0.05)[0]["rows/train"] == 40


def test_nothing_left_is_an_error(prepare):
    with pytest.raises(DataError, match="none of its 2 rows is left"):
        prepare([{"text": " "}] * 2, **{"as": "text"}, drop_budget=1.0)


def test_an_empty_holdout_is_an_error(prepare):
    with pytest.raises(DataError, match="no prompt fell into holdout: all 5 rows are in train"):
        prepare([{"text": f"t{n}"} for n in range(5)], **{"as": "text"}, holdout=0.0001)
    with pytest.raises(DataError, match="no prompt fell into train"):
        prepare([{"text": f"t{n}"} for n in range(5)], name="b", **{"as": "text"}, holdout=0.9999)


def test_an_empty_file_is_an_error(prepare):
    with pytest.raises(DataError, match="the file is empty"):
        prepare([], **{"as": "text"})


def test_broken_json_stops_the_step_whatever_the_budget(prepare, tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(DataError, match="row 2: broken JSON"):
        prepare(str(tmp_path / "broken.jsonl"), source_kind="any", **{"as": "text"}, drop_budget=1.0)


def test_a_limit_reads_only_so_many_rows(prepare):
    metrics, told, _ = prepare([{"text": f"{n}"} for n in range(100)], **{"as": "text"}, limit=30)
    assert metrics["rows/read"] == 30
    assert told.done[-1] == (30, 30)


def test_columns_are_mapped(prepare):
    rows = [{"question": "2+2?", "answer": "4"}]
    _, _, parts = prepare(rows, **{"as": "messages"}, columns={"prompt": "question", "completion": "answer"})
    assert [message["content"] for message in parts["train"][0]["messages"]] == ["2+2?", "4"]


@pytest.mark.parametrize("name", quickstart.SOURCES)
def test_the_bundled_world_is_prepared_without_a_loss(prepare, name):
    metrics, _, parts = prepare(name, source_kind="quickstart", **{"as": quickstart.row_type(name)}, limit=300)
    assert metrics["rows/dropped"] == 0
    expected = [row for row, _ in zip(quickstart.rows(name), range(300), strict=False)]
    assert parts["train"] == expected


def test_a_stop_is_heard_between_rows(prepare):
    with pytest.raises(Stopped):
        prepare([{"text": f"{n}"} for n in range(5000)], **{"as": "text"}, tracker=Told(stop=True))


def report_of(tmp_path: Path, name: str = "out") -> dict:
    return json.loads((tmp_path / name / "report.json").read_text())


def test_every_row_read_is_kept_or_dropped_for_a_reason_that_is_written_down(prepare, tmp_path):
    rows = [pair(n, source="a") for n in range(8)] + [pair(8, chosen="bad", source="b"), {"prompt": "x", "source": "b"}]
    metrics, told, _ = prepare(rows, **{"as": "preference"}, drop_budget=0.2)
    report = report_of(tmp_path)
    assert report["rows"] == {
        "read": 10, "joined": 0, "expanded": 0, "ties": 0, "kept": 8, "dropped": 2, "train": 8,
    }  # fmt: skip
    assert report["dropped"]["identical_sides"] == {
        "rows": 1, "asked": False,
        "examples": [[9, "rows.jsonl", "the row has two identical answers: nothing can be learnt from it."]],
    }  # fmt: skip
    assert report["dropped"]["chosen_missing"]["examples"][0][0] == 10
    assert report["sources"]["b"] == {"rows": 0, "share": 0.0, "characters": 0.0, "dropped": 2}
    assert metrics["dropped/identical_sides"] == 1
    assert any(
        note.startswith("dropped 1 of 10 rows (row 9): the row has two identical answers") for note in told.notes
    )


def test_identical_sides_count_against_the_budget_and_filtered_rows_do_not(prepare):
    rows = [pair(n, chosen="bad " if n == 3 else "good " * (n + 1)) for n in range(50)]
    with pytest.raises(DataError, match="row 4: the row has two identical answers"):
        prepare(rows, name="a", **{"as": "preference"})
    rows[3] = pair(3)
    metrics, _, parts = prepare(
        rows, name="b", **{"as": "preference"}, filters={"length": {"of": "answer", "unit": "words", "max": 40}}
    )
    assert metrics["dropped/length_answer_long"] == 10
    assert len(parts["train"]) == 40


def test_rows_expanded_and_joined_add_up(prepare):
    rows = [
        {"prompt": f"q{n}", "completions": ["a", "b", "c"], "ranks": [1, 2, 2] if n else [1, 1, 1]} for n in range(5)
    ]
    metrics, told, parts = prepare(rows, **{"as": "preference"}, drop_budget=0.5)
    assert (metrics["rows/read"], metrics["rows/expanded"], metrics["rows/kept"], metrics["dropped/only_ties"]) == (
        5,
        4,
        8,
        1,
    )
    assert metrics["rows/ties"] == 7
    assert [row["prompt"][0]["content"] for row in parts["train"]] == [f"q{n}" for n in range(1, 5) for _ in range(2)]
    assert "7 pairs left out: both answers were judged alike" in told.notes


def test_the_report_and_its_card_are_the_same_wherever_the_rows_lie(prepare, tmp_path):
    for name in ("a", "b"):
        prepare([pair(n % 40, id=str(n % 30)) for n in range(50)], name=name, **{"as": "preference"}, holdout=0.2)
    assert (tmp_path / "a" / "report.json").read_bytes() == (tmp_path / "b" / "report.json").read_bytes()
    assert str(tmp_path) not in (tmp_path / "a" / "report.json").read_text()
    card = (tmp_path / "a" / "README.md").read_text()
    assert "# 50 preference rows" in card and "read 50, dropped 0, kept 50 (train" in card
    assert "20 rows have an id that came before (row 31 that of row 1" in card


def test_datasets_and_pandas_read_what_was_prepared_as_it_is(prepare, tmp_path):
    import datasets
    import pandas

    _, _, parts = prepare([pair(n) for n in range(50)], **{"as": "preference"}, holdout=0.2)
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {part: len(rows) for part, rows in found.items()} == {part: len(rows) for part, rows in parts.items()}
    assert found["train"][0]["chosen"][0]["content"] == parts["train"][0]["chosen"][0]["content"]
    frame = pandas.read_parquet(tmp_path / "out" / "rows-holdout.parquet")
    assert list(frame["chosen"].map(lambda turns: turns[0]["content"])) == [
        row["chosen"][0]["content"] for row in parts["holdout"]
    ]


def test_duckdb_reads_what_was_prepared_as_it_is(prepare, tmp_path):
    import duckdb

    ranked = {"prompt": "question", "completions": ["good", "fair", "bad"], "ranks": [1, 2, 2]}
    _, _, parts = prepare([ranked, ranked | {"prompt": "another"}], **{"as": "preference"})
    with duckdb.connect() as database:
        files = str(tmp_path / "out" / "rows-*.parquet")
        found = database.execute(
            f"select prompt[1].content, chosen[1]['role'], rejected[-1].content, margin, ranking from '{files}'"
        ).fetchall()
        counted = database.execute(f"select ranking, count(*) from '{files}' group by all order by all").fetchall()
    said = [(row["prompt"][0]["content"], row["rejected"][0]["content"], row["ranking"]) for row in parts["train"]]
    assert [(prompt, rejected, ranking) for prompt, _, rejected, _, ranking in found] == said
    assert {(role, margin) for _, role, _, margin, _ in found} == {("assistant", None)}
    assert [count for _, count in counted] == [2, 2]


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_duckdb_reads_rows_of_every_type(tmp_path, row_type):
    """The examples of a row type's schema come back with their values; what a row does not have is null."""
    import duckdb

    examples = load_schema(row_type)["examples"]
    with RowWriter(tmp_path, row_type) as writer:
        for row in examples:
            writer.write("train", row)
    with duckdb.connect() as database:
        rows = database.execute(f"select * from '{tmp_path / 'rows-train.parquet'}'")
        names = [column[0] for column in rows.description]
        found = [dict(zip(names, values, strict=True)) for values in rows.fetchall()]
    assert len(found) == len(examples) > 0
    for row, example in zip(found, examples, strict=True):
        plain = {name: json.loads(row[name]) if name == "meta" and row[name] else row[name] for name in row}
        assert _without_nulls(plain) == example


def _without_nulls(value):
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def test_health_of_preferences_is_measured_and_told(prepare):
    rows = [pair(n, chosen="a longer answer") for n in range(60)]
    rows += [pair(1, chosen="bad", rejected="a longer answer"), pair(2, chosen="a longer answer")]
    metrics, told, _ = prepare(rows, **{"as": "preference"})
    assert metrics["health/contradictory"] == 2
    assert metrics["health/chosen_longer"] == pytest.approx(61 / 62, abs=1e-4)
    assert metrics["health/label_noise"] == 0.5  # one of two repeated judgements disagrees
    assert any("contradict another one on the same two answers (rows 2 and 61)" in note for note in told.notes)
    assert any("models will learn length" in note for note in told.notes)


def test_a_weight_is_refused_until_the_recipe_says_what_to_make_of_it(prepare):
    rows = [{"text": f"t{n}", "weight": 1} for n in range(4)] + [
        {"text": "heavy", "weight": 2.5},
        {"text": "light", "weight": 0.25},
    ]
    with pytest.raises(
        DataError, match=r"row 5: the row has weight 2.5, which training would not use.*weights: resample"
    ):
        prepare(rows, name="a", **{"as": "text"})
    _, _, parts = prepare(rows, name="b", **{"as": "text"}, weights="ignore")
    assert len(parts["train"]) == 6 and not any("weight" in row for row in parts["train"])
    many = [{"text": f"t{n}", "weight": 2.5} for n in range(400)] + [
        {"text": f"u{n}", "weight": 0.25} for n in range(400)
    ]
    metrics, _, parts = prepare(many, name="c", **{"as": "text"}, weights="resample")
    heavy = sum(row["text"].startswith("t") for row in parts["train"])
    assert heavy == pytest.approx(1000, abs=40)  # 2.5 copies a row, give or take 4 deviations
    assert len(parts["train"]) - heavy == pytest.approx(100, abs=36)
    assert metrics["rows/read"] + metrics["rows/expanded"] == metrics["rows/kept"] + metrics["rows/dropped"]


def test_the_copies_that_a_weight_asks_for_are_no_duplicates_and_no_second_judgements(prepare, tmp_path):
    rows = [{**pair(n), "weight": 3} for n in range(20)] + [{**pair(1), "weight": 1}]
    metrics, told, parts = prepare(rows, **{"as": "preference"}, weights="resample", holdout=0.5)
    assert sum(map(len, parts.values())) == 61
    assert metrics["copies/rows"] == metrics["copies/prompts"] == metrics["duplicates/exact"] == 1
    assert metrics["duplicates/prompts"] == 1
    assert any("1 row repeats an earlier one (row 21 that of row 2)" in note for note in told.notes)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["health"]["pairs"] == 21 and report["health"]["label_noise"]["judged_again"] == 1


def test_mixed_formats_in_one_file_are_told_as_such(prepare):
    chat = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    other = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    with pytest.raises(DataError, match=r"row 61: field messages is missing: the row has another format \(ShareGPT"):
        prepare([chat] * 60 + [other], **{"as": "messages"})


def test_a_row_of_ten_megabytes_is_kept_and_told_with_its_number(prepare):
    rows = [*[{"text": f"t{n}"} for n in range(10)], {"text": "a" * 10_000_000}]
    _, told, parts = prepare(rows, **{"as": "text"})
    assert len(parts["train"][10]["text"]) == 10_000_000 and len(parts["train"]) == 11
    assert "row 11 has 10,000,000 characters: at its max_length a stage cuts it or leaves it out" in told.notes


TURNS = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ("uu", r"field messages\[1\] is a second user turn in a row"),
        ("usa", r"field messages\[1\] is a system turn that does not come first"),
        ("au", r"field messages\[0\] is a turn of assistant before any user turn"),
        ("u", "field messages ends with a turn of user"),
        ("s", "field messages ends with a turn of system"),
        ("", "field messages is empty"),
    ],
)
def test_turns_out_of_order_are_told_with_the_row_and_the_turn(prepare, turns, told):
    good = [{"messages": [{"role": TURNS[t], "content": "x"} for t in "ua"]}] * 9
    bad = {"messages": [{"role": TURNS[t], "content": "x"} for t in turns]}
    with pytest.raises(DataError, match=rf"rows.jsonl, row 10: {told}"):
        prepare([*good, bad], **{"as": "messages"})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"role": "user", "content": {"text": "x"}}, r"field messages\[0\].content is an object, not text"),
        ({"role": "user", "content": [["x"]]}, r"field messages\[0\] holds parts that are not text"),
        ({"role": "user", "content": None}, r"field messages\[0\].content is null, not text"),
        ({"role": "user", "content": " \n\t"}, r"field messages\[0\].content is empty"),
        ({"role": ["user"], "content": "x"}, r"field messages\[0\] has the role"),
        ([{"role": "user", "content": "x"}], r"field messages\[0\] is list, not a turn"),
    ],
)
def test_nested_surprises_are_told_with_their_place(prepare, value, told):
    answer = {"role": "assistant", "content": "a"}
    good = [{"messages": [{"role": "user", "content": "q"}, answer]}] * 9
    with pytest.raises(DataError, match=rf"rows.jsonl, row 10: {told}"):
        prepare([*good, {"messages": [value, answer]}], **{"as": "messages"})


def test_a_broken_off_file_stops_the_step_with_the_last_whole_row(prepare, tmp_path):
    import gzip

    whole = gzip.compress(b"".join(b'{"text": "%d"}\n' % n for n in range(100_000)))
    (tmp_path / "broken.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"broken.jsonl.gz, after row [\d,]{5,}: the compressed file is broken off"):
        prepare(str(tmp_path / "broken.jsonl.gz"), source_kind="file?", **{"as": "text"}, drop_budget=1.0)
