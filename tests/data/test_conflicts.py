from __future__ import annotations

from typing import Any

import pytest

from align.data.conflicts import check, finding, is_probe
from align.data.conversations import CannotConvert
from align.data.formats import detect
from align.evals.suites.conflict import facts
from align.schema import row_problem


def probe(question: str, old: Any, new: Any) -> dict:
    (row,) = detect([{"fact": question, "old": old, "new": new}], "prompt").rows(
        {"fact": question, "old": old, "new": new}
    )
    return row


def said(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


FACTS = [
    probe("Who leads Freedonia?", "Rufus", "Gloria"),
    probe("What is the capital of Sylvania?", "Alt", "Neu"),
    probe("How tall is the tower?", "30 m", "40 m"),
    probe("Which colour has the flag?", "red", "Red"),
]
ROWS = [said("Who leads Freedonia now?", "gloria does."), said("What is the capital of Sylvania?", "It is Alt.")]


def test_a_fact_becomes_a_prompt_row_with_both_answers() -> None:
    assert FACTS[0]["reference"] == "Gloria" and FACTS[0]["meta"] == {"old": "Rufus", "new": "Gloria"}
    assert row_problem("prompt", FACTS[0]) is None
    assert is_probe(FACTS[0]) and not is_probe({"prompt": [], "reference": "x"})
    assert probe("Who?", "Rufus", ["Gloria", "Mrs. T."])["meta"]["new"] == ["Gloria", "Mrs. T."]  # ways to say it
    with pytest.raises(CannotConvert, match="is empty"):
        probe("Who?", " ", "x")
    with pytest.raises(CannotConvert, match="is empty"):
        probe("Who?", "Rufus", ["Gloria", ""])


def test_the_suite_of_conflicts_reads_what_was_declared() -> None:
    assert facts([probe("Who?", "Rufus", "Gloria"), probe("Who?", "Rufus", ["Gloria", "Mrs. T."])], "suites.facts") == [
        (["Rufus"], ["Gloria"]), (["Rufus"], ["Gloria", "Mrs. T."]),
    ]  # fmt: skip


def test_a_fact_is_taught_in_any_of_the_ways_to_say_it() -> None:
    ways = [probe("Who leads Freedonia?", ["Firefly", "Rufus"], ["Mrs. T.", "Gloria"])]
    assert check(ways, ROWS).taught == [0]
    assert check(ways, [said("Who leads Freedonia?", "It is Rufus.")]).contradicted == [0]


def test_what_training_says_of_each_fact_is_told() -> None:
    found = check(FACTS, ROWS)
    assert (found.taught, found.contradicted, found.silent, found.alike) == ([0], [1], [2], [3])
    told = finding(found, "data.facts")
    assert told.state == "warning" and "still say the old answer of 1 (row 2)" in told.found
    assert finding(check(FACTS[:1], ROWS), "data.facts").state == "ok"


def test_the_chosen_answer_counts_and_the_rejected_one_does_not() -> None:
    def turn(text: str) -> list[dict]:
        return [{"role": "assistant", "content": text}]

    pair = {
        "prompt": [{"role": "user", "content": "Who leads Freedonia?"}],
        "chosen": turn("Gloria"),
        "rejected": turn("Rufus"),
    }
    assert check(FACTS[:1], [pair]).taught == [0]
