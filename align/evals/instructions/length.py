"""IFEval's `length_constraints`: words, sentences and paragraphs of a response."""

from __future__ import annotations

import re

from align.evals.instructions import counting
from align.evals.instructions.arguments import Count, Ordinal, Relation, Text, holds


def number_words(response: str, num_words: Count, relation: Relation) -> bool:
    return holds(relation, counting.words(response), num_words)


def number_sentences(response: str, num_sentences: Count, relation: Relation) -> bool:
    return holds(relation, counting.sentences(response), num_sentences)


def number_paragraphs(response: str, num_paragraphs: Count) -> bool:
    """Exactly so many paragraphs with the divider *** between them; one before the first or after the last is allowed."""
    parts = [part.strip() for part in response.split("***")]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


def nth_paragraph_first_word(response: str, num_paragraphs: Count, nth_paragraph: Ordinal, first_word: Text) -> bool:
    """Exactly so many paragraphs, empty lines between them, and the nth begins with the word.

    As published, n counts the pieces between empty lines, so that two empty lines shift it by one.
    """
    pieces = response.split("\n\n")
    count = sum(bool(piece.strip()) for piece in pieces)
    if count != num_paragraphs or nth_paragraph > count:
        return False
    return _first_word(pieces[nth_paragraph - 1]) == first_word.strip().lower()


def _first_word(paragraph: str) -> str:
    """Lower case, without quotes before it, up to the first mark in it."""
    start, *_ = [*paragraph.split(), ""]
    return re.split(r"[.,?!'\"]", start.lstrip("'").lstrip('"').lower(), maxsplit=1)[0]
