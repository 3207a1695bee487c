"""Which format a source's rows have, and how each becomes a canonical row.

    format = detect(first_rows, "preference", columns={"prompt": "question"})
    format.told                     -> "preference pairs: full conversations with the prompt inside"
    row = format.convert(raw)       -> canonical, its order of turns not yet checked; CannotConvert if it has another form

Formats are tried in order; the first whose columns are there and hold what it wants is taken, and said.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align.data.conversations import (
    CannotConvert,
    answer_of,
    conversation,
    prompt_of,
    shared_prompt,
    with_system,
    without_prompt,
)
from align.errors import DataError

Raw = Mapping[str, Any]
Row = dict[str, Any]

_TEXTS = ("id", "source", "slice", "axis")
_NUMBERS = ("weight", "margin")
_TYPES_WITH_MARGIN = ("preference",)
_IFEVAL = ("instruction_id_list", "kwargs")  # what IFEval's files tell of a prompt (Zhou et al. 2023, 2311.07911)


@dataclass(frozen=True)
class Form:
    """A way to write rows of a type: the columns it needs and may use, what must hold of a row, and its converter."""

    told: str
    needs: tuple[str, ...]
    convert: Callable[[Raw], Row]
    fits: Callable[[Raw], bool] = lambda raw: True
    uses: tuple[str, ...] = ()


@dataclass
class Format:
    """A detected form with the person's column names. `unused` counts the rows that have a column we do not read."""

    form: Form
    row_type: str
    columns: Mapping[str, str]
    unused: Counter[str] = field(default_factory=Counter)

    @property
    def told(self) -> str:
        return self.form.told

    def convert(self, raw: Raw) -> Row:
        """A canonical row. Raises CannotConvert where this row has another form than the first ones."""
        raw = _renamed(raw, self.columns)
        for name in self.form.needs:
            if raw.get(name) is None:
                raise CannotConvert(name, "is missing", f"{name}_missing")
        row = self.form.convert(raw)
        read = {*self.form.needs, *self.form.uses, *self._keep_common(raw, row)}
        self.unused.update(name for name, value in raw.items() if name not in read and value is not None)
        return row

    def _keep_common(self, raw: Raw, row: Row) -> list[str]:
        """Copies the optional fields that have the right type into the row; says which."""
        found: Row = {name: raw[name] for name in _TEXTS if isinstance(raw.get(name), str) and raw[name]}
        if type(raw.get("id")) is int:
            found["id"] = str(raw["id"])
        for name in _NUMBERS:
            number = _number(raw.get(name))
            if number is not None and (name != "margin" or self.row_type in _TYPES_WITH_MARGIN):
                found[name] = number
        if self.row_type == "prompt":
            told, read = _told_of_prompt(raw)
            row.update(told)
        else:
            read = []
        row.update(found)
        return [*found, *read]


def _told_of_prompt(raw: Raw) -> tuple[Row, list[str]]:
    """`reference` and `meta` of a prompt, and the columns they were read from; IFEval's own columns go into meta."""
    told: Row = {}
    if isinstance(raw.get("reference"), str) and raw["reference"]:
        told["reference"] = raw["reference"]
    meta = dict(raw["meta"]) if isinstance(raw.get("meta"), Mapping) else {}
    meta |= {name: raw[name] for name in _IFEVAL if raw.get(name) is not None}
    if meta:
        told["meta"] = meta
    return told, [*told, *(name for name in _IFEVAL if name in meta)]


