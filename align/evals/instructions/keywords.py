"""IFEval's `keywords`: words and letters that a response has, repeats or avoids. Case does not count."""

from __future__ import annotations

import re

from align.evals.instructions.arguments import Character, Count, Relation, Text, Texts, holds


def existence(response: str, keywords: Texts) -> bool:
    """Every keyword occurs, also inside a longer word."""
    return all(keyword.lower() in response.lower() for keyword in keywords)


def frequency(response: str, keyword: Text, frequency: Count, relation: Relation) -> bool:
    """The keyword occurs less than, or at least, so many times; inside longer words too."""
    return holds(relation, response.lower().count(keyword.strip().lower()), frequency)


def forbidden_words(response: str, forbidden_words: Texts) -> bool:
    """None of the words occurs as a whole word."""
    return not any(_whole_word(word).search(response) for word in forbidden_words)


def letter_frequency(response: str, letter: Character, let_frequency: Count, let_relation: Relation) -> bool:
    """The character occurs less than, or at least, so many times.

    The published checker draws a random letter where the character is none of a to z (two of its 541 prompts ask for
    `#` and `!`); here it is counted as asked.
    """
    return holds(let_relation, response.lower().count(letter.lower()), let_frequency)


def _whole_word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
