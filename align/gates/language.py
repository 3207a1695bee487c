"""The language of gates: one sentence of FIGURE [- FIGURE] OPERATOR NUMBER [(confidence C)] [or inconclusive]."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

CONFIDENCE = 0.95
STORED = "baseline"
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
EXAMPLE = "dpo.preference.win_rate > 0.55 (confidence 0.95)"

_FIGURE = re.compile(r"[A-Za-z0-9][\w-]*(?:[./][\w-]+)+")
_OPERATOR = re.compile(r"\s*([<>=!≤≥≠]+)\s*")
_CONFIDENCE = re.compile(r"\(\s*confidence\s+([^\s()]+)\s*\)")
_TAIL = "or inconclusive"


@dataclass(frozen=True)
class Term:
    """A figure by its dotted name; `stored` when it is the one in the baseline file."""

    path: str
    stored: bool = False

    def __str__(self) -> str:
        return f"{STORED}.{self.path}" if self.stored else self.path


@dataclass(frozen=True)
class Gate:
    """One gate. `confidence` is that of each one-sided bound, None where none was written."""

    text: str
    figure: Term
    minus: Term | None
    operator: str
    threshold: float
    confidence: float | None = None
    tolerant: bool = False  # whether inconclusive lets it through

    def terms(self) -> tuple[Term, ...]:
        return (self.figure, self.minus) if self.minus else (self.figure,)


def parse(text: str) -> Gate:
    """Reads one gate. Raises ValueError saying what of it was not understood, and how it would be written."""
    left, sign, right = _split(text)
    figure, minus = _figures(left)
    number, rest = _number(right)
    confidence, rest = _confidence(rest)
    return Gate(text.strip(), figure, minus, sign, number, confidence, _tolerant(rest))


def _split(text: str) -> tuple[str, str, str]:
    found = _OPERATOR.search(text)
    if not found:
        raise ValueError(f'"{text}" compares nothing. A gate is written like {EXAMPLE}')
    sign = found[1]
    if sign not in OPERATORS:
        meant = {"=": "==", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "≠": "!=", "<>": "!="}.get(sign)
        known = f"Did you mean {meant}?" if meant else f"Known: {', '.join(OPERATORS)}."
        raise ValueError(f'"{sign}" in "{text}" is no comparison. {known}')
    return text[: found.start()], sign, text[found.end() :]


def _figures(text: str) -> tuple[Term, Term | None]:
    words = re.split(r"\s+-\s+", text.strip())
    if len(words) > 2:
        raise ValueError(f'"{text.strip()}" subtracts more than once; a gate compares one figure or one difference')
    terms = [_term(word) for word in words]
    return terms[0], terms[1] if len(terms) > 1 else None


def _term(word: str) -> Term:
    if not _FIGURE.fullmatch(word):
        hint = " (a minus has spaces around it)" if "-" in word else ""
        raise ValueError(
            f'"{word}" is no figure{hint}. It is written MODEL.SUITE.METRIC or STEP.METRIC, and compared like {EXAMPLE}'
        )
    path = word.replace("/", ".")
    head, _, rest = path.partition(".")
    return Term(rest, stored=True) if head == STORED else Term(path)


def _number(text: str) -> tuple[float, str]:
    word = re.split(r"[\s(]", text, maxsplit=1)[0]
    rest = text[len(word) :]
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number, rest
    hint = f" Write {word[:-1]} % as a share of 1." if "%" in word else ""
    raise ValueError(f'"{word}" is no number; expected one after the comparison, as in {EXAMPLE}.{hint}')


def _confidence(text: str) -> tuple[float | None, str]:
    text = text.strip()
    if not text.startswith("("):
        return None, text
    found = _CONFIDENCE.match(text)
    try:
        level = float(found[1]) if found else math.nan
    except ValueError:
        level = math.nan
    if not found or not 0.5 < level < 1:
        shown = text[: text.index(")") + 1] if ")" in text else text
        raise ValueError(f'"{shown}" is not understood; expected (confidence C) with C between 0.5 and 1')
    return level, text[found.end() :].strip()


def _tolerant(text: str) -> bool:
    if text == "":
        return False
    if " ".join(text.split()) == _TAIL:
        return True
    close = difflib.get_close_matches(text, [_TAIL, f"({CONFIDENCE})", f"(confidence {CONFIDENCE})"], 1, 0.5)
    hint = f"Did you mean {close[0]}?" if close and "confidence" not in text else ""
    raise ValueError(f'"{text}" at the end is not understood. {hint or f"A gate may end in {_TAIL}."}')
