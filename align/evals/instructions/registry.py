"""The 25 instructions by their published ids, and what each wants to be told.

check = instruction("length_constraints:number_words", {"num_words": 3, "relation": "at least"})
check("One two three.")   -> True
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from align.errors import DataError
from align.evals.instructions import (
    case,
    combination,
    content,
    ends,
    formats,
    keywords,
    language,
    length,
    punctuation,
)

Check = Callable[[str], bool]

CHECKS: dict[str, Callable[..., bool]] = {
    "change_case:capital_word_frequency": case.capital_word_frequency,
    "change_case:english_capital": case.english_capital,
    "change_case:english_lowercase": case.english_lowercase,
    "combination:repeat_prompt": combination.repeat_prompt,
    "combination:two_responses": combination.two_responses,
    "detectable_content:number_placeholders": content.number_placeholders,
    "detectable_content:postscript": content.postscript,
    "detectable_format:constrained_response": formats.constrained_response,
    "detectable_format:json_format": formats.json_format,
    "detectable_format:multiple_sections": formats.multiple_sections,
    "detectable_format:number_bullet_lists": formats.number_bullet_lists,
    "detectable_format:number_highlighted_sections": formats.number_highlighted_sections,
    "detectable_format:title": formats.title,
    "keywords:existence": keywords.existence,
    "keywords:forbidden_words": keywords.forbidden_words,
    "keywords:frequency": keywords.frequency,
    "keywords:letter_frequency": keywords.letter_frequency,
    "language:response_language": language.response_language,
    "length_constraints:nth_paragraph_first_word": length.nth_paragraph_first_word,
    "length_constraints:number_paragraphs": length.number_paragraphs,
    "length_constraints:number_sentences": length.number_sentences,
    "length_constraints:number_words": length.number_words,
    "punctuation:no_comma": punctuation.no_comma,
    "startend:end_checker": ends.end_checker,
    "startend:quotation": ends.quotation,
}
FAMILIES = sorted({name.split(":")[0] for name in CHECKS})


def family(instruction_id: str) -> str:
    """`keywords` of `keywords:existence`."""
    return instruction_id.split(":")[0]


def instruction(instruction_id: str, arguments: Mapping[str, Any], where: str = "") -> Check:
    """The instruction with its arguments, ready to judge responses; arguments that are None count as not given.

    Raises DataError for an id that is none of the 25, and for arguments that are missing, unknown or of another type.
    """
    if instruction_id not in CHECKS:
        raise DataError(
            where, f"there is no instruction {instruction_id!r}",
            f"It is one of IFEval's {len(CHECKS)}", _did_you_mean(instruction_id, list(CHECKS)),
        )  # fmt: skip
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        read = _arguments_of(instruction_id).model_validate(given)
    except ValidationError as failure:
        raise _wrong_arguments(where, instruction_id, failure) from None
    return partial(CHECKS[instruction_id], **{name: getattr(read, name) for name in type(read).model_fields})


@cache
def _arguments_of(instruction_id: str) -> type[BaseModel]:
    """What a check's signature wants besides the response, as a pydantic model."""
    check = CHECKS[instruction_id]
    hints = get_type_hints(check, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ...) for name in inspect.signature(check).parameters if name != "response"
    }
    return create_model(instruction_id, __config__=ConfigDict(extra="forbid"), **fields)


def _wrong_arguments(where: str, instruction_id: str, failure: ValidationError) -> DataError:
    """The first mistake; an argument that has a wrong name before one that is missing for it."""
    names = list(_arguments_of(instruction_id).model_fields)
    wanted = f"It takes {', '.join(names)}" if names else "It takes no arguments"
    problem = min(failure.errors(), key=lambda error: error["type"] != "extra_forbidden")
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return DataError(where, f"{instruction_id} has no argument {name}", wanted, _did_you_mean(name, names))
    if problem["type"] == "missing":
        return DataError(where, f"{instruction_id} lacks its argument {name}", wanted)
    said = problem["msg"].removeprefix("Value error, ")
    return DataError(where, f"{name} of {instruction_id} is {problem['input']!r}", said)


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}" if known else ""
