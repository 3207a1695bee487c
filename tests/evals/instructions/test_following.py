"""Strict and loose, over responses made to comply and to just fail, and what wrong rows are told."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import langdetect
import pytest

from align.errors import DataError
from align.evals.instructions.following import follows, loosely, variants
from align.evals.instructions.registry import CHECKS, FAMILIES, family, instruction
from tests.instruction_responses import compliant, near_miss
from tests.instruction_texts import LANGUAGES, noise

RELATIONS = ("at least", "less than")
# What each instruction is asked with here: small numbers, so that a text is a matter of microseconds.
ASKED: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "change_case:capital_word_frequency": lambda rng: {
        "capital_frequency": rng.randint(1, 6), "capital_relation": rng.choice(RELATIONS)
    },
    "combination:repeat_prompt": lambda rng: {"prompt_to_repeat": rng.choice(("Write a poem. ", "Why, then?\nSay so."))},
    "detectable_content:number_placeholders": lambda rng: {"num_placeholders": rng.randint(1, 5)},
    "detectable_content:postscript": lambda rng: {"postscript_marker": rng.choice(("P.S.", "P.P.S"))},
    "detectable_format:multiple_sections": lambda rng: {
        "section_spliter": rng.choice(("SECTION", "Day")), "num_sections": rng.randint(1, 4)
    },
    "detectable_format:number_bullet_lists": lambda rng: {"num_bullets": rng.randint(1, 5)},
    "detectable_format:number_highlighted_sections": lambda rng: {"num_highlights": rng.randint(1, 4)},
    "keywords:existence": lambda rng: {"keywords": rng.sample(["zebra", "Kiwi", "wifi-box", "C++"], 2)},
    "keywords:forbidden_words": lambda rng: {"forbidden_words": rng.sample(["zebra", "Kiwi", "hot dog"], 2)},
    "keywords:frequency": lambda rng: {"keyword": "zebra", "frequency": rng.randint(1, 4), "relation": rng.choice(RELATIONS)},
    "keywords:letter_frequency": lambda rng: {
        "letter": rng.choice("qzE#"), "let_frequency": rng.randint(1, 4), "let_relation": rng.choice(RELATIONS)
    },
    "language:response_language": lambda rng: {"language": rng.choice(sorted(set(LANGUAGES) - {"en"}))},
    "length_constraints:nth_paragraph_first_word": lambda rng: {
        "num_paragraphs": rng.randint(2, 4), "nth_paragraph": rng.randint(1, 2), "first_word": rng.choice(("zebra", "Kiwi"))
    },
    "length_constraints:number_paragraphs": lambda rng: {"num_paragraphs": rng.randint(1, 5)},
    "length_constraints:number_sentences": lambda rng: {"num_sentences": rng.randint(2, 9), "relation": rng.choice(RELATIONS)},
    "length_constraints:number_words": lambda rng: {"num_words": rng.randint(5, 60), "relation": rng.choice(RELATIONS)},
    "startend:end_checker": lambda rng: {"end_phrase": rng.choice(("That is all.", "Any questions?"))},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_text_made_to_comply_follows_and_one_that_just_fails_does_not(name: str) -> None:
    rng = random.Random(name)
    for _ in range(25):
        asked = [(name, ASKED.get(name, lambda rng: {})(rng))]
        good, bad = compliant(asked, rng), near_miss(asked, rng)
        assert follows(*asked[0], good) and loosely(*asked[0], good), (asked, good)
        assert not follows(*asked[0], bad), (asked, bad)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_blank_response_follows_nothing_and_whatever_follows_strictly_follows_loosely(name: str) -> None:
    rng = random.Random(name)
    for _ in range(10):
        arguments, text = ASKED.get(name, lambda rng: {})(rng), noise(rng)
        assert not any(found(name, arguments, blank) for found in (follows, loosely) for blank in ("", " \n\t"))
        assert loosely(name, arguments, text) or not follows(name, arguments, text)


def test_loosely_forgives_an_opening_line_a_closing_line_and_asterisks() -> None:
    quotation, ending = ("startend:quotation", {}), ("startend:end_checker", {"end_phrase": "All done."})
    for response in ('Sure:\n"Hi."', '"Hi."\nBye.', 'Sure:\n"Hi."\nBye.', '*"Hi."*', 'Sure:\n**"Hi."**\nBye.'):
        assert loosely(*quotation, response) and not follows(*quotation, response)
    assert not loosely(*quotation, 'Sure:\nHere:\n"Hi."')
    assert loosely(*ending, "*All done.*") and not loosely(*ending, "All done. _Bye_")


def test_there_are_eight_variants() -> None:
    assert variants("*a*\nb\n*c*") == ["*a*\nb\n*c*", "b\n*c*", "*a*\nb", "b", "a\nb\nc", "b\nc", "a\nb", "b"]


def test_a_language_is_told_alike_every_time_and_nobody_elses_detector_is_touched() -> None:
    doubtful = "hallo ik ben hier og du er der"  # without a seed it is Danish or Norwegian, about as often
    langdetect.DetectorFactory.seed = None
    assert len({follows("language:response_language", {"language": "da"}, doubtful) for _ in range(40)}) == 1
    assert langdetect.DetectorFactory.seed is None


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("keyword:existence", {}, "there is no instruction 'keyword:existence'. It is one of IFEval's 25. "
         "Did you mean keywords:existence?"),
        ("keywords:existence", {"keywords": None}, "keywords:existence lacks its argument keywords. It takes keywords."),
        ("keywords:existence", {"keyword": ["a"]}, "keywords:existence has no argument keyword. It takes keywords. "
         "Did you mean keywords?"),
        ("startend:quotation", {"mark": '"'}, "startend:quotation has no argument mark. It takes no arguments."),
        ("keywords:existence", {"keywords": []}, "keywords of keywords:existence is []."),
        ("length_constraints:number_words", {"num_words": 3, "relation": "at most"},
         "relation of length_constraints:number_words is 'at most'. Input should be 'less than' or 'at least'."),
        ("length_constraints:number_words", {"num_words": "x", "relation": "at least"},
         "num_words of length_constraints:number_words is 'x'."),
        ("language:response_language", {"language": "zh"}, "language of language:response_language is 'zh'."),
    ],
)  # fmt: skip
def test_a_wrong_row_is_told_where_it_stands_what_is_wrong_and_what_is_right(
    name: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        instruction(name, arguments, "prompts.jsonl, row 3")
    assert str(caught.value).startswith(f"prompts.jsonl, row 3: {said}")


def test_arguments_that_other_instructions_have_may_be_there_as_none() -> None:
    arguments = {"num_words": 2.0, "relation": "at least", "keywords": None, "language": None}
    assert follows("length_constraints:number_words", arguments, "Two words.")


def test_the_families_are_the_papers_nine() -> None:
    assert len(FAMILIES) == 9
    assert family("startend:quotation") == "startend"
