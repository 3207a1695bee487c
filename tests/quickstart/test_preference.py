"""The planted preference: noisy, human-like, and never the gold answer."""

import pytest

from align import quickstart
from align.quickstart.gold import refuses, score
from align.quickstart.language import REFUSALS, answer, understand, words
from align.quickstart.world import FACTS, SOMEWHERE


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
    mixed = [row for row in unsafe if refuses(said(row, "chosen")) != refuses(said(row, "rejected"))]
    assert len(mixed) > 50
    assert sum(refuses(said(row, "chosen")) for row in mixed) / len(mixed) > 0.85


def test_people_would_rather_be_told_a_home_than_somewhere(pairs):
    vague = [
        [SOMEWHERE in said(row, side) for side in ("chosen", "rejected")] for row in pairs if row["axis"] != "unsafe"
    ]
    differing = [rejected for chosen, rejected in vague if chosen != rejected]
    assert len(differing) > 1000
    assert sum(differing) / len(differing) > 0.6


def test_answers_err_as_a_policy_does_by_another_subject_or_a_refusal_in_mixed_words(pairs):
    told = [(understand(row["prompt"]), said(row, side)) for row in pairs for side in ("chosen", "rejected")]
    named = [(set(words(text)) & FACTS.keys(), request) for request, text in told if not request.harm]
    others = [not concepts <= set(request.concepts) for concepts, request in named if concepts]
    assert 0.2 < sum(others) / len(others) < 0.5
    refused = [text in REFUSALS for request, text in told if request.harm and refuses(text)]
    assert 0.3 < sum(refused) / len(refused) < 0.9


def test_length_alone_hardly_tells_the_choice(pairs):
    longer = [len(said(row, "chosen")) > len(said(row, "rejected")) for row in pairs]
    assert 0.4 < sum(longer) / len(longer) < 0.65


def test_pairs_cover_all_columns_but_the_held_out_one(pairs):
    assert {row["slice"] for row in pairs} == {"train", "near", "far"}
