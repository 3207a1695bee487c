"""Converters of chats: one row in, one `messages`, `prompt` or `text` row out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from align.data.conversations import (
    CannotConvert,
    answer_of,
    conversation,
    prompt_of,
    single_key_turns,
    transcript,
    with_system,
    without_prompt,
)
from align.data.forms import Made, Raw, Row


def text_row(raw: Raw) -> Row:
    """{"text": "Techno is ..."} as it is."""
    return {"text": raw["text"]}


def chat_row(raw: Raw) -> Row:
    """{"messages": [{"role": "user", "content": "Hi"}, ...]}, also with a `system` column."""
    return {"messages": with_system(conversation(raw["messages"], "messages"), raw.get("system"))}


def sharegpt_row(raw: Raw) -> Row:
    """{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", ...}], "system": "..."}."""
    return {"messages": with_system(conversation(raw["conversations"], "conversations"), raw.get("system"))}


def single_key_row(column: str) -> Callable[[Raw], Row]:
    """{"messages": [{"User": "Hi"}, {"System": "Hello"}]}."""
    return lambda raw: {"messages": with_system(single_key_turns(raw[column], column), raw.get("system"))}


def transcript_row(raw: Raw) -> Row:
    """{"text": "\\n\\nHuman: Hi\\n\\nAssistant: Hello"}."""
    return {"messages": with_system(transcript(raw["text"], "text"), raw.get("system"))}


def completion_row(raw: Raw) -> Row:
    """{"prompt": text or turns, "completion": text or turns}."""
    prompt = prompt_of(raw["prompt"], "prompt", raw.get("system"))
    return {"messages": prompt + without_prompt(answer_of(raw["completion"], "completion"), prompt, "completion")}


def alpaca_row(raw: Raw) -> Row:
    """{"instruction", "input", "output", "system", "history": [[asked, answered], ...]}."""
    return {"messages": [*alpaca_prompt(raw), {"role": "assistant", "content": raw["output"]}]}


def self_instruct_rows(raw: Raw) -> Made:
    """{"instruction", "instances": [{"input", "output"}]}: one conversation for each instance (Wang et al. 2023, 2212.10560)."""
    return Made([alpaca_row({**raw, **_instance(each)}) for each in raw["instances"]])


def self_instruct_prompt_rows(raw: Raw) -> Made:
    """The same without the answers, which become references."""
    return Made([alpaca_prompt_row({**raw, **_instance(each)}) for each in raw["instances"]])


def _instance(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or value.get("output") is None:
        raise CannotConvert("instances", "holds one that is not an object with input and output", "instances_type")
    return {"input": value.get("input"), "output": value["output"]}


def alpaca_prompt(raw: Raw) -> list[dict[str, Any]]:
    given = raw.get("input")
    asked = f"{raw['instruction']}\n\n{given}" if isinstance(given, str) and given.strip() else raw["instruction"]
    earlier = [pair for pair in raw.get("history") or [] if isinstance(pair, list) and len(pair) == 2]
    turns = [
        turn
        for question, answer in earlier
        for turn in ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    ]
    return with_system([*turns, {"role": "user", "content": asked}], raw.get("system"))


def prompt_row(raw: Raw) -> Row:
    """{"prompt": text or turns}, also with a `system` column."""
    return {"prompt": prompt_of(raw["prompt"], "prompt", raw.get("system"))}


def conflict_row(raw: Raw) -> Row:
    """{"prompt" or "fact", "old": answer, "new": answer}: a fact that the new data contradicts (align/data/conflicts.py).

    An answer is a text, or a list of the ways to say it.
    """
    for name in ("old", "new"):
        if not all(isinstance(told, str) and told.strip() for told in _each(raw[name])):
            raise CannotConvert(name, "is empty or no text", f"{name}_empty")
    prompt = prompt_of(raw.get("prompt") or raw["fact"], "prompt", raw.get("system"))
    return {"prompt": prompt, "reference": _each(raw["new"])[0], "meta": {"old": raw["old"], "new": raw["new"]}}


def _each(told: Any) -> list[Any]:
    """An answer, or the ways to say it."""
    return told if isinstance(told, list) and told else [told]


def transcript_prompt_row(raw: Raw) -> Row:
    """{"prompt": "\\n\\nHuman: Hi\\n\\nAssistant:"}."""
    return {"prompt": with_system(asked_in(transcript(raw["prompt"], "prompt")), raw.get("system"))}


def alpaca_prompt_row(raw: Raw) -> Row:
    """{"instruction", "input"}; an output is what answers are compared with."""
    answer = raw.get("output")
    given = {"reference": answer} if isinstance(answer, str) and answer else {}
    return {"prompt": alpaca_prompt(raw), **given}


def asked(convert: Callable[[Raw], Any]) -> Callable[[Raw], Row]:
    """The prompt of a conversation: its turns without the last answer, which becomes the reference."""

    def prompt(raw: Raw) -> Row:
        messages = convert(raw)["messages"]
        if not messages or messages[-1]["role"] != "assistant":
            return {"prompt": messages}
        answer = messages[-1]["content"]
        return {"prompt": messages[:-1], **({"reference": answer} if isinstance(answer, str) and answer else {})}

    return prompt


def asked_in(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A conversation without its last answer."""
    return messages[:-1] if messages and messages[-1]["role"] == "assistant" else messages
