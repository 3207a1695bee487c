"""What pydantic found wrong with a recipe, told as people say it: at the keys that they wrote, each mistake once."""

from __future__ import annotations

import difflib
import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from align.errors import Problem, did_you_mean
from align.recipe_yaml import Document
from align.specs import MADE_OF, STAGES, Settings
from align.specs.elsewhere import ours
from align.specs.suites import SUITES


def explained(error: ValidationError, model: type[Settings], place: str, document: Document) -> list[Problem]:
    """The problems of settings that stand at `place`. A misspelt key that was needed is one problem, not two."""
    found = [(item, *_place(model, item["loc"])) for item in error.errors()]
    missing = {tuple(keys) for item, keys, _ in found if item["type"] == "missing"}
    told: list[tuple[list[str], str]] = []
    for item, keys, model_there in found:
        if item["type"] == "extra_forbidden":
            message, meant = _unknown(keys, _fields(model_there), missing)
            missing.discard(meant)
            told.append((keys, message))
    for item, keys, _ in found:
        if item["type"] == "missing" and tuple(keys) in missing:
            told.append((keys, "is missing" + _described(model, keys)))
        elif item["type"] not in ("missing", "extra_forbidden"):
            told.append(_wrong(item, keys, model))
    return [document.problem(".".join([*filter(None, [place]), *keys]), message.strip()) for keys, message in told]


def without_kind(place: str, body: Any, document: Document) -> Problem:
    """The problem of a stage whose kind is unknown, missing or misspelt."""
    kind = body.get("kind") if isinstance(body, dict) else None
    if kind:
        return document.problem(f"{place}.kind", f"unknown kind {kind}. {did_you_mean(str(kind), STAGES)}")
    if isinstance(body, dict) and (near := _near("kind", list(body), 0.6)):
        return document.problem(f"{place}.{near}", "unknown key. Did you mean kind, which is missing?")
    return document.problem(place, f"a stage needs a kind. {did_you_mean(place.rpartition('.')[2], STAGES)}")


def _unknown(keys: list[str], known: list[str], missing: set[tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """What is said of an unknown key, and the place of the key that was meant: one that is missing where two are as near."""
    *parents, key = keys
    needed = [m[-1] for m in missing if list(m[:-1]) == parents]
    near = ours(key, needed) or _near(key, needed, 0.75) or ours(key, known) or _near(key, known, 0.6)
    if near is None:
        return f"unknown key. {did_you_mean(key, known)}", ()
    return f"unknown key. Did you mean {near}{', which is missing' if near in needed else ''}?", (*parents, near)


def _near(word: str, known: list[str], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, 1, cutoff)), None)


def _wrong(item: ErrorDetails, keys: list[str], model: type[Settings]) -> tuple[list[str], str]:
    """What is said of a value that is not what its key takes, and the keys that it is said at."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "union_tag_not_found":
        return [*keys, "kind"], f"is missing. Known: {', '.join(SUITES)}."
    if kind == "union_tag_invalid":
        tag = str(context.get("tag"))
        return [*keys, "kind"], f"unknown kind {tag}. {did_you_mean(tag, SUITES)}"
    if kind == "value_error":
        return keys, item["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        return keys, _no_option(str(item["input"]), str(context.get("expected")))
    if kind == "string_pattern_mismatch":
        return keys, f"{item['input']!r} cannot be a name: letters, digits, - and _ only"
    return keys, f"found {item['input']!r}; {item['msg'][0].lower()}{item['msg'][1:]}{_described(model, keys)}"


def _no_option(found: str, expected: str) -> str:
    """pydantic writes the options as `'json', 'list' or 'tags'`."""
    near = _near(found, re.findall(r"'([^']*)'", expected), 0.5)
    return f"found {found!r}; expected {expected}." + (f" Did you mean {near}?" if near else "")


def _place(model: type[Settings], loc: tuple[int | str, ...]) -> tuple[list[str], type[Settings]]:
    """The keys as a person wrote them, and the settings that the last of them stands in.

    pydantic puts what it tried in between: a suite's kind, the name of a validator or of a type in a union.
    """
    keys: list[str] = []
    for index, key in enumerate(map(str, loc)):
        if loc[0] == "suites" and index == 2 and key in SUITES:
            model = SUITES[key]
            continue
        model = MADE_OF.get(key[1:-1], model) if key.startswith("(") else model
        if key.startswith(("(", "function-", "list[", "LoRA")) or key in ("str", "dict", "int", "float", "bool"):
            continue
        field = next((f for n, f in model.model_fields.items() if key in (n, f.alias)), None)
        inner = _settings_in(field.annotation) if field and index < len(loc) - 1 else None
        model = inner or model  # a key of a dictionary (a suite's or data entry's name) stays at the same model
        keys.append(key)
    return keys, model


def _fields(model: type[Settings]) -> list[str]:
    """The keys that could stand in a settings model, for the hint about a wrong one."""
    return [f.alias or n for n, f in model.model_fields.items()]


def _settings_in(annotation: Any) -> type[Settings] | None:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((s for a in getattr(annotation, "__args__", ()) if (s := _settings_in(a))), None)


def _described(model: type[Settings], keys: list[str]) -> str:
    field = model.model_fields.get(keys[0]) if len(keys) == 1 else None
    return f" ({field.description})" if field and field.description else ""
