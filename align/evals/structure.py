"""The form of an answer: declared structures, turns of somebody else, special tokens written out as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

_BULLET = re.compile(r"\s*(?:[-*•‣–]|\d{1,3}[.)])\s+\S")
_BRACKETS = re.compile(r"\[\s*[^\[\],]+(?:,\s*[^\[\],]+)*\]")
_TAG = re.compile(r"<(/?)([A-Za-z][\w.-]*)(?:\s[^<>]*)?(/?)>")
_MARKERS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<<?/?SYS>>?|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
)
_ROLE_LINE = re.compile(
    r"^\s*(?:#+\s*)?\**(?:user|human|assistant|system|question from user)\**\s*:", re.IGNORECASE | re.MULTILINE
)


def is_json(text: str) -> bool:
    """One JSON object or array and nothing else; NaN and the like are none."""
    try:
        return isinstance(json.loads(text, parse_constant=_refuse), dict | list)
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def is_list(text: str) -> bool:
    """At least two items, each on a line that begins with a bullet or a number; indented lines may go on with an item."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    items = [bool(_BULLET.match(line)) for line in lines]
    continued = all(item or line[0] in " \t" for item, line in zip(items, lines, strict=True))
    return sum(items) >= 2 and items[0] and continued


def is_tags(text: str) -> bool:
    """`[ one, two ]` and nothing else (several in a row are fine), or XML-like tags that all open and close in order."""
    text = text.strip()
    if text.startswith("[") and not _BRACKETS.sub("", text).strip():
        return True
    return text.startswith("<") and text.endswith(">") and _balanced(text)


def _balanced(text: str) -> bool:
    stack: list[str] = []
    found = 0
    for closing, name, alone in _TAG.findall(text):
        found += 1
        if closing:
            if not stack or stack.pop() != name:
                return False
        elif not alone:
            stack.append(name)
    return found > 0 and not stack


STRUCTURES: dict[str, Callable[[str], bool]] = {"json": is_json, "list": is_list, "tags": is_tags}


def matches(text: str, structure: str | None = None, pattern: str | None = None) -> bool:
    """Whether the whole answer has the structure, or matches the pattern (a dot matches line ends too)."""
    if structure:
        return STRUCTURES[structure](text.strip())
    return re.fullmatch(pattern or "", text.strip(), re.DOTALL) is not None


def other_turn(text: str) -> bool:
    """Whether the answer goes on as somebody else: a line such as `User:`."""
    return _ROLE_LINE.search(text) is not None


def spelled_special(text: str, names: Iterable[str]) -> bool:
    """Whether a special token, of this tokenizer or of another family's, is written out in the text."""
    return any(name in text for name in names) or _MARKERS.search(text) is not None
