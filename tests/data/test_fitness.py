"""Fitness in numbers worked by hand, and a verdict for each threshold from either side of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from align.data.fitness import (
    Sizes,
    Slice,
    compressed,
    language_of,
    letters_entropy,
    measure,
    reference_encoder,
    verdicts,
    words_in,
)
from tests.tiny import texts

SOUND = Slice(
    "all", "en", 100, Sizes(1000, 6000, 1300), Sizes(1000, 6000, 1200), 500, 64, 0.0,
    bits_per_byte=1.0, blind=4.2, compressed=2.5,
)  # fmt: skip


def names(found: Slice) -> list[str]:
    return [verdict.name for verdict in verdicts(found)]


def test_sizes_are_counted_token_by_token() -> None:
    """Two words of 3 and 5 bytes (é has 2); a token a character; `d` unknown, every vowel a piece."""
    ids = {letter: number for number, letter in enumerate("abcdehélo ")}
    sizes = measure(
        ["abd", "hélo"], lambda batch: [[ids[c] for c in text] for text in batch], ids["d"], lambda t: t == ids["é"]
    )
    assert sizes == Sizes(2, 8, 7, unknown=1, pieces=1)
    assert (sizes.fertility, round(sizes.bytes_per_token, 3)) == (3.5, 1.143)


@pytest.mark.parametrize(("text", "words"), [("two words", 2), ("音乐很好听", 5 / 1.5), ("ภาษา", 1), ("don't_x", 3)])
def test_words_are_counted_also_where_nobody_writes_spaces(text: str, words: float) -> None:
    assert words_in(text) == pytest.approx(words, abs=0.3)


def test_languages_are_told_and_a_mixture_is_called_one() -> None:
    german = ["Der schnelle braune Fuchs springt über den faulen Hund und läuft davon."] * 3
    english = ["The quick brown fox jumps over the lazy dog and then runs away."] * 3
    french = ["Le renard brun saute par-dessus le chien paresseux et puis il part."] * 3
    assert language_of(german) == "de"
    assert language_of(english) == "en"
    assert language_of(german + english + french) == "mixed"


def test_who_counts_letters_needs_the_entropy_and_who_repeats_needs_less() -> None:
    assert letters_entropy(["aabb"]) == 1.0
    assert letters_entropy(["abcd"]) == 2.0
    assert compressed(["ab" * 1000]) < 0.2 < letters_entropy(["ab" * 1000])


def test_a_sound_base_fits() -> None:
    assert names(SOUND) == ["fits"]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"sizes": Sizes(1000, 6000, 1300, unknown=2)}, "wrong base"),
        ({"bits_per_byte": 4.2}, "wrong base"),
        ({"bits_per_byte": 2.5}, "domain-adapt first"),
        ({"reference": Sizes(1000, 6000, 900)}, "extend the vocabulary"),
        ({"sizes": Sizes(1000, 6000, 1300, pieces=270)}, "extend the vocabulary"),
        ({"over_context": 0.011}, "extend the context"),
        ({"sizes": Sizes(100, 1900, 1300)}, "too little to judge"),
    ],
)
def test_each_threshold_has_its_verdict(change: dict, verdict: str) -> None:
    assert names(replace(SOUND, **change)) == [verdict]


@pytest.mark.parametrize(
    "change",
    [
        {"sizes": Sizes(1000, 6000, 1300, unknown=1)},
        {"bits_per_byte": 2.4},
        {"reference": Sizes(1000, 6000, 950)},
        {"sizes": Sizes(1000, 6000, 1300, pieces=250)},
        {"over_context": 0.01},
    ],
)
def test_just_inside_a_threshold_it_fits(change: dict) -> None:
    assert names(replace(SOUND, **change)) == ["fits"]


def test_what_extending_saves_and_costs_is_told() -> None:
    (verdict,) = verdicts(replace(SOUND, reference=Sizes(1000, 6000, 650), new_tokens=3000, width=512))
    assert "saves 50% of tokens, at the cost of 3,000 new tokens, 1.54M parameters to learn" in verdict.why


def test_a_small_models_cost_is_told_in_a_number_that_says_something() -> None:
    (verdict,) = verdicts(replace(SOUND, reference=Sizes(1000, 6000, 650), new_tokens=300, width=16))
    assert "300 new tokens, 4.8k parameters to learn" in verdict.why


def test_a_vocabulary_made_for_invented_words_spells_them_in_fewer_tokens() -> None:
    """Words of a language that no tokenizer knows: letter by letter against the tokenizer that the text makes."""
    rng = random.Random(0)
    lexicon = ["".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(4)) for _ in range(50)]
    body = [" ".join(rng.choice(lexicon) for _ in range(40)) for _ in range(60)]
    encode, tokens = reference_encoder(body[::2], 600)
    letters = measure(body[1::2], lambda batch: [list(text.encode()) for text in batch])
    reference = measure(body[1::2], encode)
    assert reference.tokens < letters.tokens / 4 and set(lexicon) <= {token.strip() for token in tokens}
    assert names(Slice("all", "?", 30, letters, reference))[0] == "extend the vocabulary"


def test_a_text_it_was_made_for_costs_a_tokenizer_no_more_elsewhere_in_the_same_text() -> None:
    body = [row["text"] for row in texts(200)]
    encode, _ = reference_encoder(body[::2])
    assert measure(body[1::2], encode).fertility == pytest.approx(1.0, abs=0.1)
