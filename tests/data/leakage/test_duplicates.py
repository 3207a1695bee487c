"""Groups of rows that are the same or nearly the same, whatever order they come in."""

from __future__ import annotations

import random

import numpy as np
import pytest

from align.data.leakage.duplicates import Groups, Texts, likeness_of_prompts, likeness_of_rows
from align.data.leakage.words import fingerprint, words
from align.workloads.chats import chats, questions
from tests.data.leakage.planting import WORDS, filler, planted, problem

ROW = "Explain to a retired engineer why medieval bridges were built of stone although timber was cheaper and quicker to fell."


def groups(texts: list[str], needed=likeness_of_rows, batch: int = 1000) -> Groups:
    held = Texts()
    for start in range(0, len(texts), batch):
        some = texts[start : start + batch]
        held.add([fingerprint(text) for text in some], words(some))
    return held.groups(needed)


def partition(found: Groups, texts: list[str]) -> set[frozenset[str]]:
    """The groups as sets of what is in them."""
    by_group: dict[int, set[str]] = {}
    for text, group in zip(texts, found.of_text.tolist(), strict=True):
        by_group.setdefault(group, set()).add(text)
    return {frozenset(group) for group in by_group.values()}


def touched(text: str, rng: random.Random, places: int = 1) -> str:
    said = text.split()
    for place in rng.sample(range(len(said)), places):
        said[place] = rng.choice(WORDS)
    return " ".join(said)


def test_equal_texts_are_one_whatever_their_case_and_spacing():
    found = groups([ROW, "another text", ROW.upper().replace(" ", "\n")])
    assert found.same[0] == found.same[2] != found.same[1]
    assert (found.repeats, found.near_repeats) == (1, 0)


def test_a_text_with_a_word_in_twenty_changed_is_nearly_the_same():
    rng = random.Random(0)
    texts = [text for text in questions(200) if len(text.split()) >= 40]
    copies = [touched(text, rng, places=len(text.split()) // 20) for text in texts]
    found = groups(texts + copies)
    assert found.repeats == 0
    assert (found.of_text[: len(texts)] == found.of_text[len(texts) :]).mean() > 0.95


def test_texts_that_share_most_words_but_not_the_numbers_are_apart():
    texts = [
        f"On day 1 the ferry to the northern harbour leaves at {n} and carries {n + 7} crates of oranges"
        for n in range(40)
    ]
    assert groups(texts).near_repeats == 0
    assert groups(texts, likeness_of_prompts).near_repeats == 0


def test_texts_of_one_template_are_apart_where_the_set_has_many_of_them():
    rng = random.Random(1)
    kinds = rng.sample([f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS], 300)
    texts = [f"Please describe in two sentences how a {kind} is made and who would buy it" for kind in kinds]
    assert len(partition(groups(texts), texts)) > 290


def test_a_reworded_prompt_is_nearly_the_same_prompt_but_no_duplicate():
    prompts = [problem(random.Random(n)) for n in range(30)]
    said = touched(ROW, random.Random(2), places=3)
    asked = [ROW, said, *prompts]
    assert groups(asked, likeness_of_prompts).near_repeats == 1
    other = touched(ROW, random.Random(2), places=7)
    assert groups([ROW, other, *prompts], likeness_of_rows).near_repeats == 0


@pytest.mark.parametrize("needed", [likeness_of_rows, likeness_of_prompts])
def test_order_and_batches_change_no_group(needed):
    _, rows = planted(4, questions=150, rows=900)
    texts = [text for _, _, text in rows]
    before = partition(groups(texts, needed), texts)
    assert any(len(group) > 2 for group in before)
    mixed = random.Random(9).sample(texts, len(texts))
    assert partition(groups(mixed, needed, batch=7), mixed) == before


def test_a_group_is_joined_through_its_members():
    rng = random.Random(3)
    chain = [filler(rng, 60)]
    for _ in range(6):
        chain.append(touched(chain[-1], rng, places=3))
    found = groups([*chain, *(filler(rng, 60) for _ in range(20))])
    assert len(set(found.of_text[:7].tolist())) == 1


def test_texts_without_words_are_only_ever_the_same():
    found = groups(["???", "!!!", "???", "😀"])
    assert (found.repeats, found.near_repeats) == (1, 0)


def test_long_texts_are_compared_by_a_sketch():
    rng = np.random.default_rng(0)
    lexicon = [f"w{n}x" for n in range(30_000)]
    long = [" ".join(lexicon[i] for i in rng.integers(0, 30_000, 5000)) for _ in range(6)]
    near = [text.replace("w1", "v1") for text in long]
    held = Texts()
    held.add([fingerprint(text) for text in long + near], words(long + near))
    assert held.bytes < 12 * (256 * 4 + 40)
    assert partition(groups(long), long) == {frozenset([text]) for text in long}


def test_planted_duplicates_among_many_rows_are_found_and_no_others():
    rows = list(chats(6000))
    found = groups([row["messages"][0]["content"] + "\n" + row["messages"][1]["content"] for _, row in rows])
    same, nearly = (sum(kind == name for kind, _ in rows) for name in ("same", "nearly"))
    assert found.repeats == same > 50
    assert abs(found.near_repeats - nearly) <= 0.02 * nearly
