import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.leakage import words as module
from align.data.leakage.words import fingerprint, grams, is_number, tokens, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is the Tower?", "where  is THE tower"),
        ("It costs $1,200.", "it costs 1200"),
        ("Twelve apples and twenty pears", "12 apples and 20 pears"),
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("Straße", "STRASSE"),
    ],
)
def test_case_punctuation_and_ways_to_write_a_number_make_no_other_words(one, other):
    assert np.array_equal(words([one]).hashes, words([other]).hashes)


@pytest.mark.parametrize(
    ("one", "other"),
    [("5 + 3", "5 - 3"), ("12 apples", "13 apples"), ("1.5 litres", "15 litres"), ("naïve", "naive"), ("ab", "a b")],
)
def test_other_numbers_operators_and_letters_are_other_words(one, other):
    assert not np.array_equal(words([one]).hashes, words([other]).hashes)


def test_numbers_are_told_from_words():
    assert is_number(words(["Tom has 3 apples and twelve pears + 4 日"]).hashes).tolist() == [
        *(False, False, True, False, False, True, False, True, True, False)
    ]


def test_unspaced_scripts_are_compared_by_character():
    assert tokens("今日は good 天気") == ["今", "日", "は", "good", "天", "気"]


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_short_way_for_plain_text_gives_the_same_words(text):
    with_digit = tokens(f"{text} 7")[:-1]
    if not any(c.isdigit() for c in text) and text.rstrip()[-1:] not in tuple(module._OPERATORS):
        assert tokens(text) == with_digit


@given(st.lists(st.text(), max_size=5))
def test_words_of_several_texts_are_those_of_each(texts):
    together = words(texts)
    for place, text in enumerate(texts):
        assert np.array_equal(together.of(place), words([text]).hashes)
        assert np.array_equal(together.between(place, place + 9).of(0), words([text]).hashes)


def test_a_run_of_words_knows_their_order_and_no_text_border():
    found = words(["one cat two", "cat two three"])
    runs = grams(found.hashes, 2, found.text_of())
    assert runs[1] == runs[3] != 0  # "cat two" in both
    assert runs[2] == 0  # "two" | "cat"
    assert grams(words(["a b"]).hashes, 2)[0] != grams(words(["b a"]).hashes, 2)[0]
    assert not len(grams(words(["a b"]).hashes, 3))


def test_a_fingerprint_keeps_punctuation_and_drops_case_and_spaces():
    assert fingerprint("A  b\n") == fingerprint("a B")
    assert fingerprint("a[i]") != fingerprint("a(i)")
