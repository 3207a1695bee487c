"""Every known format beyond the plain ones: an example, and counter-examples that are refused with a reason."""

import pytest

from align.data.conversations import CannotConvert
from align.data.files import RawRow
from align.data.formats import detect
from align.data.known_formats import FORMS
from align.errors import DataError
from align.schema import row_problem
from align.specs.prepare import FORMATS
from tests.data.test_formats import ASKED, GREETED, PAIR, assistant, system, user

HH = "\n\nHuman: hi\n\nAssistant: ho\n\nHuman: 2+2?\n\nAssistant: {}"
GREETED_PAIR = {**PAIR, "prompt": [*GREETED, user("2+2?")]}
KTO = {"prompt": [user("2+2?")], "completion": [assistant("4")], "label": True}
FEEDBACK = {
    "instruction": "2+2?", "source": "flan", "models": ["a", "b", "c"],
    "completions": [
        {"response": "4", "overall_score": 2.0, "annotations": {"honesty": {"Rating": "5"}, "truthfulness": {"Rating": "4"}}},
        {"response": "5", "overall_score": 9.0, "annotations": {"honesty": {"Rating": "1"}, "truthfulness": {"Rating": "N/A"}}},
        {"response": "four", "annotations": {"honesty": {"Rating": "4"}, "truthfulness": {"Rating": "5"}}},
    ],
}  # fmt: skip
FOUR, FIVE, WORD = ([assistant(text)] for text in ("4", "5", "four"))
TREE = {
    "message_tree_id": "t1",
    "prompt": {"text": "2+2?", "role": "prompter", "replies": [
        {"text": "5", "role": "assistant", "rank": 1, "replies": []},
        {"text": "4", "role": "assistant", "rank": 0, "replies": [
            {"text": "sure?", "role": "prompter", "replies": [{"text": "yes", "role": "assistant", "rank": None, "replies": []}]},
            {"text": "thanks", "role": "prompter", "replies": [{"text": "ok", "role": "assistant", "replies": []}]},
            {"text": "spam", "role": "prompter", "deleted": True, "replies": [{"text": "x", "role": "assistant", "replies": []}]},
        ]},
        {"text": "rude", "role": "assistant", "rank": 2, "deleted": True, "replies": []},
    ]},
}  # fmt: skip

