"""What two sets answer to the same question, worked by hand."""

from align.data.disagreement import answers_of, between
from tests.tiny import pairs


def chat(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def pair(question: str, chosen: str, rejected: str) -> dict:
    turns = {
        name: [{"role": "assistant", "content": text}] for name, text in (("chosen", chosen), ("rejected", rejected))
    }
    return {"prompt": [{"role": "user", "content": question}], **turns}


CHATS = [chat("Capital of France?", "Paris."), chat("2+2?", "Four."), chat("Sky?", "Blue."), chat("Alone?", "Yes.")]
PAIRS = [
    pair("capital of  FRANCE?", "paris.", "Lyon."),  # the same answer
    pair("2+2?", "It is four.", "Five."),  # another one
    pair("Sky?", "Grey.", "blue."),  # rejected here
]


def test_answers_that_differ_and_answers_that_the_other_set_rejects_are_told_apart():
    found = between(answers_of(CHATS), answers_of(PAIRS))
    assert found.shared == ["2+2?", "capital of france?", "sky?"]
    assert found.other == ["2+2?", "sky?"] and found.opposed == ["sky?"]
    turned = between(answers_of(PAIRS), answers_of(CHATS))
    assert turned.opposed == ["sky?"] and turned.other == ["2+2?", "sky?"]


def test_answers_judged_alone_count_by_their_label():
    judged = {
        "prompt": [{"role": "user", "content": "Sky?"}],
        "completion": [{"role": "assistant", "content": "Blue."}],
    }
    assert between(answers_of(CHATS), answers_of([{**judged, "label": False}])).opposed == ["sky?"]
    assert between(answers_of(CHATS), answers_of([{**judged, "label": True}])).opposed == []


def test_sets_of_other_questions_and_rows_without_answers_disagree_in_nothing():
    found = between(answers_of(CHATS), answers_of([*pairs(10), {"text": "Sky? Grey."}, {"input_ids": [1, 2]}]))
    assert found.shared == found.other == found.opposed == []