def detect(rows: Sequence[Raw], row_type: str, columns: Mapping[str, str] | None = None, where: str = "") -> Format:
    """The format of a source from its first rows. `columns` maps our column names to theirs.

    Raises DataError where no form of the wanted type fits, naming the columns that are there.
    """
    columns = dict(columns or {})
    there = list(dict.fromkeys(name for row in rows for name in row))
    for ours, theirs in columns.items():
        if theirs not in there:
            close = difflib.get_close_matches(theirs, there, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Say columns: {{{ours}: ...}}"
            raise DataError(where, f"there is no column {theirs} (for {ours})", f"Columns: {', '.join(there)}", hint)
    renamed = [_renamed(row, columns) for row in rows]
    for form in FORMS[row_type]:
        if any(_fits(form, row) for row in renamed):
            return Format(form, row_type, columns)
    wanted = "; or ".join(dict.fromkeys(" + ".join(form.needs) for form in FORMS[row_type]))
    raise DataError(
        where, f"its columns ({', '.join(there) or 'none'}) are not those of {row_type} rows",
        f"Columns for {row_type}: {wanted}", "Name yours: columns: {ours: theirs}; or correct `as`.",
    )  # fmt: skip


def _fits(form: Form, row: Raw) -> bool:
    return all(row.get(name) is not None for name in form.needs) and form.fits(row)


def _renamed(raw: Raw, columns: Mapping[str, str]) -> Raw:
    if not columns:
        return raw
    theirs = set(columns.values())
    kept = {name: value for name, value in raw.items() if name not in theirs}
    return {**kept, **{ours: raw.get(name) for ours, name in columns.items()}}


def _number(value: Any) -> float | None:
    """A finite number, also one that a csv file holds as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# --- text -------------------------------------------------------------------------------------------------------------


def text_row(raw: Raw) -> Row:
    """{"text": "Techno is ..."} as it is."""
    return {"text": raw["text"]}


# --- messages ---------------------------------------------------------------------------------------------------------


def chat_row(raw: Raw) -> Row:
    """{"messages": [{"role": "user", "content": "Hi"}, ...]}, also with a `system` column."""
    return {"messages": with_system(conversation(raw["messages"], "messages"), raw.get("system"))}


def sharegpt_row(raw: Raw) -> Row:
    """{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", ...}], "system": "..."}."""
    return {"messages": with_system(conversation(raw["conversations"], "conversations"), raw.get("system"))}


def completion_row(raw: Raw) -> Row:
    """{"prompt": text or turns, "completion": text or turns}."""
    prompt = prompt_of(raw["prompt"], "prompt", raw.get("system"))
    return {"messages": prompt + without_prompt(answer_of(raw["completion"], "completion"), prompt, "completion")}


def alpaca_row(raw: Raw) -> Row:
    """{"instruction", "input", "output", "system", "history": [[asked, answered], ...]}."""
    return {"messages": [*_alpaca_prompt(raw), {"role": "assistant", "content": raw["output"]}]}


def _alpaca_prompt(raw: Raw) -> list[dict[str, Any]]:
    given = raw.get("input")
    asked = f"{raw['instruction']}\n\n{given}" if isinstance(given, str) and given.strip() else raw["instruction"]
    earlier = [pair for pair in raw.get("history") or [] if isinstance(pair, list) and len(pair) == 2]
    turns = [
        turn
        for question, answer in earlier
        for turn in ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    ]
    return with_system([*turns, {"role": "user", "content": asked}], raw.get("system"))


# --- prompt -----------------------------------------------------------------------------------------------------------


def prompt_row(raw: Raw) -> Row:
    """{"prompt": text or turns}, also with a `system` column."""
    return {"prompt": prompt_of(raw["prompt"], "prompt", raw.get("system"))}


def alpaca_prompt_row(raw: Raw) -> Row:
    """{"instruction", "input"}; an output is what answers are compared with."""
    answer = raw.get("output")
    given = {"reference": answer} if isinstance(answer, str) and answer else {}
    return {"prompt": _alpaca_prompt(raw), **given}


def _asked(convert: Callable[[Raw], Row]) -> Callable[[Raw], Row]:
    """The prompt of a conversation: its turns without the last answer, which becomes the reference."""

    def prompt(raw: Raw) -> Row:
        messages = convert(raw)["messages"]
        if not messages or messages[-1]["role"] != "assistant":
            return {"prompt": messages}
        answer = messages[-1]["content"]
        return {"prompt": messages[:-1], **({"reference": answer} if isinstance(answer, str) and answer else {})}

    return prompt


# --- preference -------------------------------------------------------------------------------------------------------


def preference_row(raw: Raw) -> Row:
    """{"prompt": text or turns, "chosen": ..., "rejected": ...}; answers are text, a turn, or turns.

    Answers that are whole conversations repeat the prompt (UltraFeedback binarized): it is taken off, and a `prompt`
    column of text beside them stands for the last question of an earlier conversation as well.
    """
    chosen, rejected = answer_of(raw["chosen"], "chosen"), answer_of(raw["rejected"], "rejected")
    prompt = prompt_of(raw["prompt"], "prompt", raw.get("system"))
    if isinstance(raw["prompt"], str) and len(chosen) > 1 and len(rejected) > 1:
        inside = shared_prompt(chosen, rejected)
        if raw["prompt"].strip() in [str(turn["content"]).strip() for turn in inside if turn["role"] == "user"]:
            prompt = with_system(inside, raw.get("system"))
    return {
        "prompt": prompt,
        "chosen": without_prompt(chosen, prompt, "chosen"),
        "rejected": without_prompt(rejected, prompt, "rejected"),
    }


def implicit_prompt_row(raw: Raw) -> Row:
    """{"chosen": [turns], "rejected": [turns]}: the prompt is what both begin with."""
    chosen, rejected = conversation(raw["chosen"], "chosen"), conversation(raw["rejected"], "rejected")
    prompt = shared_prompt(chosen, rejected)
    if not prompt:
        raise CannotConvert("chosen", "and rejected do not begin with a prompt that both share", "prompt_not_shared")
    answers = {"chosen": chosen[len(prompt) :], "rejected": rejected[len(prompt) :]}
    return {"prompt": with_system(prompt, raw.get("system")), **answers}


def _is_text(*names: str) -> Callable[[Raw], bool]:
    return lambda raw: all(isinstance(raw[name], str) for name in names)


def _is_list(*names: str) -> Callable[[Raw], bool]:
    return lambda raw: all(isinstance(raw[name], list) for name in names)


def _has_turn_key(name: str, key: str) -> Callable[[Raw], bool]:
    return lambda raw: isinstance(raw[name], list) and any(isinstance(t, Mapping) and key in t for t in raw[name])


def _whole_conversations(raw: Raw) -> bool:
    return all(isinstance(raw[name], list) and len(raw[name]) > 1 for name in ("chosen", "rejected"))


_PAIR = ("prompt", "chosen", "rejected")
_SIDES = ("chosen", "rejected")
_SYSTEM = ("system",)
_ALPACA_EXTRAS = ("input", "system", "history")
_CHATS = (
    Form("chat messages", ("messages",), chat_row, _is_list("messages"), _SYSTEM),
    Form("ShareGPT conversations", ("conversations",), sharegpt_row, _has_turn_key("conversations", "from"), _SYSTEM),
    Form("chat messages in the column conversations", ("conversations",), sharegpt_row, _is_list("conversations"), _SYSTEM),
)  # fmt: skip
FORMS: dict[str, tuple[Form, ...]] = {
    "text": (Form("plain text", ("text",), text_row, _is_text("text")),),
    "messages": (
        *_CHATS,
        Form("prompt and completion", ("prompt", "completion"), completion_row, uses=_SYSTEM),
        Form("Alpaca instructions", ("instruction", "output"), alpaca_row, _is_text("instruction"), _ALPACA_EXTRAS),
    ),
    "prompt": (
        Form("prompts as text", ("prompt",), prompt_row, _is_text("prompt"), _SYSTEM),
        Form("prompts as turns", ("prompt",), prompt_row, _is_list("prompt"), _SYSTEM),
        *(Form(f"{f.told}, the last answer as reference", f.needs, _asked(f.convert), f.fits, f.uses) for f in _CHATS),
        Form("Alpaca instructions, the output as reference", ("instruction",), alpaca_prompt_row, _is_text("instruction"),
             (*_ALPACA_EXTRAS, "output")),
        Form(
            "preference pairs, without the answers", _SIDES,
            lambda raw: {"prompt": implicit_prompt_row(raw)["prompt"]}, _whole_conversations, _SYSTEM,
        ),
    ),
    "preference": (
        Form("preference pairs: conversations with the prompt inside", _PAIR, preference_row, _whole_conversations, _SYSTEM),
        Form("preference pairs: prompt, chosen and rejected as text", _PAIR, preference_row, _is_text(*_PAIR), _SYSTEM),
        Form("preference pairs: prompt, chosen and rejected as turns", _PAIR, preference_row, uses=_SYSTEM),
        Form("preference pairs: conversations, the prompt is what both begin with", _SIDES, implicit_prompt_row,
             _whole_conversations, _SYSTEM),
    ),
}  # fmt: skip
