import copy
import json
import subprocess
import sys
import time
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align.errors import ArtifactError
from align.schema import ROW_TYPES, check_rows, is_row, load_schema, row_problem, schema_folder, validate_manifest

PROMPT = [{"role": "user", "content": "What is techno?"}]
GOOD, BAD = [{"role": "assistant", "content": "Music."}], [{"role": "assistant", "content": "A fish."}]
PAIR = {"prompt": PROMPT, "chosen": GOOD, "rejected": BAD}


def turns(*roles: str) -> list[dict]:
    return [{"role": role, "content": "words"} for role in roles]


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_examples_of_row_schemas_are_valid_rows(row_type):
    jsonschema_rs.meta.validate(load_schema(row_type))
    examples = load_schema(row_type)["examples"]
    assert examples
    assert check_rows(row_type, examples) == []


def test_every_schema_file_is_a_row_type_or_the_manifest():
    names = {path.name.removesuffix(".schema.json") for path in schema_folder().iterdir()}
    assert names == {*ROW_TYPES, "manifest"}


@pytest.mark.parametrize(
    ("change", "message", "reason"),
    [
        ({"rejected": [{"role": "assistant", "content": " \n"}]}, "field rejected is empty", "rejected_empty"),
        (
            {"rejected": [{"role": "assistant", "content": "\u200b \ufeff"}]},
            "field rejected is empty",
            "rejected_empty",
        ),
        ({"rejected": []}, "field rejected is empty", "rejected_empty"),
        ({"rejected": None}, "field rejected is null, not a list", "rejected_type"),
        ({"chosen": "Music."}, "field chosen is text, not a list", "chosen_type"),
        ({"chosen": turns("user")}, "field chosen is a turn of user", "chosen_role"),
        ({"chosen": turns("assistant", "user", "assistant")}, "field chosen has 3 turns, not one", "chosen_turns"),
        ({"prompt": turns("user", "assistant")}, "field prompt ends with a turn of assistant", "prompt_last_role"),
        ({"prompt": turns("user", "system", "user")}, "field prompt[1] is a system turn", "prompt_system_not_first"),
        ({"prompt": turns("user", "user")}, "field prompt[1] is a second user turn", "prompt_role_order"),
        ({"prompt": turns("assistant", "user")}, "prompt[0] is a turn of assistant before any", "prompt_first_role"),
        ({"prompt": [{"role": "bot", "content": "x"}]}, "field prompt[0].role is 'bot', not one of", "prompt_role"),
        ({"prompt": [{"role": "user"}]}, "field prompt[0].content is missing", "prompt_missing"),
        ({"prompt": [{**PROMPT[0], "name": "Ann"}]}, "field prompt[0] has a field that is not known: name", "prompt_"),
        ({"extra": 1}, "the row has a field that is not known: extra", "row_unknown_field"),
        ({"weight": 0}, "field weight is not right", "weight_"),
        ({"id": 7}, "field id is a number, not text", "id_type"),
    ],
)
def test_a_broken_preference_row_is_told_in_plain_words(change, message, reason):
    problem = row_problem("preference", {**PAIR, **change}, "pairs.jsonl", 1207)
    assert problem is not None
    assert message in problem.message
    assert problem.reason.startswith(reason)
    assert str(problem).startswith("pairs.jsonl, row 1,207: ")


def test_the_message_says_what_a_preference_row_needs():
    row = {**PAIR, "rejected": [{"role": "assistant", "content": ""}]}
    problem = row_problem("preference", row, "judged.jsonl.gz", 1207)
    assert str(problem) == (
        "judged.jsonl.gz, row 1,207: field rejected is empty. A preference row needs two non-empty answers."
    )


def test_a_missing_field_is_named():
    problem = row_problem("preference", {"prompt": PROMPT, "chosen": GOOD})
    assert problem is not None
    assert (problem.field, problem.reason) == ("rejected", "rejected_missing")


