"""Whether a response follows an instruction: strictly, or as one of eight variants of it does.

follows("startend:quotation", {}, 'Sure:\n"Hi."')   -> False
loosely("startend:quotation", {}, 'Sure:\n"Hi."')   -> True: without its first line it does
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align.evals.instructions.registry import Check, instruction


def follows(instruction_id: str, arguments: Mapping[str, Any], response: str) -> bool:
    """Strictly. A blank response follows nothing. Raises DataError where `instruction` does."""
    return strict(instruction(instruction_id, arguments), response)


def loosely(instruction_id: str, arguments: Mapping[str, Any], response: str) -> bool:
    """Loosely: a bound from above, which forgives an opening line, a closing line and Markdown's asterisks."""
    return loose(instruction(instruction_id, arguments), response)


def strict(check: Check, response: str) -> bool:
    return bool(response.strip()) and check(response)


def loose(check: Check, response: str) -> bool:
    return any(strict(check, variant) for variant in variants(response))


def variants(response: str) -> list[str]:
    """The response, without its first line, its last, or both; each of them also without asterisks."""
    lines = response.split("\n")
    cut = [response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return cut + [text.replace("*", "") for text in cut]
