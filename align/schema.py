"""The standard row types and the manifest, checked against data_schemas/*.schema.json.

    check_rows("preference", rows, "pairs.jsonl")   -> problems, each with its row number and field, in plain words
    row_problem("preference", row, "pairs.jsonl", 7) -> the one problem of one row, or None
    validate_manifest(manifest)                      -> ArtifactError if it is not one

A schema says what one field may hold; the order of turns in a conversation is checked here beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from align.errors import AlignError, ArtifactError

ROW_TYPES = (
    "text", "tokens", "messages", "prompt", "preference", "unpaired_preference", "ranking", "scored_generation",
)  # fmt: skip
COMMON_FIELDS = ("id", "source", "weight", "slice", "axis")

_PACKAGE = Path(__file__).resolve().parent
_ANSWERS = ("chosen", "rejected", "completion")  # fields that hold one assistant turn: their path ends at the field
_NEEDS = {
    "text": "A text row needs a non-empty text.",
    "input_ids": "A row of token ids needs two or more, whole numbers from 0.",
    "completion_mask": "A mask says 1 of tokens that are trained and 0 of the others, one number for each token.",
    "labels": "Labels are the token ids themselves, -100 where there is no loss.",
    "messages": "A conversation to learn from needs non-empty turns, the last of them the assistant's.",
    "prompt": "A prompt needs non-empty turns, the last of them the user's.",
    "chosen": "A preference row needs two non-empty answers.",
    "rejected": "A preference row needs two non-empty answers.",
    "completion": "The answer has to be one non-empty assistant turn.",
    "completions": "A ranking row needs at least two non-empty answers.",
    "ranks": "A ranking row needs one rank, a whole number from 1, for each answer.",
}
_PLAIN_CHAT = frozenset({"messages", "id", "source"})
_EMPTY_KEYWORDS = ("pattern", "minLength", "minItems")
_NOTHING = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]*")  # white space, and characters without width or ink
_TYPE_WORDS = {
    "array": "a list",
    "object": "an object",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
}


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with one row. `reason` is the same for the same mistake in other rows (a metric name's tail)."""

    where: str
    row: int
    field: str
    message: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}, row {self.row:,}: {self.message}" if self.where else f"row {self.row:,}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Fault:
    field: str
    found: str
    reason: str


