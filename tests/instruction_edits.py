"""Edits that make a text comply with an instruction, and edits by which it just fails to: (text, arguments, rng) -> text."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.instruction_texts import COMMON, LANGUAGES, sentence, sentences

Arguments = dict[str, Any]


def wanted(relation: str, number: int, rng: random.Random) -> int:
    """A count that just meets the relation."""
    return number + rng.choice((0, 0, 1, 2)) if relation == "at least" else max(0, number - rng.choice((1, 1, 2)))


def missed(relation: str, number: int) -> int:
    """The nearest count that does not."""
    return number - 1 if relation == "at least" else number


# --- length: the text is written anew -----------------------------------------------------------------------------------


def of_words(count: int, rng: random.Random) -> str:
    """Exactly so many words, in sentences of up to ten."""
    lengths = [10] * (count // 10) + ([count % 10] if count % 10 else [])
    return " ".join(sentence(rng, length) for length in lengths)


def with_words(text: str, a: Arguments, rng: random.Random) -> str:
    return of_words(wanted(a["relation"], a["num_words"], rng), rng)


def with_other_words(text: str, a: Arguments, rng: random.Random) -> str:
    return of_words(missed(a["relation"], a["num_words"]), rng)


def of_sentences(count: int, rng: random.Random) -> str:
    """Exactly so many sentences; one may hold an abbreviation, which ends none."""
    written = [sentence(rng) for _ in range(count)]
    if written and rng.random() < 0.5:
        written[0] = f"Here Mr. Green and Dr. Brown paid 3.50 for {written[0].lower()}"
    return rng.choice((" ", "\n")).join(written)


def with_sentences(text: str, a: Arguments, rng: random.Random) -> str:
    return of_sentences(max(1, wanted(a["relation"], a["num_sentences"], rng)), rng)


def with_other_sentences(text: str, a: Arguments, rng: random.Random) -> str:
    return of_sentences(missed(a["relation"], a["num_sentences"]), rng)


def in_paragraphs(count: int, rng: random.Random) -> str:
    return rng.choice(("\n***\n", "\n\n***\n\n")).join(sentences(rng, 2) for _ in range(count))


def with_nth_word(text: str, a: Arguments, rng: random.Random) -> str:
    paragraphs = [sentences(rng, 2) for _ in range(a["num_paragraphs"])]
    lead = rng.choice(("{}", "{},", '"{}', "'{}", "{}!")).format(
        rng.choice((str, str.upper, str.title))(a["first_word"])
    )
    paragraphs[a["nth_paragraph"] - 1] = f"{lead} {sentence(rng)}"
    return "\n\n".join(paragraphs)


def with_other_nth_word(text: str, a: Arguments, rng: random.Random) -> str:
    paragraphs = with_nth_word(text, a, rng).split("\n\n")
    index = a["nth_paragraph"] - 1
    spoil = rng.choice(("longer word", "one more", "one less", "wrong place"))
    if spoil == "one more":
        return "\n\n".join([*paragraphs, sentence(rng)])
    if spoil == "one less":
        return "\n\n".join(paragraphs[:-1]) or "none"
    lead = f"{a['first_word']}like" if spoil == "longer word" else f"So {a['first_word']}"
    return "\n\n".join([*paragraphs[:index], f"{lead} {sentence(rng)}", *paragraphs[index + 1 :]])


# --- keywords -----------------------------------------------------------------------------------------------------------


def with_keywords(text: str, a: Arguments, rng: random.Random) -> str:
    return text + "".join(f" It is about {rng.choice((str, str.upper, str.title))(word)}." for word in a["keywords"])


def without_a_keyword(text: str, a: Arguments, rng: random.Random) -> str:
    return without(text, rng.choice(a["keywords"]))


def with_frequency(text: str, a: Arguments, rng: random.Random) -> str:
    return repeated(text, a["keyword"], wanted(a["relation"], a["frequency"], rng), rng)


def with_other_frequency(text: str, a: Arguments, rng: random.Random) -> str:
    return repeated(text, a["keyword"], missed(a["relation"], a["frequency"]), rng)


def repeated(text: str, word: str, count: int, rng: random.Random) -> str:
    return without(text, word) + "".join(
        f" Then {rng.choice((str, str.upper, str.title))(word)}." for _ in range(count)
    )


def with_letters(text: str, a: Arguments, rng: random.Random) -> str:
    return lettered(text, a["letter"], wanted(a["let_relation"], a["let_frequency"], rng), rng)


def with_other_letters(text: str, a: Arguments, rng: random.Random) -> str:
    return lettered(text, a["letter"], missed(a["let_relation"], a["let_frequency"]), rng)


def lettered(text: str, letter: str, count: int, rng: random.Random) -> str:
    return without(text, letter) + " " + "".join(rng.choice((letter.lower(), letter.upper())) for _ in range(count))


def without_forbidden(text: str, a: Arguments, rng: random.Random) -> str:
    for word in a["forbidden_words"]:
        text = without(text, word)
    return f"{text} Un{rng.choice(a['forbidden_words'])}ish."


def with_forbidden(text: str, a: Arguments, rng: random.Random) -> str:
    word = rng.choice((str, str.upper, str.title))(rng.choice(a["forbidden_words"]))
    return text + rng.choice((" {}", "-{}.", " '{}'s", " ({})")).format(word)


def without(text: str, word: str) -> str:
    """The text with every occurrence of the word, in any case, taken out."""
    while (at := text.lower().find(word.lower())) >= 0:
        text = text[:at] + text[at + len(word) :]
    return text


# --- content and format -------------------------------------------------------------------------------------------------


def with_list(text: str, count: int, rng: random.Random) -> str:
    mark = rng.choice(("* ", "- ", "  * ", "\t- "))
    return "\n".join([text, *(mark + sentence(rng) for _ in range(count))])


def with_other_list(text: str, a: Arguments, rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "\n".join(
            [text, *(rng.choice(("+ ", "1. ", "• ", "** ")) + sentence(rng) for _ in range(a["num_bullets"]))]
        )
    return with_list(text, a["num_bullets"] + rng.choice((1, -1)), rng)


def with_highlights(text: str, count: int, rng: random.Random) -> str:
    marks = [rng.choice(("*{}*", "**{}**")).format(rng.choice(COMMON)) for _ in range(count)]
    return f"{text}\nAnd " + rng.choice((" and ", "\n", " ")).join(marks)


def with_other_highlights(text: str, a: Arguments, rng: random.Random) -> str:
    spoiled = rng.choice(("", " * *", " ****", " _low_", "\n*over\nlines*"))
    return with_highlights(text, a["num_highlights"] - 1, rng) + spoiled


def with_sections(text: str, a: Arguments, rng: random.Random, less: int = 0) -> str:
    heads = [f"{a['section_spliter']} {k + 1}" for k in range(a["num_sections"] - less)]
    return "\n".join(f"{head}\n{sentence(rng)}" for head in heads)


def with_other_sections(text: str, a: Arguments, rng: random.Random) -> str:
    odd = rng.choice(("", "\n{} V\nText.", "\n{}: 9\nText."))
    return with_sections(text, a, rng, less=1) + odd.format(a["section_spliter"])


def with_placeholders(text: str, count: int, rng: random.Random) -> str:
    return text + "".join(f" [{rng.choice(COMMON)}]" for _ in range(count))


def with_other_placeholders(text: str, a: Arguments, rng: random.Random) -> str:
    return with_placeholders(text, a["num_placeholders"] - 1, rng) + rng.choice(("", " (name)", " <name>", " [na\nme]"))


def with_postscript(text: str, a: Arguments, rng: random.Random) -> str:
    marker = rng.choice((str, str.lower))(a["postscript_marker"])
    return f"{text}\n\n{marker.replace('.', rng.choice(('.', '. ')))} {sentence(rng)}"


def with_other_postscript(text: str, a: Arguments, rng: random.Random) -> str:
    return f"{text}\n\n{rng.choice(('PS:', 'P.S:', 'Postscript.', 'P S.', 'PPS.'))} {sentence(rng)}"


def as_json(text: str, a: Arguments, rng: random.Random) -> str:
    value = json.dumps({"answer": text, "n": [1, 2.5, None]}, indent=rng.choice((None, 2)))
    return rng.choice(("{}", "```json\n{}\n```", "```\n{}\n```", "```JSON {}```")).replace("{}", value)


def as_other_json(text: str, a: Arguments, rng: random.Random) -> str:
    value = json.dumps({"answer": text})
    return rng.choice((value[:-1], value.replace("}", ",}"), value.replace('"answer"', "'answer'"), f"Sure: {value}"))


def two(text: str, a: Arguments, rng: random.Random) -> str:
    return f"{text}{rng.choice(('******', ' ****** '))}{sentence(rng)}".replace(" ****** ", "\n******\n")


def not_two(text: str, a: Arguments, rng: random.Random) -> str:
    return rng.choice((f"{text}\n******\n{text}", f"{text}\n*****\nOther.", f"{text}******a******b", f"{text}\n******"))


# --- language, case, marks: the whole text is changed --------------------------------------------------------------------


def in_language(text: str, a: Arguments, rng: random.Random) -> str:
    return " ".join([LANGUAGES[a["language"]]] * rng.randint(1, 3))


def in_other_language(text: str, a: Arguments, rng: random.Random) -> str:
    near = {
        "hi": "ne",
        "mr": "hi",
        "ne": "hi",
        "fa": "ar",
        "ur": "fa",
        "ar": "fa",
        "bg": "ru",
        "ru": "bg",
        "pt": "es",
        "de": "en",
    }
    other = LANGUAGES[near.get(a["language"], "en")]
    return f"{other} {other} {LANGUAGES[a['language']][:12]}"


def with_capitals(text: str, a: Arguments, rng: random.Random) -> str:
    return capitals(text, wanted(a["capital_relation"], a["capital_frequency"], rng), rng)


def with_other_capitals(text: str, a: Arguments, rng: random.Random) -> str:
    return capitals(text, missed(a["capital_relation"], a["capital_frequency"]), rng)


def capitals(text: str, count: int, rng: random.Random) -> str:
    """Exactly so many words in capitals; some are joined by a hyphen, or stand before a mark or in brackets."""
    forms = ("{}", "{}-ROOM", "({})", "{},", "{}.", '"{}"', "*{}*", "U.S.")
    return text.lower() + "".join(" " + rng.choice(forms).format(rng.choice(COMMON).upper()) for _ in range(count))


def in_capitals(text: str, a: Arguments, rng: random.Random) -> str:
    return f"{text} {LANGUAGES['en']}".upper()


def in_small_letters(text: str, a: Arguments, rng: random.Random) -> str:
    return text.lower()


def with_one_small_letter(text: str, a: Arguments, rng: random.Random) -> str:
    return in_capitals(text, a, rng) + " x"


def with_one_capital(text: str, a: Arguments, rng: random.Random) -> str:
    return text.lower() + " X"


def without_commas(text: str, a: Arguments, rng: random.Random) -> str:
    return text.replace(",", ";")


def with_one_comma(text: str, a: Arguments, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return f"{text[:at]},{text[at:]}"


# --- what stands around the text ----------------------------------------------------------------------------------------


def with_end(text: str, a: Arguments, rng: random.Random) -> str:
    return f"{text} {rng.choice((str, str.upper))(a['end_phrase'])}{rng.choice(('', ' ', chr(10)))}"


def with_other_end(text: str, a: Arguments, rng: random.Random) -> str:
    return f"{text} {rng.choice((a['end_phrase'] + ' Bye.', a['end_phrase'] + ' *', a['end_phrase'][:-1]))}"


def after_prompt(text: str, a: Arguments, rng: random.Random) -> str:
    return f"{rng.choice((str, str.upper, str.strip))(a['prompt_to_repeat'])}\n\n{text}"


def after_other_prompt(text: str, a: Arguments, rng: random.Random) -> str:
    asked = a["prompt_to_repeat"].strip()
    return f"{rng.choice(('Sure! ' + asked, asked[1:], asked[:-1] + '~'))}\n\n{text}"


def in_quotes(text: str, a: Arguments, rng: random.Random) -> str:
    return rng.choice(('"{}"', ' "{}"\n')).replace("{}", text.strip())


def in_half_quotes(text: str, a: Arguments, rng: random.Random) -> str:
    bare = text.strip().strip('"')
    return rng.choice((f'"{bare}', f'{bare}"', f"“{bare}”", f"'{bare}'"))
