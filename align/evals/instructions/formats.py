"""IFEval's `detectable_format`: bullets, highlights, sections, a title, JSON, a fixed answer."""

from __future__ import annotations

import json
import re

from align.evals.instructions.arguments import Count, Text

OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def number_bullet_lists(response: str, num_bullets: Count) -> bool:
    """Exactly so many lines that begin with a dash or a single asterisk."""
    return len(re.findall(r"^\s*(?:-|\*[^*])", response, re.MULTILINE)) == num_bullets


def number_highlighted_sections(response: str, num_highlights: Count) -> bool:
    """At least so many *highlighted* or **highlighted** stretches, none of them over more than a line."""
    single = re.findall(r"\*([^*\n]*)\*", response)
    double = re.findall(r"\*\*([^*\n]*)\*\*", response)
    return sum(bool(stretch.strip()) for stretch in (*single, *double)) >= num_highlights


def multiple_sections(response: str, section_spliter: Text, num_sections: Count) -> bool:
    """At least so many headings of the word and a number, such as `Section 1`. (The argument's name is the data set's.)"""
    heading = re.escape(section_spliter.strip()) + r"\s?\d+"
    return len(re.findall(heading, response)) >= num_sections


def title(response: str) -> bool:
    """A <<title>> in double angular brackets, on one line and not empty."""
    return any(found.strip("<>").strip() for found in re.findall(r"<<[^\n]+>>", response))


def json_format(response: str) -> bool:
    """The whole is JSON, perhaps in a Markdown fence."""
    body = re.sub(r"\A```(?:json|Json|JSON)?", "", response.strip()).removesuffix("```").strip()
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def constrained_response(response: str) -> bool:
    """One of the three answers is in it."""
    return any(option in response for option in OPTIONS)
