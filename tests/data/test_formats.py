import pytest

from align.data.conversations import CannotConvert
from align.data.formats import FORMS, detect
from align.errors import DataError
from align.schema import ROW_TYPES, row_problem


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}


def system(text: str) -> dict:
    return {"role": "system", "content": text}


ASKED = [user("2+2?"), assistant("4")]
GREETED = [user("hi"), assistant("ho")]
ULTRAFEEDBACK = {
    "prompt": "2+2?", "prompt_id": "ab", "chosen": [user("2+2?"), assistant("4")], "rejected": [user("2+2?"), assistant("5")],
    "messages": ASKED, "score_chosen": 9.0,
}  # fmt: skip
PAIR = {"prompt": [user("2+2?")], "chosen": [assistant("4")], "rejected": [assistant("5")]}

CASES = [
    ("text", {"text": "words"}, "plain text", {"text": "words"}),
    ("messages", {"messages": ASKED, "prompt": "2+2?"}, "chat messages", {"messages": ASKED}),
    ("messages", {"messages": ASKED, "system": "Be exact."}, "chat messages", {"messages": [system("Be exact."), *ASKED]}),
    (
        "messages",
        {"messages": [system(" "), {**user("2+2?"), "name": "Ann"}, {**assistant("4"), "train": None, "tool_calls": None}]},
        "chat messages", {"messages": ASKED},
    ),
    (
        "messages", {"messages": [user([{"type": "text", "text": "2"}, {"type": "text", "text": "+2?"}]), assistant("4")]},  # type: ignore[arg-type]
        "chat messages", {"messages": ASKED},
    ),
    (
        "messages",
        {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        "ShareGPT conversations", {"messages": [system("s"), user("q"), assistant("a")]},
    ),
    ("messages", {"conversations": ASKED}, "chat messages in the column conversations", {"messages": ASKED}),
    ("messages", {"prompt": "2+2?", "completion": "4"}, "prompt and completion", {"messages": ASKED}),
    ("messages", {"prompt": [user("2+2?")], "completion": assistant("4")}, "prompt and completion", {"messages": ASKED}),
    ("messages", {"prompt": [user("2+2?")], "completion": ASKED}, "prompt and completion", {"messages": ASKED}),
    (
        "messages", {"instruction": "Add.", "input": "2 and 2", "output": "4", "system": "s", "history": [["hi", "ho"]]},
        "Alpaca instructions",
        {"messages": [system("s"), user("hi"), assistant("ho"), user("Add.\n\n2 and 2"), assistant("4")]},
    ),
    ("messages", {"instruction": "2+2?", "input": "", "output": "4"}, "Alpaca instructions", {"messages": ASKED}),
    ("prompt", {"prompt": "2+2?"}, "prompts as text", {"prompt": [user("2+2?")]}),
    ("prompt", {"prompt": [user("2+2?")]}, "prompts as turns", {"prompt": [user("2+2?")]}),
    (
        "prompt", {"messages": ASKED}, "chat messages, the last answer as reference",
        {"prompt": [user("2+2?")], "reference": "4"},
    ),
    ("prompt", {"messages": ASKED[:1]}, "chat messages, the last answer as reference", {"prompt": [user("2+2?")]}),
    (
        "prompt", {"instruction": "2+2?", "output": "4"}, "Alpaca instructions, the output as reference",
        {"prompt": [user("2+2?")], "reference": "4"},
    ),
    (
        "prompt", {"prompt": "2+2?", "meta": {"old": ["5"]}, "reference": "4"}, "prompts as text",
        {"prompt": [user("2+2?")], "meta": {"old": ["5"]}, "reference": "4"},
    ),
    (
        "prompt", {"key": 1, "prompt": "2+2?", "instruction_id_list": ["a:b"], "kwargs": [{"n": None}]}, "prompts as text",
        {"prompt": [user("2+2?")], "id": "1", "meta": {"instruction_id_list": ["a:b"], "kwargs": [{"n": None}]}},
    ),
    ("prompt", ULTRAFEEDBACK, "prompts as text", {"prompt": [user("2+2?")]}),
    (
        "prompt", {name: ULTRAFEEDBACK[name] for name in ("chosen", "rejected")},
        "preference pairs, without the answers", {"prompt": [user("2+2?")]},
    ),
    (
        "preference", {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
        "preference pairs: prompt, chosen and rejected as text", PAIR,
    ),
    ("preference", PAIR, "preference pairs: prompt, chosen and rejected as turns", PAIR),
    (
        "preference", {"prompt": "2+2?", "chosen": assistant("4"), "rejected": assistant("5")},
        "preference pairs: prompt, chosen and rejected as turns", PAIR,
    ),
    ("preference", ULTRAFEEDBACK, "preference pairs: conversations with the prompt inside", PAIR),
    (
        "preference", {"chosen": ULTRAFEEDBACK["chosen"], "rejected": ULTRAFEEDBACK["rejected"]},
        "preference pairs: conversations, the prompt is what both begin with", PAIR,
    ),
    (
        "preference",
        {"prompt": "2+2?", "chosen": [*GREETED, *ASKED], "rejected": [*GREETED, user("2+2?"), assistant("5")]},
        "preference pairs: conversations with the prompt inside", {**PAIR, "prompt": [*GREETED, user("2+2?")]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row_type", "raw", "told", "wanted"), CASES)
def test_a_format_is_detected_told_and_converted(row_type, raw, told, wanted):
    found = detect([raw], row_type)
    assert found.told == told
    (row,) = found.rows(raw)
    assert row == wanted
    assert row_problem(row_type, row) is None


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_canonical_rows_stay_as_they_are(row_type):
    from align.schema import load_schema

    for row in load_schema(row_type)["examples"]:
        assert detect([row], row_type).rows(row) == [row]


@pytest.mark.parametrize(
    ("row_type", "first", "raw", "reason"),
    [
        ("messages", {"messages": ASKED}, {"messages": "2+2?"}, "messages_type"),
        ("messages", {"messages": ASKED}, {"messages": ["2+2?"]}, "messages_type"),
        ("messages", {"messages": ASKED}, {"prompt": "2+2?"}, "messages_missing"),
        ("messages", {"messages": ASKED}, {"messages": [{"role": "narrator", "content": "x"}]}, "messages_role"),
        ("messages", {"messages": ASKED}, {"messages": [{"content": "x"}]}, "messages_role"),
        (
            "messages", {"messages": ASKED},
            {"messages": [user("x"), {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]}, "messages_tool_calls",
        ),
        (
            "messages", {"conversations": [{"from": "human", "value": "a"}]},
            {"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "{}"}]},
            "conversations_tool_calls",
        ),
        ("messages", {"messages": ASKED}, {"messages": [user([{"type": "image"}])]}, "messages_not_text"),  # type: ignore[arg-type]
        ("preference", PAIR, {**PAIR, "chosen": None}, "chosen_missing"),
        ("preference", ULTRAFEEDBACK, {**ULTRAFEEDBACK, "chosen": [user("other"), assistant("4")]}, "chosen_other_prompt"),
        (
            "preference", {"chosen": ASKED, "rejected": ASKED},
            {"chosen": [user("a"), assistant("b")], "rejected": [user("c"), assistant("d")]}, "prompt_not_shared",
        ),
    ],
)  # fmt: skip
def test_a_row_of_another_form_is_refused_with_a_reason(row_type, first, raw, reason):
    found = detect([first], row_type)
    with pytest.raises(CannotConvert) as error:
        found.rows(raw)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("row_type", "raw", "reason"),
    [
        ("messages", {"messages": [system(None), user("x"), assistant(None)]}, "messages_type"),  # type: ignore[arg-type]
        ("messages", {"messages": [user("x")]}, "messages_last_role"),
        ("messages", {"prompt": "x", "completion": "  "}, "messages_empty"),
        ("prompt", {"prompt": ""}, "prompt_empty"),
        ("preference", {"prompt": "x", "chosen": "", "rejected": "b"}, "chosen_empty"),
        ("preference", {"prompt": "x", "chosen": [], "rejected": ["b"]}, "chosen_empty"),
    ],
)
def test_what_a_converter_lets_through_the_schema_catches(row_type, raw, reason):
    found = detect([raw], row_type)
    try:
        problem = row_problem(row_type, found.rows(raw)[0])
    except CannotConvert:
        return
    assert problem is not None
    assert problem.reason == reason


def test_columns_are_renamed_as_told():
    raw = {"question": "2+2?", "answer": "4", "prompt": "something else"}
    found = detect([raw], "messages", {"prompt": "question", "completion": "answer"})
    assert found.rows(raw) == [{"messages": ASKED}]


def test_an_answer_column_of_a_pair_can_be_imitated():
    raw = {"prompt": "2+2?", "chosen": "4", "rejected": "5"}
    assert detect([raw], "messages", {"completion": "chosen"}).rows(raw) == [{"messages": ASKED}]


def test_a_renamed_column_that_is_not_there_is_answered_with_a_near_one():
    with pytest.raises(DataError, match=r"no column qestion \(for prompt\).*Did you mean question\?"):
        detect([{"question": "2+2?"}], "prompt", {"prompt": "qestion"}, "gsm8k.jsonl")


def test_columns_that_fit_nothing_are_told_beside_what_would():
    with pytest.raises(DataError, match=r"gsm8k.*columns \(question, answer\).*messages; or .*prompt \+ completion"):
        detect([{"question": "2+2?", "answer": "4"}], "messages", where="gsm8k")


def test_optional_fields_of_the_right_type_are_kept_and_others_counted():
    raws = [
        {
            "text": "a",
            "id": 7,
            "source": "wiki",
            "weight": "0.5",
            "slice": "near",
            "axis": "safe",
            "margin": 1.0,
            "url": "u",
        },
        {"text": "b", "id": "x", "source": 3, "weight": "heavy", "slice": None, "url": "v", "extra": None},
    ]
    found = detect(raws, "text")
    rows = [found.rows(raw)[0] for raw in raws]
    assert rows[0] == {"text": "a", "id": "7", "source": "wiki", "weight": 0.5, "slice": "near", "axis": "safe"}
    assert rows[1] == {"text": "b", "id": "x"}
    assert found.unused == {"url": 2, "margin": 1, "source": 1, "weight": 1}


def test_a_margin_is_kept_on_pairs():
    raw = {"prompt": "2+2?", "chosen": "4", "rejected": "5", "margin": 2, "weight": float("nan")}
    found = detect([raw], "preference")
    assert found.rows(raw) == [{**PAIR, "margin": 2.0}]
    assert found.unused == {"weight": 1}


@pytest.mark.parametrize(
    ("more", "unused"),
    [
        ({"chosen_score": 8.0, "rejected_score": "3"}, set()),
        ({"score_chosen": 8.0}, {"score_chosen"}),  # beside no other there is nothing to compare
        ({"chosen_score": 8.0, "rejected_score": 3.0, "margin": 2.0}, {"chosen_score", "rejected_score"}),
    ],
)
def test_scores_that_health_holds_against_the_label_are_not_told_as_unused(more: dict, unused: set[str]):
    found = detect([{"prompt": "2+2?", "chosen": "4", "rejected": "5", **more}], "preference")
    found.rows({"prompt": "2+2?", "chosen": "4", "rejected": "5", **more})
    assert set(found.unused) == unused


def test_converters_leave_the_raw_row_alone():
    import copy

    for row_type, raw, _, _ in CASES:
        before = copy.deepcopy(raw)
        detect([raw], row_type).rows(raw)
        assert raw == before


def test_forms_are_known_for_row_types_only():
    assert set(FORMS) <= set(ROW_TYPES)


def test_ifevals_key_becomes_the_rows_id_unless_it_has_one():
    raw = {"key": 7, "prompt": "2+2?", "instruction_id_list": ["a:b"], "kwargs": [{}]}
    found = detect([raw], "prompt")
    assert [found.rows(raw)[0]["id"], found.rows({**raw, "id": "own"})[0]["id"]] == ["7", "own"]
    assert found.unused == {"key": 1}  # beside an id it is not read, and told
    assert "id" not in detect([{"key": 7, "prompt": "2+2?"}], "prompt").rows({"key": 7, "prompt": "2+2?"})[0]
