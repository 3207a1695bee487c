import pytest
from langdetect import detector_factory
from pydantic import ValidationError

from align.data import filters
from align.data.row_statistics import Texts
from align.specs.filters import LANGUAGES, Filters

ENGLISH = "The cat sat on the mat and looked at the rain for a long time."
GERMAN = "Die Katze saß auf der Matte und sah lange Zeit dem Regen zu."


def left_out(settings: dict, *texts: Texts) -> list[str | None]:
    sieves = filters.asked(Filters(**settings))
    found = [next((why for sieve in sieves if (why := sieve({}, each))), None) for each in texts]
    return [why and why.reason for why in found]


def answer(text: str, prompt: str = "q") -> Texts:
    return Texts(prompt, (text,))


def test_lengths_have_two_ends_and_both_are_kept():
    words = {"length": {"of": "answer", "unit": "words", "min": 2, "max": 3}}
    assert left_out(words, *map(answer, ("a", "a b", "a b c", "a b c d"))) == [
        "length_answer_short",
        None,
        None,
        "length_answer_long",
    ]
    characters = {"length": [{"max": 4}, {"of": "prompt", "min": 1}]}
    assert left_out(characters, answer("abc"), answer("abcd"), answer("abc", "")) == [
        None,
        "length_row_long",
        "length_prompt_short",
    ]


def test_both_answers_of_a_pair_have_to_be_of_the_length():
    assert left_out({"length": {"of": "answer", "max": 3}}, Texts("q", ("abc", "abcd"))) == ["length_answer_long"]


def test_another_language_is_left_out_and_a_row_of_few_letters_stays():
    assert left_out({"language": "en"}, *map(answer, (ENGLISH, GERMAN, "2 + 2 = vier"))) == [None, "language_de", None]
    assert left_out({"language": ["de", "en"]}, answer(GERMAN)) == [None]


def test_languages_are_those_that_are_told_apart():
    detector_factory.init_factory()
    assert sorted(LANGUAGES) == sorted(detector_factory._factory.get_lang_list())


def test_the_first_of_equal_rows_or_prompts_is_kept():
    rows = [answer("a"), answer("a"), answer("b"), answer("b", "other")]
    assert left_out({"duplicates": "rows"}, *rows) == [None, "duplicate_rows", None, None]
    assert left_out({"duplicates": "prompts"}, *rows) == [None, "duplicate_prompts", "duplicate_prompts", None]


def test_a_row_that_is_left_out_is_no_first_one():
    assert left_out({"length": {"min": 3}, "duplicates": "prompts"}, answer("a"), answer("abc")) == [
        "length_row_short",
        None,
    ]


def test_only_pairs_can_have_identical_sides():
    (sieve,) = filters.always("preference")
    found = sieve({}, Texts("q", ("same", "same \n")))
    assert found and found.reason == "identical_sides" and not found.asked
    assert sieve({}, Texts("q", ("same", "Same"))) is None
    assert filters.always("messages") == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"length": {}}, "needs min or max"),
        ({"length": {"min": 5, "max": 4}}, "min 5 is above max 4"),
        ({"language": "english"}, "language english is not known"),
    ],
)
def test_filters_that_cannot_be_meant_are_refused(settings, told):
    with pytest.raises(ValidationError, match=told):
        Filters(**settings)
