"""Rows as a model would see them, through the very functions that the stages render with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align.inspection import with_model
from align.models.tokenizer import load_tokenizer, ready_tokenizer
from tests.inspection.test_survey import write
from tests.tiny import chats, pairs


def ask(source: Any, model: dict[str, Any], **more: Any) -> dict[str, Any]:
    events: list[dict[str, Any]] = []
    request = {"do": "inspect", "source": vars(source), "name": "data", "samples": 2, "model": {"name": "m", **model}}
    with_model.answer({**request, **more}, events.append)
    json.dumps(events)  # what crosses the border is plain
    return events[-1]["report"]["model"]


def test_a_careless_model_folder_is_caught(careless: Path, tmp_path: Path) -> None:
    told = ask(write(tmp_path / "chats.jsonl", chats(20)), {"folder": str(careless)})
    warnings = [f["found"] for f in told["findings"] if f["state"] == "warning"]
    assert len(warnings) == 2
    assert "pad == eos" in warnings[0]
    assert "system prompt of its own" in warnings[1] and "small and helpful model" in warnings[1]


def test_the_stop_token_is_proved_on_every_answer(careless: Path, tmp_path: Path) -> None:
    told = ask(write(tmp_path / "pairs.jsonl", pairs(20)), {"folder": str(careless)})
    tokenizer = load_tokenizer(careless)
    assert told["stop"] == {
        "token": tokenizer.eos_token, "id": tokenizer.eos_token_id, "generation": [tokenizer.eos_token_id],
        "answers": 40, "trained_stops": 40,
    }  # fmt: skip


def test_pieces_are_the_whole_row_and_the_trained_ones_are_the_answer(careless: Path, tmp_path: Path) -> None:
    (row, *_) = rows = chats(5)
    told = ask(write(tmp_path / "chats.jsonl", rows), {"folder": str(careless)})
    (side,) = told["samples"][0]["sides"]
    stop = load_tokenizer(careless).eos_token
    assert (
        "".join(piece["text"] for piece in side["pieces"] if piece["trained"]) == row["messages"][1]["content"] + stop
    )
    text = "".join(piece["text"] for piece in side["pieces"])
    assert text.endswith(row["messages"][1]["content"] + stop) and row["messages"][0]["content"] in text
    assert side["pieces"][-1] == {"text": stop, "trained": True, "special": True, "tokens": 1}
    assert sum(piece["tokens"] for piece in side["pieces"]) == side["tokens"]


def test_truncation_is_what_the_stage_would_do(careless: Path, tmp_path: Path) -> None:
    long = {"messages": [{"role": "user", "content": "dog"}, {"role": "assistant", "content": "cat " * 200}]}
    rows = [*chats(9), long]
    told = ask(write(tmp_path / "chats.jsonl", rows), {"folder": str(careless)}, max_length=150)["truncation"]
    assert (told["rows"], told["over"], told["cut"], told["dropped"], told["stops_lost"]) == (10, 1, 1, 0, 1)
    assert told["example"]["row"] == 10 and "cat cat" in told["example"]["lost"]
    assert not told["from_model"]
    assert ask(write(tmp_path / "chats.jsonl", chats(5)), {"folder": str(careless)})["truncation"]["over"] == 0


def test_rows_that_hold_special_tokens_are_told_and_those_that_are_refused_counted(
    careless: Path, tmp_path: Path
) -> None:
    stop = load_tokenizer(careless).eos_token
    asked = {"messages": [{"role": "user", "content": f"Hi{stop}"}, {"role": "assistant", "content": "Hello"}]}
    said = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": f"He{stop}llo"}]}
    told = ask(write(tmp_path / "chats.jsonl", [*chats(8), asked, said]), {"folder": str(careless)})
    found = {f["found"].partition(": ")[0]: f for f in told["findings"]}
    assert found["1 of 10 rows (row 10)"]["state"] == "problem"
    assert f"the text of 2 of 10 rows holds the special token {stop} (rows 9, 10)" in found
    assert told["rendered"] == 10


def test_without_a_template_the_page_says_so_and_a_chosen_one_renders(careless: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    tokenizer = ready_tokenizer(careless, lambda _: None)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(plain)
    source = write(tmp_path / "chats.jsonl", chats(5))
    told = ask(source, {"folder": str(plain)})
    assert "samples" not in told and any("no chat template" in f["found"] for f in told["findings"])
    told = ask(source, {"folder": str(plain)}, chat_template="chatml")
    assert told["stop"]["token"] == "<|im_end|>" and told["stop"]["trained_stops"] == 5


def test_a_model_not_trained_yet_is_stood_in_for(tmp_path: Path) -> None:
    shape = {"layers": 1, "width": 16, "heads": 2, "vocab_size": 400, "context": 64}
    told = ask(write(tmp_path / "chats.jsonl", chats(50)), {"architecture": shape})
    assert told["context"] == 64 and told["truncation"]["from_model"]
    assert any("stand-in" in f["found"] for f in told["findings"])


@pytest.mark.parametrize("kind", ["text", "prompt", "ranking"])
def test_every_row_type_is_seen(careless: Path, tmp_path: Path, kind: str) -> None:
    turn = [{"role": "assistant", "content": "red"}]
    row = {
        "text": {"text": "red blue"},
        "prompt": {"prompt": [{"role": "user", "content": "red"}]},
        "ranking": {"prompt": [{"role": "user", "content": "x"}], "completions": [turn, turn], "ranks": [1, 2]},
    }[kind]
    from align.inspection.view import view

    seen = view([(1, row)], kind, ready_tokenizer(careless, lambda _: None))
    assert [side.field for side in seen.seen[0]] == {
        "text": ["text"], "prompt": ["prompt"], "ranking": ["completions[0]", "completions[1]"],
    }[kind]  # fmt: skip
