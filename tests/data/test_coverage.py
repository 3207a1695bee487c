"""The verb rule by examples and counter-examples; distances worked by hand."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from align.data.coverage import OTHER, lacking, nearest, request_of, table, verb_of


@pytest.mark.parametrize(
    ("request_", "verb"),
    [
        ("Explain tides.", "explain"),
        ("Please explain tides.", "explain"),
        ("Could you please list two fruits?", "list"),
        ("I want you to rewrite this.", "rewrite"),
        ("Hi! Help me write a poem.", "write"),
        ("Can you summarise it?", "summarise"),
        ("What is techno?", "what?"),
        ("What's new?", "what?"),
        ("Is it raining?", "is?"),
        ("The sentence is too wordy. Rewrite the sentence.", "rewrite"),
        ("Zorble the list backwards.", "zorble"),  # an unknown verb with an object
        ("A poem.", OTHER),
        ("Paris in May", OTHER),
        ("12 + 7", OTHER),
        ("", OTHER),
        ("我想学习", OTHER),
    ],
)
def test_the_verb_is_the_imperative_that_opens_a_request(request_: str, verb: str) -> None:
    assert verb_of(request_) == verb


def row(text: str, **more: str) -> dict:
    return {"prompt": [{"role": "system", "content": "Sort."}, {"role": "user", "content": text}], **more}


def test_the_table_counts_verbs_by_slice_else_source() -> None:
    rows = [row("List two.", slice="near"), row("List three.", source="s"), row("Sort them.", slice="near", source="s")]
    assert table(rows) == {"list": Counter(near=1, s=1), "sort": Counter(near=1)}
    assert request_of({"text": "raw"}) is None and table([{"text": "raw"}]) == {}


def test_verbs_that_evaluation_has_and_training_lacks_are_named_once_they_are_not_rare() -> None:
    evaluated = table([row("Translate it.")] * 3 + [row("Sort it.")] * 2 + [row("List it.")] * 9 + [row("Mm")] * 5)
    assert lacking(evaluated, table([row("List these.")])) == {"translate": 3}


def test_distances_are_one_minus_the_cosine_of_tfidf() -> None:
    """Trained: `red cat`, `red dog`, `blue bird`, `green fish`; red is in 2 of 4 documents, cat in 1.

    weights ln(5/3)+1 and ln(5/2)+1. Wanted `cat`: cosine = w(cat) / |(w(red), w(cat))|.
    """
    red, cat = math.log(5 / 3) + 1, math.log(5 / 2) + 1
    same, part, none = nearest(["Red CAT", "cat", "zebra"], ["red cat", "red dog", "blue bird", "green fish"])
    assert same.distance == pytest.approx(0) and same.trained == 0
    assert part.distance == pytest.approx(1 - cat / math.hypot(red, cat)) and part.trained == 0
    assert (none.distance, none.trained) == (1.0, None)


def test_a_word_that_training_never_has_makes_a_request_farther() -> None:
    near, far = nearest(["red cat", "red cat zebra"], ["red cat", "blue dog", "green fish"])
    assert far.distance > near.distance + 0.1
