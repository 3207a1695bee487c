"""Reading a source through: counts, lengths and repetitions, against files written by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from align.artifact.inputs import SourceInput
from align.errors import DataError
from align.inspection import report
from align.inspection.guess import likely_columns
from align.inspection.measures import Reservoir, percentiles
from align.inspection.survey import Asked, Survey, expected_rows, survey


def write(path: Path, rows: list[Any]) -> SourceInput:
    text = "\n".join(json.dumps(row) for row in rows) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return SourceInput("file", str(path), None, None, "")


def look(path: Path, rows: list[Any], **more: Any) -> Survey:
    return survey(Asked(write(path, rows), path.name, **more))


def pair(prompt: str = "Name a fruit.", chosen: str = "An apple.", rejected: str = "A chair is it.") -> dict[str, str]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


@pytest.mark.parametrize(
    ("row", "row_type", "columns"),
    [
        (pair(), "preference", {}),
        ({"prompt": "Hi"}, "prompt", {}),
        ({"prompt": "Hi", "completion": "Hello"}, "messages", {}),
        ({"text": "Once."}, "text", {}),
        ({"question": "2+2?", "answer": "4"}, "messages", {"prompt": "question", "completion": "answer"}),
        ({"Question": "2+2?"}, "prompt", {"prompt": "Question"}),
        ({"question": "?", "better": "a", "worse": "b"}, "preference",
         {"prompt": "question", "chosen": "better", "rejected": "worse"}),
    ],
)  # fmt: skip
def test_the_row_type_is_found_out(tmp_path: Path, row: dict, row_type: str, columns: dict) -> None:
    found = look(tmp_path / "data.jsonl", [row] * 2)
    assert (found.format.row_type, found.guess.columns) == (row_type, columns)


def test_one_column_never_stands_for_two_of_ours() -> None:
    assert likely_columns([{"input": "a", "target": "b"}], "messages") == {"prompt": "input", "completion": "target"}
    assert likely_columns([{"target": "b"}], "messages") == {}


def test_columns_that_fit_nothing_are_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its columns \(foo, bar\) are not those of any row type.*--columns prompt="):
        look(tmp_path / "data.jsonl", [{"foo": 1, "bar": 2}])


def test_read_is_kept_and_dropped_with_row_numbers(tmp_path: Path) -> None:
    rows = [pair(f"question {i}") for i in range(60)]
    rows[4]["rejected"] = ""
    rows[16]["rejected"] = "  "
    rows[59] = {"prompt": "p", "chosen": "c"}
    found = look(tmp_path / "data.jsonl", rows)
    assert (found.read, found.kept, found.counts) == (60, 57, {"rejected_empty": 2, "rejected_missing": 1})
    told = report.of_survey(found)["problems"]
    assert [(p["reason"], [e["row"] for e in p["examples"]]) for p in told] == [
        ("rejected_empty", [5, 17]), ("rejected_missing", [60]),
    ]  # fmt: skip
    (finding,) = [f for f in report.findings(found, "rows") if "are not preference rows" in f.found]
    assert finding.state == "problem" and finding.found.startswith("3 of 60 rows (5 %)")
    (within,) = [f for f in report.findings(found, "rows", 0.05) if "are not preference rows" in f.found]
    assert within.state == "warning"


def test_a_broken_line_ends_the_reading_and_is_told_with_its_row(tmp_path: Path) -> None:
    source = write(tmp_path / "data.jsonl", [pair(f"q{i}") for i in range(70)])
    with Path(source.location).open("a") as file:
        file.write('{"prompt": \n')
    found = survey(Asked(source, "data.jsonl"))
    assert found.read == 70 and "row 71: broken JSON" in found.broken
    assert report.findings(found, "rows")[0].state == "problem"


def test_pairs_that_repeat_contradict_or_have_no_difference_are_counted(tmp_path: Path) -> None:
    rows = [
        pair(),
        pair(chosen="AN  APPLE."),  # the same row again
        pair(chosen="A chair is it.", rejected="An apple."),  # the opposite of the first
        pair("Another?", "Same", "Same "),
    ]
    found = look(tmp_path / "data.jsonl", rows)
    assert (found.repetitions.rows, found.repetitions.prompts, found.repetitions.examples) == (1, 1, {"repeated": [2]})
    assert found.counts == {"identical_sides": 1} and found.problems["identical_sides"][0][0].row == 4
    told = [f.found for f in report.findings(found, "rows")]
    assert "2 pairs contradict another one on the same two answers (rows 1 and 3)" in told


def test_a_file_of_mixed_formats_is_read_as_most_rows_are_and_the_others_are_named(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "An apple."}]}
    found = look(tmp_path / "mixed.jsonl", [chat, pair(), {"instruction": "Add.", "output": "4"}, chat])
    assert found.format.row_type == "messages" and found.kept == 2
    assert found.counts == {"other_format_pairs": 1, "other_format_alpaca": 1}
    told = {reason: problems[0][0].message for reason, problems in found.problems.items()}
    assert "another format (preference pairs: prompt, chosen and rejected as text)" in told["other_format_pairs"]
    assert "another format (Alpaca instructions)" in told["other_format_alpaca"]


def test_broken_pairs_leave_the_file_one_of_pairs(tmp_path: Path) -> None:
    """Any row with a prompt would do as a prompt: that a few have nothing more must not hide what the file is."""
    rows = [pair(f"question {i}") for i in range(8)] + [{"prompt": "p", "chosen": "c"}, {"prompt": "q"}]
    found = look(tmp_path / "data.jsonl", rows)
    assert (
        found.format.row_type == "preference"
        and found.kept == 8
        and found.counts == {"rejected_missing": 1, "chosen_missing": 1}
    )


def test_ids_that_came_before_are_told_with_their_rows(tmp_path: Path) -> None:
    rows = [{**pair(f"Name fruit {number}."), "id": str(number % 3)} for number in range(5)]
    found = report.findings(look(tmp_path / "rows.jsonl", rows), "rows")
    assert [f.found for f in found if "an id that" in f.found] == [
        "2 of 5 rows have an id that came before (rows 4, 5)"
    ]


def test_always_longer_chosen_answers_are_a_warning_and_balanced_ones_are_not(tmp_path: Path) -> None:
    longer = [pair(f"q{i}", "a long answer of words", "short") for i in range(20)]
    found = look(tmp_path / "a.jsonl", longer)
    assert [f.found for f in report.findings(found, "rows") if f.state == "warning"] == [
        "the chosen answer is the longer one in 100% of 20 pairs (95 % interval 84% to 100%), by +17 characters on average: "
        "models will learn length"
    ]
    balanced = longer[:10] + [pair(f"p{i}", "short", "a long answer of words") for i in range(10)]
    assert not [f for f in report.findings(look(tmp_path / "b.jsonl", balanced), "rows") if f.state == "warning"]


def test_ties_are_told_and_columns_are_those_of_the_source(tmp_path: Path) -> None:
    lists = [{"prompt": f"q{i}", "completions": ["a", "b", "c"], "ranks": [1, 2, 2]} for i in range(3)]
    told = [f.found for f in report.findings(look(tmp_path / "lists.jsonl", lists), "rows")]
    assert "3 pairs left out: both answers were judged alike" in told
    said = [("1", None, "prompter", None), ("2", "1", "assistant", 0), ("3", "1", "assistant", 1)]
    tree = [
        {"message_id": n, "parent_id": up, "message_tree_id": "1", "text": f"t{n}", "role": role, "rank": rank}
        for n, up, role, rank in said
    ]
    found = look(tmp_path / "tree.jsonl", tree)
    assert found.read == 3 and found.kept == 1 and set(found.columns) == set(tree[0])
    assert (found.columns["text"].rows, found.columns["rank"].rows) == (3, 2)


def test_answers_in_an_unused_column_are_told(tmp_path: Path) -> None:
    rows = [{"instruction": "Add 2.", "cases": [{"input": "3", "output": "5"}]}]
    told = [f.found for f in report.findings(look(tmp_path / "data.jsonl", rows), "rows")]
    assert told == ["the column cases holds answers (output) that are not read: only the requests are"]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_the_number_of_rows_is_told_from_the_size_of_the_file(tmp_path: Path, ending: str) -> None:
    source = write(tmp_path / f"data{ending}", [pair(f"question {i:04}") for i in range(1000)])
    told: list[tuple[int, int]] = []
    asked = Asked(source, "data")
    survey(asked, lambda done, total: told.append((done, total)))
    from align.data.readers import read_rows

    first = [row for row, _ in zip(read_rows(source.location), range(50), strict=False)]
    assert expected_rows(asked, first) == pytest.approx(1000, rel=0.1)


def test_a_reservoir_keeps_the_first_and_a_uniform_rest() -> None:
    means = []
    for seed in range(30):
        sample = Reservoir[int](50, seed)
        for number in range(1000):
            sample.add(number)
        assert sample.items[0] == 0 and len(set(sample.items)) == 50
        means.append(sum(sample.items[1:]) / 49)
    assert sum(means) / 30 == pytest.approx(500, abs=25)  # deviation of the mean of 30 * 49 draws: 7.5


def test_percentiles_are_values_that_occur() -> None:
    assert percentiles([4, 1, 3, 2]) == {
        "p5": 1, "p25": 1, "p50": 2, "p75": 3, "p95": 4, "p99": 4, "max": 4, "mean": 2.5,
    }  # fmt: skip
