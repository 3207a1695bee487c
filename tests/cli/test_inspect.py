"""`align inspect` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Align

pytestmark = pytest.mark.usefixtures("warm_python")
ROW = {"prompt": "Name a fruit.", "chosen": "An apple.", "rejected": "A chair."}


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_page_says_format_columns_and_broken_rows(here: Path, align: Align) -> None:
    write(
        here / "pairs.jsonl", [{**ROW, "prompt": f"q{i}", "model": "x"} for i in range(50)] + [{**ROW, "rejected": ""}]
    )
    told = align("inspect", "pairs.jsonl")
    assert told.code == 0, told.err
    assert "detected: preference pairs: prompt, chosen and rejected as" in told.out
    assert "51 rows read, 50 kept, 1 row broken" in told.out
    assert "see more of the broken rows: align inspect pairs.jsonl --problems" in told.out
    problems = align("inspect", "pairs.jsonl", "--problems").out
    assert "row 51: field rejected is empty. A preference row needs two non-empty answers." in " ".join(
        problems.split()
    )


def test_json_is_one_object(here: Path, align: Align) -> None:
    write(here / "qa.jsonl", [{"question": "2+2?", "answer": "4"}])
    told = json.loads(align("inspect", "qa.jsonl", "--json").out)
    assert told["as"] == "messages" and told["columns_to_say"] == {"prompt": "question", "completion": "answer"}


def test_a_recipes_entry_is_seen_as_the_stage_that_reads_it_will(here: Path, align: Align) -> None:
    (here / "small.yaml").write_text(
        (here / "small.yaml")
        .read_text()
        .replace("as: messages}", "as: messages, limit: 60, filters: {duplicates: rows}}")
    )
    told = align("inspect", "small.yaml:chat", "--samples", "1")
    assert told.code == 0, told.err
    assert "read by the stage sft; its settings hold here" in told.out
    assert "is trained at the end of" in told.out and "⟦" in told.out
    assert "left out as asked: duplicate_rows" in told.out


def test_mistakes_are_one_paragraph(here: Path, align: Align) -> None:
    for arguments, says in (
        (["nothing.jsonl"], "nothing.jsonl does not exist"),
        (["small.yaml:chta"], "small has no data entry chta"),
        (["small.yaml", "--as", "chat"], "chat is not a row type"),
        (["small.yaml", "--columns", "prompt"], "Expected OURS=THEIRS"),
    ):
        told = align("inspect", *arguments)
        assert told.code == 2 and says in told.err and "Traceback" not in told.err, told.err
