"""Planted leaks are found and told by kind; what only looks alike is not."""

from __future__ import annotations

import random

import pytest

from align.data.leakage.references import Match, QuestionIndex, Questions
from align.data.leakage.words import words
from tests.data.leakage.planting import LEAKS, planted

GROCER = "Maria buys 12 baskets of oranges at the harbour market, sells 5 of them and gives her brother the rest to carry home."
BRIDGE = (
    "Explain to a retired engineer why medieval bridges were built of stone although timber was cheaper and quicker."
)


def index(*questions: str) -> QuestionIndex:
    asked = Questions()
    for number, text in enumerate(questions, 1):
        asked.add("eval", number, text)
    return asked.sealed()


def found(against: QuestionIndex, *texts: str) -> list[Match]:
    return against.match([[text] for text in texts], list(texts), words(texts))


@pytest.fixture
def both() -> QuestionIndex:
    return index(GROCER, BRIDGE)


@pytest.mark.parametrize("said", [BRIDGE, BRIDGE.upper(), BRIDGE.replace(" ", "\n  ")])
def test_the_same_question_in_any_case_and_spacing_is_exact(both, said):
    assert found(both, "something else", said) == [Match(1, 1, "exact", 1.0)]


def test_a_question_inside_a_longer_text_is_found_by_its_runs_of_words(both):
    text = f"Some notes I took. {BRIDGE.replace(',', '')} And {'then more ' * 200}"
    assert found(both, text) == [Match(0, 1, "ngram", 1.0)]


def test_a_question_in_any_turn_is_found(both):
    match = both.match([["hello", "hi there", BRIDGE]], ["hello"], words(["hello", "hi there", BRIDGE]))
    assert match == [Match(0, 1, "exact", 1.0)]


def test_a_short_question_is_found_by_shorter_runs():
    asked = index("Where do alpine foxes sleep in winter?", BRIDGE)
    assert found(asked, "I wonder: where do alpine foxes sleep in winter, and why?") == [Match(0, 0, "ngram", 1.0)]
    assert not found(asked, "I wonder: where do alpine marmots sleep in winter, and why?")


def test_a_question_of_a_few_words_is_only_found_as_a_whole():
    asked = index("Tell me more.")
    assert found(asked, "tell me more.")[0].kind == "exact"
    assert not found(asked, "She said: tell me more. And so I told her more.")


def test_a_reworded_question_is_near(both):
    said = "Explain to an old engineer why medieval bridges got built of stone while timber was so much cheaper and also quicker"
    (match,) = found(both, said)
    assert match.kind == "near" and 0.5 < match.similarity < 1


def test_a_reordered_question_is_near():
    asked = index(BRIDGE)
    said = "Although timber was cheaper and quicker, medieval bridges were built of stone: explain why to a retired engineer."
    assert found(asked, said)[0].kind == "near"


@pytest.mark.parametrize(("old", "new"), [("12", "17"), ("5", "6"), ("12", "twenty")])
def test_the_same_template_with_other_numbers_is_another_question(both, old, new):
    assert not found(both, GROCER.replace(f" {old} ", f" {new} "))
    assert not found(both, f"A sum. {GROCER.replace(f' {old} ', f' {new} ')} Think about it step by step.")


def test_a_number_may_be_spelt(both):
    assert found(both, GROCER.replace("12", "twelve"))[0].kind == "ngram"


def test_a_text_on_the_same_topic_is_no_leak(both):
    assert not found(
        both, "Medieval bridges of stone are older than those of timber; engineers study why they still stand."
    )
    assert not found(
        both, "Maria sells oranges at the market and her brother carries baskets to the harbour on Mondays."
    )


def test_one_template_with_other_words_is_another_question():
    kinds = ["bread", "cheese", "honey", "olives", "vinegar", "walnuts", "paper", "glass", "rope", "candles"]
    asked = index(
        *(f"Describe in two friendly sentences how {kind} was made in your village long ago" for kind in kinds)
    )
    assert not found(asked, "Describe in two friendly sentences how leather was made in your village long ago")
    assert len(found(asked, "Describe in two friendly sentences how honey was made in your village long ago")) == 1


def test_a_question_two_sets_ask_is_told_for_both_and_once_for_each():
    asked = Questions()
    for reference, number in (("a", 1), ("a", 2), ("b", 1)):
        asked.add(reference, number, BRIDGE)
    sealed = asked.sealed()
    told = [sealed.sources[match.question][:2] for match in found(sealed, BRIDGE)]
    assert told == [("a", 1), ("b", 1)]


def test_nothing_asked_and_nothing_said_match_nothing():
    assert not found(index("???", ""), "anything", "")
    assert not found(index(BRIDGE), "", "...", "😀")


def test_batches_make_no_difference():
    held, rows = planted(3, questions=60, rows=200)
    asked, texts = index(*held), [text for _, _, text in rows]
    one_by_one = [m._replace(row=row) for row, text in enumerate(texts) for m in found(asked, text)]
    assert found(asked, *texts) == one_by_one != []


def scores(seed: int) -> tuple[dict[str, float], float]:
    """Recall by way of planting, and the share of rows told that were planted."""
    held, rows = planted(seed, questions=400, rows=2400)
    texts = [text for _, _, text in rows]
    told: dict[int, set[int]] = {}
    asked = index(*held)
    for match in found(asked, *texts):
        told.setdefault(match.row, set()).add(match.question)
    right = {row for row, questions in told.items() if rows[row][1] in questions}
    recall = {}
    for way in LEAKS:
        of_way = [row for row, (planted_as, _, _) in enumerate(rows) if planted_as == way]
        recall[way] = sum(row in right for row in of_way) / len(of_way)
    return recall, len(right) / len(told)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_planted_leaks_are_found_and_little_else(seed):
    recall, precision = scores(seed)
    assert min(recall[way] for way in ("verbatim", "casing", "embedded")) >= 0.95
    assert recall["reworded"] >= 0.8
    assert precision >= 0.95


def test_templates_with_other_numbers_are_not_told():
    held, rows = planted(11, questions=300, rows=1500)
    siblings = [text for way, _, text in rows if way == "numbers"]
    assert len(siblings) > 50
    assert not found(index(*held), *siblings)


def test_planted_rewording_changes_three_words_in_ten():
    rng = random.Random(5)
    for _ in range(50):
        said = LEAKS["reworded"](BRIDGE, rng).split()
        moved = sum(a != b for a, b in zip(said, BRIDGE.split(), strict=True))
        assert moved >= 0.3 * len(said) - 1
