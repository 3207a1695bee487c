"""IFEval's `startend`: how a response ends, and quotation marks around it."""

from __future__ import annotations

from align.evals.instructions.arguments import Text


def end_checker(response: str, end_phrase: Text) -> bool:
    """Ends with the phrase; case and quotation marks around the response do not count."""
    return response.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def quotation(response: str) -> bool:
    """Stands in double quotation marks."""
    text = response.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'
