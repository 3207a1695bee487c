"""prepare with `against`: rows that repeat an evaluation's questions do not reach training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from align.artifact.inputs import Inputs, RowsInput, SourceInput
from align.data.store_rows import RowWriter, part_file, read_rows
from align.errors import DataError
from align.specs.prepare import PrepareSpec
from align.stages.prepare import run
from tests.data.leakage.test_scan import BRIDGE, chat, lines, prompts
from tests.stages.test_prepare import Told


def reference(folder: Path, name: str, row_type: str, rows: list[dict[str, Any]]) -> RowsInput:
    (folder / name).mkdir()
    with RowWriter(folder / name, row_type) as writer:
        for row in rows:
            writer.write("train", row)
    return RowsInput(name, (part_file(folder / name, "train"),), row_type, len(rows), "digest")


@pytest.fixture
def prepare(tmp_path: Path):
    def prepared(rows: list[dict[str, Any]], name: str = "out", **settings: Any) -> tuple[dict[str, float], Told, list]:
        (tmp_path / name).mkdir()
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        spec = PrepareSpec(source="data/rows.jsonl", **{"as": "messages", "against": ["ifeval"], **settings})
        inputs: dict[str, Any] = {"source": SourceInput("file", str(path), None, None, "d")}
        if spec.against and "against.0" not in inputs:
            asked = [{"prompt": [{"role": "user", "content": text}]} for text in ("Name a fruit.", BRIDGE)]
            inputs["against.0"] = reference(tmp_path, f"reference-{name}", "prompt", asked)
        told = Told()
        metrics = run(spec, Inputs(inputs, tmp_path), tmp_path / name, told)  # type: ignore[arg-type]
        return metrics, told, list(read_rows([part_file(tmp_path / name, "train")], spec.as_))

    return prepared


ROWS = [chat(text, "well") for text in prompts(30)]
PLANTED = [*ROWS[:10], chat(BRIDGE.lower(), "because"), *ROWS[10:]]


def test_a_leak_is_left_out_counted_and_shown(prepare, tmp_path):
    metrics, told, rows = prepare(PLANTED)
    assert rows == ROWS
    assert metrics["leakage/rows"] == metrics["leakage/ifeval/exact"] == metrics["dropped/leaked"] == 1
    assert metrics["rows/read"] == 31 == metrics["rows/kept"] + metrics["rows/dropped"]
    (evidence,) = lines(tmp_path / "out")
    assert (evidence["row"], evidence["reference"], evidence["reference_row"]) == (11, "ifeval", 2)
    assert any("quarantined 1 of 31 rows" in note for note in told.notes)
    assert any(note.startswith("such as row 11") and "medieval bridges" in note for note in told.notes)


def test_what_is_told_of_rows_is_told_of_those_that_stay(prepare, tmp_path):
    """With a leak left out, and a copy dropped, the report but for its accounting is that of rows without them."""
    planted = [chat(BRIDGE, "because " * 400) | {"source": "leaky"}, *PLANTED, ROWS[3]]
    metrics, _, rows = prepare(planted, near_duplicates="drop")
    clean, _, _ = prepare(ROWS, name="clean", near_duplicates="drop")
    assert rows == ROWS and metrics["rows/dropped"] == 3 and metrics["copies/rows"] == 0
    told, wanted = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("out", "clean"))
    assert told["characters"] == wanted["characters"] and told["copies"] == wanted["copies"]
    assert metrics["characters/answer/p95"] == clean["characters/answer/p95"]
    assert told["sources"].pop("leaky") == {"rows": 0, "share": 0.0, "characters": 0.0, "dropped": 1}
    assert told["sources"]["(none)"]["rows"] == 30 and metrics["sources"] == 2


def test_without_against_nothing_is_held_against_anything(prepare, tmp_path):
    metrics, _, rows = prepare(PLANTED, against=[])
    assert rows == PLANTED and "leakage/rows" not in metrics and not (tmp_path / "out" / "quarantine.jsonl").exists()


def test_leaks_may_be_kept_and_are_counted_all_the_same(prepare):
    metrics, told, rows = prepare(PLANTED, leaks="keep")
    assert rows == PLANTED and metrics["leakage/rows"] == 1 and metrics["rows/dropped"] == 0
    assert any("kept 1 of 31 rows" in note for note in told.notes)


def test_leaks_may_be_refused_with_one_shown(prepare, tmp_path):
    with pytest.raises(DataError) as refused:
        prepare(PLANTED, leaks="refuse")
    message = str(refused.value)
    assert "1 rows repeat questions of ifeval, such as row 11" in message and "leaks: quarantine" in message
    assert lines(tmp_path / "out")[0]["question"] == BRIDGE


def test_a_set_without_leaks_passes_where_they_are_refused(prepare):
    assert prepare(ROWS, leaks="refuse")[0]["leakage/rows"] == 0


def test_leaks_do_not_count_against_the_budget_of_broken_rows(prepare):
    assert prepare(PLANTED, drop_budget=0.0)[0]["rows/dropped"] == 1


def test_near_duplicates_are_dropped_only_where_asked(prepare):
    copied = [*ROWS, ROWS[0], chat(ROWS[1]["messages"][0]["content"].upper(), "well")]
    kept, _, rows = prepare(copied, name="a")
    assert kept["duplicates/exact"] == 2 and rows == copied
    dropped, told, rows = prepare(copied, name="b", near_duplicates="drop")
    assert rows == ROWS and dropped["dropped/duplicate"] == 2
    assert any("dropped 2 of 32 rows (rows 31, 32): the row says the same as row 1" in note for note in told.notes)


def test_a_set_that_is_all_leaks_is_an_error(prepare):
    with pytest.raises(DataError, match="none of its 3 rows is left"):
        prepare([chat(BRIDGE, answer) for answer in ("a", "b", "c")])


def test_dropping_the_copies_that_resampling_makes_is_refused():
    with pytest.raises(ValidationError, match="take out again the copies"):
        PrepareSpec(**{"source": "x", "as": "text", "near_duplicates": "drop", "weights": "resample"})
