"""What pydantic found wrong with a recipe, told as people say it: at the keys that they wrote, each mistake once."""

from __future__ import annotations

import difflib
import re
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from align.errors import Problem, did_you_mean
from align.recipe_yaml import Document
from align.specs import MADE_OF, STAGES, Settings
from align.specs.elsewhere import ours
from align.specs.suites import SUITES

_KINDS = {
    "float_type": "a number", "float_parsing": "a number", "int_type": "a whole number", "int_parsing": "a whole number",
    "int_from_float": "a whole number", "bool_type": "true or false", "string_type": "a name or text",
}  # fmt: skip
_LIMITS = {
    "gt": "more than",
    "ge": "at least",
    "lt": "less than",
    "le": "at most",
    "min_length": "a length of at least",
}
_NUMBER = r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?"


def explained(error: ValidationError, model: type[Settings], place: str, document: Document) -> list[Problem]:
    """The problems of settings that stand at `place`. A misspelt key that was needed is one problem, not two."""
    found = [(item, *_place(model, item["loc"])) for item in error.errors()]
    missing = {tuple(keys) for item, keys, _ in found if item["type"] == "missing"}
    told: list[tuple[list[str], str]] = []
    for item, keys, model_there in found:
        if item["type"] == "extra_forbidden":
            message, meant = _unknown(keys, _fields(model_there), missing)
            message = _deeper(keys, document) or message if not place else message
            missing.discard(meant)
            told.append((keys, message))
    for item, keys, model_there in found:
        if item["type"] == "missing" and tuple(keys) in missing:
            told.append((keys, "is missing" + _described(model_there, keys)))
        elif item["type"] not in ("missing", "extra_forbidden"):
            told.append(_wrong(item, keys, model_there))
    return [document.problem(".".join([*filter(None, [place]), *keys]), message.strip()) for keys, message in told]


def _deeper(keys: list[str], document: Document) -> str:
    """What was meant by a key at the top that stands deeper in the recipe: `dpo.beta`, or `beta` alone."""
    if len(keys) > 1:
        return ""
    (key,) = keys
    bodies = {
        f"{top}.{name}": body for top in ("stages", "data") for name, body in _mapping(document.data.get(top)).items()
    }
    given = next((k for k, line in document.lines.items() if line == 0 and k.startswith(f"{key}.")), key)
    named = [f"{place}{given.removeprefix(key)}" for place in bodies if place.endswith(f".{key}")]
    kinds = {place: STAGES.get(str(_mapping(body).get("kind"))) for place, body in bodies.items()}
    holding = [f"{place}.{key}" for place, kind in kinds.items() if kind and key in _fields(kind)]
    return f"unknown key. Did you mean {' or '.join(named or holding[:3])}?" if named or holding else ""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def without_kind(place: str, body: Any, document: Document) -> Problem:
    """The problem of a stage whose kind is unknown, missing or misspelt."""
    kind = body.get("kind") if isinstance(body, dict) else None
    if kind:
        return document.problem(f"{place}.kind", f"unknown kind {kind}. {did_you_mean(str(kind), STAGES)}")
    if isinstance(body, dict) and (near := _near("kind", list(body), 0.6)):
        said = f"a colon needs a space behind it, as in {near.replace(':', ': ', 1)}" if ":" in near else ""
        return document.problem(f"{place}.{near}", said or "unknown key. Did you mean kind, which is missing?")
    if document.lines.get(place) == 0:  # nothing but an override made it
        others = [f"stages.{name}" for name in document.data["stages"] if f"stages.{name}" != place]
        return document.problem(place, f"there is no such stage. {did_you_mean(place, others, 0.8)}")
    return document.problem(place, f"a stage needs a kind. {did_you_mean(place.rpartition('.')[2], STAGES)}")


def _unknown(keys: list[str], known: list[str], missing: set[tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """What is said of an unknown key, and the place of the key that was meant: one that is missing where two are as near."""
    *parents, key = keys
    if ":" in key:
        return f"a colon needs a space behind it, as in {key.replace(':', ': ', 1)}", (*parents, key.partition(":")[0])
    needed = [m[-1] for m in missing if list(m[:-1]) == parents]
    near = ours(key, needed) or _near(key, needed, 0.75) or ours(key, known) or _near(key, known, 0.6)
    if (
        near is None
        and "suites" in known
        and (suite := next((n for n, s in SUITES.items() if key in _fields(s)), None))
    ):
        return f"unknown key. It is one of a suite, as in suites.{suite}.{key}", ()
    if near is None:
        return f"unknown key. {did_you_mean(key, known)}", ()
    return f"unknown key. Did you mean {near}{', which is missing' if near in needed else ''}?", (*parents, near)


def _near(word: str, known: list[str], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, 1, cutoff)), None)


def _wrong(item: ErrorDetails, keys: list[str], model: type[Settings]) -> tuple[list[str], str]:
    """What is said of a value that is not what its key takes, and the keys that it is said at."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "union_tag_not_found":
        return [*keys, "kind"], f"is missing, and {keys[-1]} is none by itself. {did_you_mean(keys[-1], SUITES, 0.5)}"
    if kind == "union_tag_invalid":
        tag = str(context.get("tag"))
        return [*keys, "kind"], f"unknown kind {tag}. {did_you_mean(tag, SUITES)}"
    if kind == "value_error":
        return keys, item["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        return keys, _no_option(str(item["input"]), str(context.get("expected")))
    if kind == "string_pattern_mismatch":
        return keys, f"{item['input']!r} cannot be a name: letters, digits, - and _ only"
    return keys, f"found {_written(item['input'])}; {_wanted(item, model, keys)}{_described(model, keys)}"


def _wanted(item: ErrorDetails, model: type[Settings], keys: list[str]) -> str:
    """What a value should be, in the words of a recipe's writer."""
    kind, found, context = item["type"], item["input"], item.get("ctx", {})
    if kind in _KINDS:
        quoted = isinstance(found, str) and _KINDS[kind].endswith("number") and re.fullmatch(_NUMBER, found)
        return f"expected {_KINDS[kind]}" + (": leave the quotes out" if quoted else "")
    if kind == "list_type":
        return "expected a list" + (f", as in [{found}]" if isinstance(found, str) else "")
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        field = _field(model, keys[-1])
        inner = _settings_in(field.annotation) if field else None
        return "expected keys and values" + (f", of {{{', '.join(_fields(inner))}}}" if inner else "")
    limit = next((f"{words} {context[name]:g}" for name, words in _LIMITS.items() if name in context), "")
    return f"expected {limit}" if limit else f"{item['msg'][0].lower()}{item['msg'][1:]}"


def _written(value: Any) -> str:
    """A value as it stands in a recipe."""
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)


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
        field = _field(model, key)
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


def _field(model: type[Settings], key: str) -> FieldInfo | None:
    return next((f for n, f in model.model_fields.items() if key in (n, f.alias)), None)


def _described(model: type[Settings], keys: list[str]) -> str:
    """What the last of the keys means, and which words it knows."""
    field = _field(model, keys[-1])
    if field is None:
        return ""
    words = get_args(getattr(field.annotation, "__value__", field.annotation))
    told = [field.description or "", ", ".join(w for w in words if isinstance(w, str))]
    return f" ({': '.join(filter(None, told))})" if any(told) else ""
