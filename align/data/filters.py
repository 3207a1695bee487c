"""Rows that a recipe asks to leave out: by length, by language, copies. Each is dropped with its reason, and counted.

    sieves = [*always("preference"), *asked(spec.filters)]
    why = next((found for sieve in sieves if (found := sieve(row, texts))), None)      -> Found(reason, words, asked) or None

What is wrong in every recipe, a pair with two identical sides, is found here too, and is not a thing that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import langdetect
from langdetect.lang_detect_exception import LangDetectException

from align.data.row_statistics import Texts
from align.specs.filters import Filters, LengthFilter

LETTERS_LOOKED_AT = 1000  # of a row
LETTERS_NEEDED = 20  # with fewer, langdetect guesses


class Found(NamedTuple):
    """Why a row is left out. `reason` is the same for all such rows; `asked`: the recipe wants it."""

    reason: str
    words: str
    asked: bool = True


Sieve = Callable[[Mapping[str, Any], Texts], Found | None]


def always(row_type: str) -> list[Sieve]:
    """What no recipe has to ask for."""
    return [_identical_sides] if row_type == "preference" else []


def asked(filters: Filters, tokens: Callable[[str], int] | None = None) -> list[Sieve]:
    """The filters asked for, the cheap ones first; the one that looks for copies last, so that it sees only what stays.

    `tokens` counts those of a text; without it tokens are words, as rows of token ids are written.
    """
    units = {"characters": len, "words": _words, "tokens": tokens or _words}
    sieves: list[Sieve] = [_length(each, units[each.unit]) for each in filters.length]
    if filters.language:
        sieves.append(_language(frozenset(filters.language)))
    if filters.duplicates:
        sieves.append(_copies(filters.duplicates))
    return sieves


def token_counter(tokenizer: Any) -> Callable[[str], int]:
    """Tokens of a text by itself, without a template around it."""
    return lambda text: len(tokenizer(text.replace("\0", "\n"), add_special_tokens=False)["input_ids"])


def _identical_sides(row: Mapping[str, Any], texts: Texts) -> Found | None:
    chosen, rejected = texts.answers
    if chosen == rejected or chosen.strip() == rejected.strip():
        return Found("identical_sides", "has two identical answers: nothing can be learnt from it", False)
    return None


def _words(text: str) -> int:
    return len(text.replace("\0", " ").split())


def _length(limits: LengthFilter, measure: Callable[[str], int]) -> Sieve:
    """Whether each text asked about is neither too short nor too long."""

    def sieve(row: Mapping[str, Any], texts: Texts) -> Found | None:
        looked_at = {
            "prompt": (texts.prompt,),
            "answer": texts.answers,
            "row": ("".join((texts.prompt, *texts.answers)),),
        }
        for text in looked_at[limits.of]:
            size = measure(text)
            if limits.min is not None and size < limits.min:
                return Found(
                    f"length_{limits.of}_short",
                    f"has {size:,} {limits.unit} in its {limits.of}, fewer than {limits.min:,}",
                )
            if limits.max is not None and size > limits.max:
                return Found(
                    f"length_{limits.of}_long",
                    f"has {size:,} {limits.unit} in its {limits.of}, more than {limits.max:,}",
                )
        return None

    return sieve


def _language(wanted: frozenset[str]) -> Sieve:
    """What langdetect takes the row's texts for, seeded; a row of few letters is not judged and stays."""
    langdetect.DetectorFactory.seed = 0

    def sieve(row: Mapping[str, Any], texts: Texts) -> Found | None:
        text = " ".join((texts.prompt.replace("\0", " "), *texts.answers))[:LETTERS_LOOKED_AT]
        if sum(map(str.isalpha, text)) < LETTERS_NEEDED:
            return None
        try:
            found = langdetect.detect(text)
        except LangDetectException:
            return None
        return (
            None
            if found in wanted
            else Found(f"language_{found}", f"is in the language {found}, as far as can be seen")
        )

    return sieve


def _copies(kind: str) -> Sieve:
    """Rows (or prompts) that came before. State: about 60 bytes for each one that is kept."""
    seen: set[int] = set()

    def sieve(row: Mapping[str, Any], texts: Texts) -> Found | None:
        key = hash(texts.prompt if kind == "prompts" and texts.prompt else texts)
        if key in seen:
            return Found(f"duplicate_{kind}", f"repeats an earlier {kind.removesuffix('s')}")
        seen.add(key)
        return None

    return sieve
