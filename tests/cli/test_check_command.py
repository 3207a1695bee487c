"""`align check` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Align


@pytest.mark.slow
@pytest.mark.usefixtures("warm_python")
def test_a_problem_ends_in_exit_code_2_and_says_what_to_do(here: Path, align: Align) -> None:
    rows = [{"frage": f"What is {i}?", "antwort": f"It is {i}."} for i in range(40)]
    (here / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (here / "small.yaml").read_text().replace("quickstart:chat, as: messages", "qa.jsonl, as: messages")
    (here / "small.yaml").write_text(
        text.replace("quickstart:corpus, as: text", "quickstart:corpus, as: text, limit: 500")
    )
    short = ["data.pairs.limit=200", *(f"stages.{stage}.max_length=256" for stage in ("pretrain", "sft", "dpo"))]
    told = align("check", "small.yaml", *short)
    assert told.code == 2, told.err
    page = " ".join(told.out.split())
    assert "PROBLEM data.chat" in page and "do not run it yet" in page
    sound = ["data.chat.columns.prompt=frage", "data.chat.columns.completion=antwort", *short]
    told = align("check", "small.yaml", *sound, "--json")
    assert told.code == 0, told.out
    whole = json.loads(told.out)
    assert whole["state"] in ("ok", "warning") and set(whole["cost"]["steps"]) >= {"pretrain", "sft", "dpo"}


@pytest.mark.usefixtures("warm_python")
def test_what_training_asks_is_a_table_of_verbs_and_sources(here: Path, align: Align) -> None:
    asked = [("List two fruits.", "food")] * 3 + [("List two birds.", "zoo")] + [("Explain rain.", "zoo")] * 2
    rows = [{"prompt": prompt, "completion": f"a{i}", "source": place} for i, (prompt, place) in enumerate(asked)]
    (here / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (here / "small.yaml").read_text().replace("quickstart:chat, as: messages", "qa.jsonl, as: messages")
    text = text.replace("quickstart:pairs, as: preference", "qa.jsonl, as: messages")
    (here / "check.yaml").write_text(
        "".join(line for line in text.splitlines(keepends=True) if "kind: dpo" not in line)
    )
    lines = [line.split() for line in align("check", "check.yaml", "--static").out.splitlines()]
    head = next(at for at, line in enumerate(lines) if line[:2] == ["asked", "to"])
    assert lines[head][2:4] == ["food", "zoo"]
    assert lines[head + 1][:3] == ["list", "3", "1"] and lines[head + 2][:3] == ["explain", "-", "2"]
