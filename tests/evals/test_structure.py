"""The form of answers, by hand."""

from __future__ import annotations

import pytest

from align.evals import structure


@pytest.mark.parametrize(
    ("kind", "text", "holds"),
    [
        ("json", '{"a": [1, 2, "ü"]}', True),
        ("json", " [1]\n", True),
        ("json", '"a text"', False),
        ("json", '{"a": NaN}', False),
        ("json", 'Here it is: {"a": 1}', False),
        ("json", "[" * 100_000, False),
        ("list", "- one\n- two", True),
        ("list", "1. one\n   and more of it\n2) two", True),
        ("list", "- one", False),
        ("list", "First:\n- one\n- two", False),
        ("list", "- one\n- two\nThat is all.", False),
        ("list", "", False),
        ("tags", "[ music, detroit, fast, dances ]", True),
        ("tags", "[ music, fast ] [ food ]", True),
        ("tags", "[ music, fast", False),
        ("tags", "<a><b>x</b><c/></a>", True),
        ("tags", "<a><b>x</a></b>", False),
        ("tags", "plain words", False),
    ],
)
def test_a_structure_is_the_whole_answer_or_not_there(kind: str, text: str, holds: bool) -> None:
    assert structure.matches(text, structure=kind) is holds


def test_a_pattern_has_to_match_the_whole_answer() -> None:
    assert structure.matches(" the fast\nmusic ", pattern=r"the .* music|the fast.music")
    assert not structure.matches("the fast music!", pattern="the fast music")


def test_a_turn_of_somebody_else_and_special_tokens_written_out_are_seen() -> None:
    assert structure.other_turn("Sure.\nUser: and then?") and structure.other_turn("### Human: hi")
    assert not structure.other_turn("The user: a person. Ask the assistant, says he: no")
    assert structure.spelled_special("ok<|im_end|>", ()) and structure.spelled_special("x [/INST] y", ())
    assert structure.spelled_special("a <stop> b", ["<stop>"]) and not structure.spelled_special("a < b | c > d", ())
