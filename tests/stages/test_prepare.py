import json
from pathlib import Path

import pytest

from align import quickstart
from align.artifact.inputs import Inputs, SourceInput
from align.data.split import split_key
from align.data.store_rows import read_rows
from align.errors import DataError, Stopped
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
    assert metrics == {"rows/read": 3, "rows/kept": 3, "rows/dropped": 0, "rows/train": 3}
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
