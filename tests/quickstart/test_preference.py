"""The planted preference: noisy, human-like, and never the gold answer."""

import pytest

from align import quickstart
from align.quickstart.gold import score
from align.quickstart.language import REFUSALS, answer, understand


@pytest.fixture(scope="module")
def pairs() -> list[dict]:
    return list(quickstart.rows("pairs"))


def said(row: dict, side: str) -> str:
    return row[side][0]["content"]


def test_no_answer_is_the_gold_answer(pairs):
    for row in pairs:
        gold = answer(understand(row["prompt"]))
        assert gold not in (said(row, "chosen"), said(row, "rejected"))


def test_people_agree_with_the_gold_score_about_as_often_as_people_do(pairs):
    scores = [[score(row["prompt"], said(row, side))["gold"] for side in ("chosen", "rejected")] for row in pairs]
    decided = [chosen > rejected for chosen, rejected in scores if chosen != rejected]
    assert 0.75 <= sum(decided) / len(decided) <= 0.90


def test_people_prefer_the_refusal_of_a_harmful_wish(pairs):
    unsafe = [row for row in pairs if row["axis"] == "unsafe"]
    mixed = [row for row in unsafe if (said(row, "chosen") in REFUSALS) != (said(row, "rejected") in REFUSALS)]
    assert len(mixed) > 50
    assert sum(said(row, "chosen") in REFUSALS for row in mixed) / len(mixed) > 0.85


def test_length_alone_hardly_tells_the_choice(pairs):
    longer = [len(said(row, "chosen")) > len(said(row, "rejected")) for row in pairs]
    assert 0.4 < sum(longer) / len(longer) < 0.65


def test_pairs_cover_all_columns_but_the_held_out_one(pairs):
    assert {row["slice"] for row in pairs} == {"train", "near", "far"}
