"""The many ways to write a conversation, made one: [{"role", "content", "train"?}, ...]."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
    "tool": "tool", "observation": "tool",
}  # fmt: skip
_SPOKEN = ("user", "assistant", "system", "tool")
_HH_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant):")


class CannotConvert(ValueError):
    """A row that does not have the form of the others: `reason` names the mistake, the same in every row that has it."""

    def __init__(self, field: str, found: str, reason: str) -> None:
        self.field, self.found, self.reason = field, found, reason
        super().__init__(field, found, reason)


def conversation(turns: Any, field: str) -> list[Message]:
    """Turns as {role, content} or as {from, value} (ShareGPT); empty system turns and null fields are left out.

    Raises CannotConvert on anything that would be lost: tool calls, images, unknown roles.
    """
    if not isinstance(turns, list):
        raise CannotConvert(field, f"is {_kind(turns)}, not a list of turns", f"{field}_type")
    messages = []
    for index, turn in enumerate(turns):
        # {role, content} as it should be is by far the most frequent, and taken as it is
        plain = type(turn) is dict and len(turn) == 2 and type(turn.get("content")) is str
        message = turn if plain and turn.get("role") in _SPOKEN else _message(turn, f"{field}[{index}]", field)
        if message["role"] != "system" or str(message["content"] or "").strip():
            messages.append(message)
    return messages


def single_key_turns(turns: Any, field: str) -> list[Message]:
    """[{"User": "Hi"}, {"System": "Hello"}]: a System turn after the user is the assistant's, one before is the system prompt.

    Raises CannotConvert where the row does not say who speaks: System beside Assistant after the user, two in a row.
    """
    if not isinstance(turns, list):
        raise CannotConvert(field, f"is {_kind(turns)}, not a list of turns", f"{field}_type")
    spoken = [_speaker(turn, f"{field}[{index}]", field) for index, turn in enumerate(turns)]
    roles = [role for role, _ in spoken]
    first_user = roles.index("user") if "user" in roles else len(roles)
    messages: list[Message] = []
    for index, (role, text) in enumerate(spoken):
        if role == "system" and index > first_user:
            if "assistant" in roles:
                found = "is a System turn after the user's beside Assistant turns: the system prompt, or an answer?"
                raise CannotConvert(f"{field}[{index}]", found, f"{field}_ambiguous")
            role = "assistant"
        if messages and messages[-1]["role"] == role:
            found = f"is a second turn of {next(iter(turns[index]))} in a row: who speaks is not clear"
            raise CannotConvert(f"{field}[{index}]", found, f"{field}_ambiguous")
        messages.append({"role": role, "content": text})
    return [m for m in messages if m["role"] != "system" or str(m["content"]).strip()]


def is_single_key(turns: Any) -> bool:
    """Whether every turn is one role with its text, as {"User": "Hi"}; columns that a table had to fill with null aside."""
    return bool(turns) and isinstance(turns, list) and all(_only_key(turn) in ROLES for turn in turns)


def transcript(text: Any, field: str) -> list[Message]:
    """Anthropic's HH form: turns that begin with a blank line and `Human:` or `Assistant:`; the last may be empty."""
    if not isinstance(text, str):
        raise CannotConvert(field, f"is {_kind(text)}, not a transcript", f"{field}_type")
    before, *pieces = _HH_TURN.split(text)
    if not pieces or before.strip():
        raise CannotConvert(field, "does not begin with a turn of Human: or Assistant:", f"{field}_not_transcript")
    return [
        {"role": ROLES[who.lower()], "content": said.strip()}
        for who, said in zip(pieces[::2], pieces[1::2], strict=True)
    ]


def is_transcript(text: Any) -> bool:
    return isinstance(text, str) and text.lstrip("\n").startswith("Human:") and "\n\nAssistant:" in text


def with_system(messages: list[Message], system: Any) -> list[Message]:
    """The conversation behind a system text that stood in a column of its own, if there is one."""
    if isinstance(system, str) and system.strip() and (not messages or messages[0]["role"] != "system"):
        return [{"role": "system", "content": system}, *messages]
    return messages


def prompt_of(value: Any, field: str = "prompt", system: Any = None) -> list[Message]:
    """A prompt given as one text (a user turn) or as turns."""
    turns = [{"role": "user", "content": value}] if isinstance(value, str) else conversation(value, field)
    return with_system(turns, system)


def answer_of(value: Any, field: str) -> list[Message]:
    """An answer given as text (an assistant turn), as one turn, or as turns."""
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    return conversation([value] if isinstance(value, Mapping) else value, field)


def shared_prompt(one: Sequence[Message], other: Sequence[Message]) -> list[Message]:
    """The turns with which both conversations begin, without the last turn of either (that is the answer)."""
    limit = min(len(one), len(other)) - 1
    same = next((i for i in range(limit) if one[i] != other[i]), max(limit, 0))
    return list(one[:same])


def without_prompt(turns: list[Message], prompt: Sequence[Message], field: str) -> list[Message]:
    """The answer of a conversation that may repeat its prompt first (with or without its system turn)."""
    if len(turns) <= 1:
        return turns
    spoken = [m for m in prompt if m["role"] != "system"]
    for start in (list(prompt), spoken):
        if turns[: len(start)] == start:
            return turns[len(start) :]
    raise CannotConvert(field, "is a conversation that does not begin with the row's prompt", f"{field}_other_prompt")


def _message(turn: Any, where: str, field: str) -> Message:
    if not isinstance(turn, Mapping):
        raise CannotConvert(where, f"is {_kind(turn)}, not a turn with role and content", f"{field}_type")
    given = turn.get("role", turn.get("from"))
    role = ROLES.get(given.lower()) if isinstance(given, str) else None
    if turn.get("tool_calls") or turn.get("function_call") or given in ("function_call", "tool_call"):
        raise CannotConvert(where, "calls a tool; tool calls are not supported", f"{field}_tool_calls")
    if role is None:
        raise CannotConvert(where, f"has the role {given!r}, which is not known", f"{field}_role")
    message = {"role": role, "content": _content(turn.get("content", turn.get("value")), where, field)}
    if turn.get("train") is not None:
        message["train"] = turn["train"]
    return message


def _content(value: Any, where: str, field: str) -> str:
    """Text, or a list of text parts; whatever else it is, the schema will say."""
    if not isinstance(value, list):
        return value
    texts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in value]
    if None in texts:
        raise CannotConvert(where, "holds parts that are not text; only text is supported", f"{field}_not_text")
    return "".join(map(str, texts))


def _only_key(turn: Any) -> str | None:
    """The key of a turn that has only one, in lower case."""
    keys = [key for key, value in turn.items() if value is not None] if isinstance(turn, Mapping) else []
    return str(keys[0]).lower() if len(keys) == 1 else None


def _speaker(turn: Any, where: str, field: str) -> tuple[str, Any]:
    key = _only_key(turn)
    if key is None:
        raise CannotConvert(where, "is not a turn of one role and its text", f"{field}_single_key")
    if key not in ROLES:
        raise CannotConvert(where, f"has the role {key!r}, which is not known", f"{field}_role")
    return ROLES[key], next(value for value in turn.values() if value is not None)


def _kind(value: Any) -> str:
    return {str: "text", type(None): "null", dict: "an object"}.get(type(value), type(value).__name__)
