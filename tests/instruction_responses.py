"""Responses to verifiable instructions: one that is made to comply, and one that just fails a single instruction.

Instructions are met in the order of EDITS: what rewrites the whole text first, what encloses it last.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests import instruction_edits as edits
from tests.instruction_edits import Arguments
from tests.instruction_texts import body, sentence

Edit = Callable[[str, Arguments, random.Random], str]

# name -> the edit that makes a text comply, the edit by which it just fails to
EDITS: dict[str, tuple[Edit, Edit]] = {
    "language:response_language": (edits.in_language, edits.in_other_language),
    "length_constraints:number_words": (edits.with_words, edits.with_other_words),
    "length_constraints:number_sentences": (edits.with_sentences, edits.with_other_sentences),
    "length_constraints:number_paragraphs": (
        lambda text, a, rng: edits.in_paragraphs(a["num_paragraphs"], rng),
        lambda text, a, rng: edits.in_paragraphs(
            a["num_paragraphs"] + (rng.choice((1, -1)) if a["num_paragraphs"] > 1 else 1), rng
        ),
    ),
    "length_constraints:nth_paragraph_first_word": (edits.with_nth_word, edits.with_other_nth_word),
    "detectable_format:multiple_sections": (edits.with_sections, edits.with_other_sections),
    "detectable_format:number_bullet_lists": (
        lambda text, a, rng: edits.with_list(text, a["num_bullets"], rng),
        edits.with_other_list,
    ),
    "detectable_format:number_highlighted_sections": (
        lambda text, a, rng: edits.with_highlights(text, a["num_highlights"], rng),
        edits.with_other_highlights,
    ),
    "detectable_content:number_placeholders": (
        lambda text, a, rng: edits.with_placeholders(text, a["num_placeholders"], rng),
        edits.with_other_placeholders,
    ),
    "detectable_format:title": (
        lambda text, a, rng: f"<<{sentence(rng)}>>\n{text}",
        lambda text, a, rng: rng.choice(("<A title>", "<<>>", "<<a\ntitle>>", "<< >>", "«Title»")) + "\n" + text,
    ),
    "detectable_format:constrained_response": (
        lambda text, a, rng: f"{rng.choice(('', 'Well. '))}My answer is {rng.choice(('yes', 'no', 'maybe'))}.",
        lambda text, a, rng: rng.choice(("My answer is yes", "my answer is no.", "Maybe.", "My answer: maybe.")),
    ),
    "keywords:frequency": (edits.with_frequency, edits.with_other_frequency),
    "keywords:existence": (edits.with_keywords, edits.without_a_keyword),
    "keywords:letter_frequency": (edits.with_letters, edits.with_other_letters),
    "keywords:forbidden_words": (edits.without_forbidden, edits.with_forbidden),
    "detectable_content:postscript": (edits.with_postscript, edits.with_other_postscript),
    "detectable_format:json_format": (edits.as_json, edits.as_other_json),
    "change_case:capital_word_frequency": (edits.with_capitals, edits.with_other_capitals),
    "startend:end_checker": (edits.with_end, edits.with_other_end),
    "combination:two_responses": (edits.two, edits.not_two),
    "change_case:english_capital": (edits.in_capitals, edits.with_one_small_letter),
    "change_case:english_lowercase": (edits.in_small_letters, edits.with_one_capital),
    "punctuation:no_comma": (edits.without_commas, edits.with_one_comma),
    "combination:repeat_prompt": (edits.after_prompt, edits.after_other_prompt),
    "startend:quotation": (edits.in_quotes, edits.in_half_quotes),
}
ORDER = list(EDITS)


def compliant(asked: list[tuple[str, Arguments]], rng: random.Random) -> str:
    """A text that is made to meet one instruction after the other; the last edits may break what the first ones met."""
    text = body(rng)
    for name, arguments in sorted(asked, key=lambda item: ORDER.index(item[0])):
        text = EDITS[name][0](text, arguments, rng)
    return text


def near_miss(asked: list[tuple[str, Arguments]], rng: random.Random) -> str:
    """The same, but for one of the instructions, which it just fails to meet."""
    text, spoiled = body(rng), rng.randrange(len(asked))
    for name, arguments in sorted(asked, key=lambda item: ORDER.index(item[0])):
        text = EDITS[name][asked[spoiled][0] == name](text, arguments, rng)
    return text