@pytest.mark.parametrize(
    ("row_type", "row", "reason"),
    [
        ("messages", {"messages": turns("user")}, "messages_last_role"),
        ("messages", {"messages": turns("system", "user", "assistant", "assistant")}, "messages_role_order"),
        ("text", {"text": "  "}, "text_empty"),
        ("unpaired_preference", {"prompt": PROMPT, "completion": GOOD, "label": "yes"}, "label_type"),
        ("unpaired_preference", {"prompt": PROMPT, "completion": PROMPT, "label": True}, "completion_role"),
        ("ranking", {"prompt": PROMPT, "completions": [GOOD, BAD], "ranks": [1, 2, 3]}, "ranks_count"),
        ("ranking", {"prompt": PROMPT, "completions": [GOOD], "ranks": [1]}, "completions_"),
        ("ranking", {"prompt": PROMPT, "completions": [GOOD, PROMPT], "ranks": [1, 2]}, "completions_role"),
        ("scored_generation", {"prompt": PROMPT, "completion": GOOD, "score": 0.5}, "source_missing"),
    ],
)
def test_other_row_types_refuse_what_they_cannot_use(row_type, row, reason):
    problem = row_problem(row_type, row)
    assert problem is not None
    assert problem.reason.startswith(reason)


def test_tools_may_answer_between_turns():
    assert row_problem("messages", {"messages": turns("user", "assistant", "tool", "tool", "assistant")}) is None


def test_problems_carry_row_numbers_from_the_first_row_on():
    rows = [PAIR, {**PAIR, "chosen": []}, PAIR, {**PAIR, "prompt": []}, {**PAIR, "prompt": GOOD}]
    found = [(problem.row, problem.field) for problem in check_rows("preference", rows, first_row=101)]
    assert found == [(102, "chosen"), (104, "prompt"), (105, "prompt[0]")]


def test_the_manifest_example_is_valid_and_any_missing_or_extra_key_is_not():
    example = load_schema("manifest")["examples"][0]
    validate_manifest(example)
    for key in example:
        with pytest.raises(ArtifactError, match=f"{key} is missing"):
            validate_manifest({name: value for name, value in example.items() if name != key})
    with pytest.raises(ArtifactError, match="surprise"):
        validate_manifest({**example, "surprise": 1})


def test_a_manifest_with_a_broken_hash_is_refused():
    manifest = copy.deepcopy(load_schema("manifest")["examples"][0])
    manifest["files"]["rows-train.parquet"]["sha256"] = "short"
    with pytest.raises(ArtifactError, match="sha256"):
        validate_manifest(manifest, "store/prepare-1/manifest.json")


def test_over_50000_rows_of_a_kilobyte_are_checked_in_a_second():
    row = {"messages": [{"role": "user", "content": "why " * 100}, {"role": "assistant", "content": "so " * 200}]}
    assert len(json.dumps(row)) > 1000
    rows = [copy.deepcopy(row) for _ in range(20_000)]
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        assert check_rows("messages", rows) == []
        best = max(best, len(rows) / (time.perf_counter() - start))
    assert best > 50_000, f"{best:,.0f} rows/s"


def test_checking_rows_imports_no_ml_library():
    code = "import sys, align.schema; align.schema.check_rows('text', [{'text': 'a'}]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "trl", "datasets", "pyarrow", "numpy"} & set(loaded)


def test_schemas_shipped_inside_the_package_come_first(tmp_path, monkeypatch):
    shipped = tmp_path / "align" / "_shipped" / "data_schemas"
    shipped.mkdir(parents=True)
    (shipped / "manifest.schema.json").write_text("{}")
    monkeypatch.setattr("align.schema._PACKAGE", Path(tmp_path / "align"))
    assert schema_folder() == shipped


_TEXT = st.sampled_from(["a", "words and more", "", " ", "\x1c", "\ufeff", "\u3000x", "é", "~", None, 3, ["a"]])
_ROLE = st.sampled_from(["user", "assistant", "system", "tool", "User", None, ["user"]])
_TURN = st.fixed_dictionaries({"role": _ROLE, "content": _TEXT}, optional={"train": st.booleans(), "name": _TEXT})
_CHAT = st.lists(st.one_of(_TURN, st.just("turn")), max_size=3)
_ORDERLY = st.tuples(st.lists(_TEXT, min_size=1, max_size=5), st.booleans()).map(
    lambda made: [
        {"role": "system" if made[1] and not n else ("user", "assistant")[(n - made[1]) % 2], "content": text}
        for n, text in enumerate(made[0])
    ]
)


@settings(max_examples=600, deadline=None)
@given(
    st.fixed_dictionaries(
        {"messages": st.one_of(_ORDERLY, _CHAT, st.just("text"))},
        optional={"id": _TEXT, "source": _TEXT, "weight": st.sampled_from([1.0, -1.0]), "url": _TEXT},
    )
)
def test_the_quick_test_of_a_row_says_what_the_schema_says(row):
    assert is_row("messages")(row) == (row_problem("messages", row) is None)
