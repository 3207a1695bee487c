"""IFEval's `punctuation`."""

from __future__ import annotations


def no_comma(response: str) -> bool:
    return "," not in response
