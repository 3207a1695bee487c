"""IFEval's `detectable_content`: placeholders and a postscript."""

from __future__ import annotations

import re

from align.evals.instructions.arguments import Count, Text


def number_placeholders(response: str, num_placeholders: Count) -> bool:
    """At least so many [placeholders] in square brackets."""
    return len(re.findall(r"\[[^\]\n]*\]", response)) >= num_placeholders


def postscript(response: str, postscript_marker: Text) -> bool:
    """The marker, such as P.S. or P.P.S, stands somewhere; case does not count, a space may follow each full stop."""
    marker = re.escape(postscript_marker.strip()).replace(r"\.", r"\.\s?")
    return re.search(marker, response, re.IGNORECASE) is not None