CASES = [
    ("messages", {"messages": [{"User": "2+2?"}, {"System": "4"}]}, "single-key turns", [{"messages": ASKED}]),
    (
        "messages", {"messages": [{"System": "Be exact."}, {"User": "2+2?"}, {"System": "4"}]}, "single-key turns",
        [{"messages": [system("Be exact."), *ASKED]}],
    ),
    (
        "messages", {"conversations": [{"system": "s", "user": None}, {"system": None, "user": "q"}, {"assistant": "a"}]},
        "single-key turns", [{"messages": [system("s"), user("q"), assistant("a")]}],
    ),
    ("prompt", {"messages": [{"User": "2+2?"}, {"System": "4"}]}, "single-key", [{"prompt": [user("2+2?")], "reference": "4"}]),
    ("messages", {"text": HH.format("4")}, "transcripts", [{"messages": [*GREETED, *ASKED]}]),
    (
        "preference", {"chosen": HH.format("4"), "rejected": HH.format("5")}, "Anthropic HH, implicit prompt", [GREETED_PAIR],
    ),
    ("prompt", {"chosen": HH.format("4"), "rejected": HH.format("5")}, "Anthropic HH", [{"prompt": GREETED_PAIR["prompt"]}]),
    (
        "preference", {"prompt": HH.format(""), "chosen": " 4", "rejected": " 5"},
        "Anthropic HH, prompt in a column of its own", [GREETED_PAIR],
    ),
    ("prompt", {"prompt": HH.format("")}, "prompts as transcripts", [{"prompt": GREETED_PAIR["prompt"]}]),
    (
        "preference",
        {"conversations": [{"from": "human", "value": "2+2?"}], "chosen": {"from": "gpt", "value": "4"},
         "rejected": {"from": "gpt", "value": "5"}},
        "LLaMA-Factory ranking", [PAIR],
    ),
    ("preference", {"messages": ASKED, "rejected_response": "5"}, "ms-swift", [PAIR]),
    (
        "preference", FEEDBACK, "completions with ratings (UltraFeedback) -> pairs",
        [{"prompt": [user("2+2?")], "chosen": FOUR, "rejected": FIVE, "source": "flan", "ranking": "a88eab2346ccb8e3"},
         {"prompt": [user("2+2?")], "chosen": WORD, "rejected": FIVE, "source": "flan", "ranking": "a88eab2346ccb8e3"}],
    ),
    (
        "ranking", FEEDBACK, "completions with ratings",
        [{"prompt": [user("2+2?")], "completions": [FOUR, FIVE, WORD], "ranks": [1, 2, 1], "source": "flan"}],
    ),
    (
        "scored_generation", {"prompt": "2+2?", "completions": ["4", "5"], "scores": [0.5, -1]}, "with scores -> each alone",
        [{"prompt": [user("2+2?")], "completion": FOUR, "score": 0.5, "source": "scored"},
         {"prompt": [user("2+2?")], "completion": FIVE, "score": -1.0, "source": "scored"}],
    ),
    ("preference", {"prompt": "2+2?", "completions": ["5", "4"], "ranks": [2, 1], "axis": "helpful"}, "with ranks -> pairs",
     [{**PAIR, "axis": "helpful"}]),
    ("preference", {"prompt": "2+2?", "chosen": "4", "rejected": "5", "ranking": "r7"}, "as text", [{**PAIR, "ranking": "r7"}]),
    ("unpaired_preference", {"prompt": "2+2?", "completion": "4", "label": "True"}, "answers judged alone (KTO)", [KTO]),
    ("unpaired_preference", {"messages": ASKED, "kto_tag": True}, "judged by kto_tag (KTO)", [KTO]),
    ("unpaired_preference", {"messages": ASKED, "label": 1}, "judged by label (KTO)", [KTO]),
    ("unpaired_preference", {"instruction": "2+2?", "input": "", "output": "4", "kto_tag": True}, "kto_tag (KTO)", [KTO]),
    (
        "unpaired_preference", {"prompt": "2+2?", "chosen": "4", "rejected": "5"}, "-> each side alone",
        [KTO, {**KTO, "completion": FIVE, "label": False}],
    ),
    (
        "messages",
        {"id": "t", "instruction": "Add.", "instances": [{"input": "2 2", "output": "4"}, {"input": "", "output": "?"}]},
        "Self-Instruct tasks",
        [{"messages": [user("Add.\n\n2 2"), assistant("4")], "id": "t/1"},
         {"messages": [user("Add."), assistant("?")], "id": "t/2"}],
    ),
    (
        "prompt", {"instruction": "Add.", "instances": [{"input": "2 2", "output": "4"}]}, "Self-Instruct tasks",
        [{"prompt": [user("Add.\n\n2 2")], "reference": "4"}],
    ),
    (
        "preference", TREE, "OpenAssistant trees", [PAIR],
    ),
    ("ranking", TREE, "OpenAssistant trees", [{"prompt": [user("2+2?")], "completions": [FOUR, FIVE], "ranks": [1, 2]}]),
    (
        "messages", TREE, "OpenAssistant trees",
        [{"messages": [*ASKED, user("sure?"), assistant("yes")]},
         {"messages": [user("2+2?"), {**assistant("4"), "train": False}, user("thanks"), assistant("ok")]}],
    ),
    (
        "prompt", TREE, "OpenAssistant trees",
        [{"prompt": [user("2+2?")]}, {"prompt": [*ASKED, user("sure?")]}, {"prompt": [*ASKED, user("thanks")]}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row_type", "raw", "told", "wanted"), CASES)
def test_a_format_is_detected_told_and_converted(row_type, raw, told, wanted):
    found = detect([raw], row_type)
    assert told in found.told
    rows = found.rows(raw)
    assert rows == wanted
    assert [row_problem(row_type, row) for row in rows] == [None] * len(rows)


def test_what_a_recipe_may_name_is_what_there_is():
    assert {row_type: set(names) for row_type, names in FORMATS.items()} == {
        row_type: {form.name for form in forms} for row_type, forms in FORMS.items()
    }


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([{"User": "a"}, {"System": "b"}, {"Assistant": "c"}], "messages_ambiguous"),
        ([{"User": "a"}, {"Assistant": "b"}, {"User": "c"}, {"System": "d"}], "messages_ambiguous"),
        ([{"User": "a"}, {"System": "b"}, {"System": "c"}], "messages_ambiguous"),
        ([{"System": "a"}, {"System": "b"}, {"User": "c"}], "messages_ambiguous"),
        ([{"User": "a"}, {"User": "b"}], "messages_ambiguous"),
        ([{"User": "a", "System": "b"}], "messages_single_key"),
        ([{"User": "a"}, {"Narrator": "b"}], "messages_role"),
        ([{"User": "a"}, "b"], "messages_single_key"),
        ("User: a", "messages_type"),
    ],
)
def test_single_key_turns_that_do_not_say_who_speaks_are_refused(turns, reason):
    found = detect([CASES[0][1]], "messages")
    with pytest.raises(CannotConvert) as error:
        found.rows({"messages": turns})
    assert error.value.reason == reason


HH_PAIR = {"chosen": HH.format("4"), "rejected": HH.format("5")}
SWIFT = {"messages": ASKED, "rejected_response": "5"}
RANKED = {"prompt": "a", "completions": ["b", "c"], "ranks": [1, 2]}
JUDGED = {"prompt": "a", "completion": "b", "label": True}
OTHERS = [
    ("preference", HH_PAIR, {"chosen": "4", "rejected": "5"}, "chosen_not_transcript"),
    (
        "preference", HH_PAIR,
        {"chosen": HH.format("4"), "rejected": "\n\nHuman: other\n\nAssistant: 5"}, "prompt_not_shared",
    ),
    ("preference", SWIFT, {**SWIFT, "messages": ASKED[:1]}, "messages_last_role"),
    (
        "preference", FEEDBACK, {**FEEDBACK, "completions": [{"response": "4"}, {"response": "5", "score": 1}]},
        "completions_ratings",
    ),
    ("ranking", RANKED, {**RANKED, "ranks": [1]}, "ranks_count"),
    (
        "preference", {"prompt": "a", "completions": ["b", "c"], "scores": [1, 2]},
        {"prompt": "a", "completions": ["b", "c"], "scores": [1, "high"]}, "scores_type",
    ),
    ("unpaired_preference", JUDGED, {**JUDGED, "label": "good"}, "label_type"),
    ("unpaired_preference", {"messages": ASKED, "kto_tag": True}, {"messages": ASKED[:1], "kto_tag": True}, "completion_missing"),
    (
        "prompt", {"instruction": "a", "instances": [{"input": "", "output": "b"}]}, {"instruction": "a", "instances": ["b"]},
        "instances_type",
    ),
    ("preference", TREE, {"prompt": {"text": "a", "role": "prompter", "replies": []}}, "replies_ranks"),
    ("messages", TREE, {"prompt": {"text": "a", "role": "prompter", "replies": []}}, "replies_missing"),
    ("messages", TREE, {"prompt": {"text": None, "role": "prompter", "replies": []}}, "replies_type"),
    ("messages", {"messages": ASKED}, {"messages": ASKED, "images": ["cat.png"]}, "images_unsupported"),
    ("messages", {"messages": ASKED}, {"messages": ASKED, "tools": '[{"name": "search"}]'}, "tools_unsupported"),
    ("messages", {"messages": ASKED}, {"conversations": [{"from": "human", "value": "a"}]}, "other_format_sharegpt"),
]  # fmt: skip


@pytest.mark.parametrize(("row_type", "first", "raw", "reason"), OTHERS)
def test_a_counter_example_is_refused_with_a_reason(row_type, first, raw, reason):
    with pytest.raises(CannotConvert) as error:
        detect([first], row_type).rows(raw)
    assert error.value.reason == reason


def test_a_few_odd_rows_among_the_first_do_not_choose_the_format():
    """One of another form is the one told as odd; and rows with a rest of a transcript are no plain text."""
    odd = {"messages": [{"User": "2+2?"}, {"System": "4"}]}
    assert detect([odd, {"messages": ASKED}, {"messages": ASKED}], "messages").told == "chat messages"
    human = {"prompt": "\n\nHuman: 2+2?\n\nAssistant:", "chosen": " 4", "rejected": " 5"}
    found = detect([{**human, "prompt": "2+2?"}, human, human], "preference")
    assert found.told == "Anthropic HH, prompt in a column of its own"


def test_empty_columns_of_tools_and_images_lose_nothing():
    found = detect([{"messages": ASKED}], "messages")
    assert found.rows({"messages": ASKED, "images": [], "tools": "[]", "audios": None}) == [{"messages": ASKED}]


def test_ties_are_left_out_and_counted():
    found = detect([FEEDBACK], "preference")
    assert len(found.rows(FEEDBACK)) == 2
    assert found.ties == 1


def test_a_row_of_ties_alone_gives_no_pair():
    raw = {"prompt": "a", "completions": ["b", "c"], "ranks": [1, 1]}
    assert detect([raw], "preference").rows(raw) == []


def test_rows_that_came_of_one_row_have_ids_of_their_own():
    rows = detect([{**FEEDBACK, "id": "u"}], "preference").rows({**FEEDBACK, "id": "u"})
    assert [row["id"] for row in rows] == ["u/1", "u/2"]


def flat(tree: str = "t", *without: str) -> list[dict]:
    rows = [
        {"message_id": f"{tree}1", "parent_id": None, "role": "prompter", "text": "2+2?", "rank": None},
        {"message_id": f"{tree}2", "parent_id": f"{tree}1", "role": "assistant", "text": "5", "rank": 1},
        {"message_id": f"{tree}3", "parent_id": f"{tree}1", "role": "assistant", "text": "4", "rank": 0},
    ]
    return [{**row, "message_tree_id": tree} for row in rows if row["message_id"] not in without]


def gathered(rows: list[dict], row_type: str):
    found = detect(rows, row_type)
    return found, list(found.units(RawRow("f", n, row) for n, row in enumerate(rows, 1)))


def test_the_messages_of_a_tree_are_gathered_from_their_rows():
    found, units = gathered(flat("a") + flat("b"), "preference")
    assert [(unit.number, unit.rows) for unit in units] == [(1, 3), (4, 3)]
    assert [found.rows(unit.values) for unit in units] == [[PAIR], [PAIR]]


def test_a_message_whose_parent_is_not_there_is_refused():
    found, (unit,) = gathered(flat("a", "a1"), "messages")
    with pytest.raises(CannotConvert) as error:
        found.rows(unit.values)
    assert error.value.reason == "parent_missing"


def test_a_tree_that_goes_on_after_another_is_told_with_its_row():
    with pytest.raises(DataError, match=r"row 7.*tree a, which ended further up.*Sort the rows"):
        gathered(flat("a") + flat("b") + flat("a"), "messages")


def test_token_ids_are_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"token ids \(input_ids\).*say as: tokens"):
        detect([{"input_ids": [1, 2], "labels": [-100, 2]}], "messages", where="tokens.jsonl")


def test_token_ids_beside_text_are_only_not_used():
    found = detect([{"text": "a", "input_ids": [1]}], "text")
    assert found.rows({"text": "a", "input_ids": [1]}) == [{"text": "a"}]
    assert found.unused == {"input_ids": 1}


def test_a_rejected_answer_is_not_imitated():
    for raw in ({"prompt": "a", "completion": "b", "label": False}, {"messages": ASKED, "kto_tag": False}):
        with pytest.raises(DataError, match="Say as: unpaired_preference"):
            detect([raw], "messages")


def test_a_format_that_is_named_is_taken_whatever_would_be_detected():
    raw = {"messages": ASKED, "prompt": "hi", "completion": "ho"}
    assert detect([raw], "messages").told == "chat messages"
    assert detect([raw], "messages", name="prompt_completion").rows(raw) == [{"messages": GREETED}]
    with pytest.raises(DataError, match=r"in the format sharegpt.*Say format: chat, or leave format out"):
        detect([raw], "messages", name="sharegpt")