def schema_folder() -> Path:
    """Where the schemas lie: beside the package in a checkout, inside it once installed from a wheel."""
    for folder in (_PACKAGE / "_shipped" / "data_schemas", _PACKAGE.parent / "data_schemas"):
        if (folder / "manifest.schema.json").is_file():
            return folder
    raise AlignError(f"the schemas that belong to {_PACKAGE} are missing")


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a row type, or of `manifest`."""
    return json.loads((schema_folder() / f"{name}.schema.json").read_text(encoding="utf-8"))


def check_rows(
    row_type: str, rows: Iterable[Mapping[str, Any]], where: str = "", first_row: int = 1
) -> list[RowProblem]:
    """Every row that is not of the type, with the first thing wrong in it. Rows are counted from `first_row`."""
    is_valid, turns_fault = _checks(row_type)
    bad = [
        (number, row) for number, row in enumerate(rows, first_row) if not is_valid(row) or turns_fault(row) is not None
    ]
    return [problem for number, row in bad if (problem := row_problem(row_type, row, where, number))]


def row_problem(row_type: str, row: Mapping[str, Any], where: str = "", number: int = 1) -> RowProblem | None:
    """What is wrong with this row, or None."""
    is_valid, turns_fault = _checks(row_type)
    fault = turns_fault(row) if is_valid(row) else _explain(next(_validator(row_type).iter_errors(row)))
    return None if fault is None else problem_of(where, number, fault.field, fault.found, fault.reason)


def is_row(row_type: str) -> Callable[[Any], bool]:
    """A quick test of rows of a type: whether row_problem would find nothing."""
    is_valid, turns_fault = _checks(row_type)
    if row_type == "messages":
        return lambda row: _is_plain_chat(row) or (is_valid(row) and turns_fault(row) is None)
    return lambda row: is_valid(row) and turns_fault(row) is None


def _is_plain_chat(row: Mapping[str, Any]) -> bool:
    """Certain of the commonest chats, and faster than the schema; it may fail to know one, never mistake one."""
    turns = row.get("messages")
    if type(turns) is not list or not row.keys() <= _PLAIN_CHAT:
        return False
    before, expected = None, "user"
    for turn in turns:
        role = turn.get("role") if type(turn) is dict and len(turn) == 2 else None
        if role != expected and not (role == "system" and before is None):
            return False
        content = turn.get("content")
        if type(content) is not str or not "!" <= content[:1] <= "~":
            return False
        before, expected = role, "assistant" if role == "user" else "user"
    return before == "assistant" and all(type(row[name]) is str and row[name] for name in row if name != "messages")


def problem_of(where: str, number: int, field: str, found: str, reason: str) -> RowProblem:
    """A problem in the words of all of them: `field rejected is empty. A preference row needs two non-empty answers.`"""
    subject = f"field {field}" if field else "the row"
    needs = _NEEDS.get(re.split(r"[.\[]", field)[0], "")
    said = found if found.endswith("?") else f"{found}."
    return RowProblem(where, number, field, f"{subject} {said} {needs}".strip(), reason)


def validate_manifest(manifest: Mapping[str, Any], where: str = "manifest.json") -> None:
    """Raise ArtifactError with the first thing that makes this no manifest of a sealed artifact."""
    error = next(_validator("manifest").iter_errors(manifest), None)
    if error is not None:
        fault = _explain(error)
        found = f"field {fault.field} {fault.found}" if fault.field else f"the manifest {fault.found}"
        raise ArtifactError(where, found, remedy="Delete the artifact's folder and run its step again.")


@cache
def _validator(name: str) -> Any:
    return jsonschema_rs.validator_for(load_schema(name))


@cache
def _checks(row_type: str) -> tuple[Callable[[Any], bool], Callable[[Any], _Fault | None]]:
    if row_type not in ROW_TYPES:
        raise AlignError(f"{row_type!r} is not a row type: {', '.join(ROW_TYPES)}")
    return _validator(row_type).is_valid, _TURNS.get(row_type, _conversation_before_answer)


def _turns(messages: Sequence[Mapping[str, Any]], field: str, last: tuple[str, ...]) -> _Fault | None:
    """System only first, then the user; user and assistant alternate (tools in between); the right one ends."""
    before = ""
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "system" and index:
            return _Fault(f"{field}[{index}]", "is a system turn that does not come first", f"{field}_system_not_first")
        if role in ("assistant", "tool") and before in ("", "system"):
            return _Fault(f"{field}[{index}]", f"is a turn of {role} before any user turn", f"{field}_first_role")
        if role == before and role in ("user", "assistant"):
            return _Fault(f"{field}[{index}]", f"is a second {role} turn in a row", f"{field}_role_order")
        before = role
    if before not in last:
        return _Fault(field, f"ends with a turn of {before}", f"{field}_last_role")
    return None


def _answer(row: Mapping[str, Any], field: str) -> _Fault | None:
    role = row[field][0]["role"]
    return None if role == "assistant" else _Fault(field, f"is a turn of {role}, not the assistant's", f"{field}_role")


def _messages_turns(row: Mapping[str, Any]) -> _Fault | None:
    return _turns(row["messages"], "messages", ("assistant",))


def _prompt_turns(row: Mapping[str, Any]) -> _Fault | None:
    return _turns(row["prompt"], "prompt", ("user", "tool"))


def _conversation_before_answer(row: Mapping[str, Any]) -> _Fault | None:
    return _prompt_turns(row) or next((f for name in _ANSWERS if name in row and (f := _answer(row, name))), None)


def _ranking_turns(row: Mapping[str, Any]) -> _Fault | None:
    if len(row["ranks"]) != len(row["completions"]):
        found = f"has {len(row['ranks'])} entries for {len(row['completions'])} completions"
        return _Fault("ranks", found, "ranks_count")
    for index, (message,) in enumerate(row["completions"]):
        if message["role"] != "assistant":
            found = f"is a turn of {message['role']}, not the assistant's"
            return _Fault(f"completions[{index}]", found, "completions_role")
    return _prompt_turns(row)


def _token_mask(row: Mapping[str, Any]) -> _Fault | None:
    mask = row.get("completion_mask")
    if mask is None:
        return None
    if len(mask) != len(row["input_ids"]):
        found = f"has {len(mask):,} entries for {len(row['input_ids']):,} tokens"
        return _Fault("completion_mask", found, "completion_mask_count")
    return None if any(mask) else _Fault("completion_mask", "trains no token", "completion_mask_empty")


_TURNS: dict[str, Callable[[Any], _Fault | None]] = {
    "text": lambda row: None,
    "tokens": _token_mask,
    "messages": _messages_turns,
    "prompt": _prompt_turns,
    "ranking": _ranking_turns,
}


def _explain(error: Any) -> _Fault:
    """A validator's error in plain words."""
    path, keyword = list(error.instance_path), error.schema_path[-1]
    if keyword == "required":
        name = error.kind.property
        return _Fault(_field([*path, name]), "is missing", f"{path[0] if path else name}_missing")
    top = str(path[0]) if path else "row"
    if keyword in _EMPTY_KEYWORDS and _is_empty(error.instance):
        return _Fault(_field(path), "is empty", f"{top}_empty")
    if keyword == "type":
        return _Fault(_field(path), f"is {_kind_of(error.instance)}, not {_expected_type(error)}", f"{top}_type")
    if keyword == "maxItems":
        return _Fault(_field(path), f"has {len(error.instance)} turns, not one", f"{top}_turns")
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        names = ", ".join(sorted(error.kind.unexpected))
        return _Fault(_field(path), f"has a field that is not known: {names}", f"{top}_unknown_field")
    if keyword == "enum":
        options = ", ".join(error.kind.options)
        return _Fault(_field(path), f"is {error.instance!r}, not one of {options}", f"{top}_{path[-1]}")
    return _Fault(_field(path), f"is not right: {error.message}", f"{top}_{keyword}")


def _field(path: Sequence[str | int]) -> str:
    if len(path) > 1 and path[0] in _ANSWERS and path[1] == 0 and path[2:] in ([], ["content"]):
        path = path[:1]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _is_empty(value: Any) -> bool:
    return bool(_NOTHING.fullmatch(value)) if isinstance(value, str) else not value


def _kind_of(value: Any) -> str:
    words = {
        type(None): "null",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        dict: "an object",
    }
    return words.get(type(value), "a list" if isinstance(value, list) else type(value).__name__)


def _expected_type(error: Any) -> str:
    types = [str(name) for name in getattr(error.kind, "types", [])]
    return " or ".join(_TYPE_WORDS.get(name, name) for name in types) or "of the right type"
