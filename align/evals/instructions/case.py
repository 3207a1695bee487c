"""IFEval's `change_case`: capitals."""

from __future__ import annotations

from align.evals.instructions import counting
from align.evals.instructions.arguments import Count, Relation, holds
from align.evals.instructions.language import is_in


def capital_word_frequency(response: str, capital_frequency: Count, capital_relation: Relation) -> bool:
    """Less than, or at least, so many words all in capitals; `I` and `A` are such words, `WELL-KNOWN` is one."""
    found = sum(token.isupper() for token in counting.tokens(response))
    return holds(capital_relation, found, capital_frequency)


def english_capital(response: str) -> bool:
    """In English, without a lower-case letter."""
    return response.isupper() and is_in(response, "en")


def english_lowercase(response: str) -> bool:
    """In English, without a capital."""
    return response.islower() and is_in(response, "en")
