"""Each instruction against responses judged by hand: `yes` follow it, `no` do not."""

from __future__ import annotations

from typing import Any

import pytest

from align.evals.instructions.following import follows
from align.evals.instructions.registry import CHECKS

AT_LEAST, LESS = "at least", "less than"
FINNISH = "Hyvää huomenta, tänään paistaa aurinko ja minä juon kahvia ystäväni kanssa."
KANNADA = "ಇಂದು ಬೆಳಿಗ್ಗೆ ನಾನು ಮಾರುಕಟ್ಟೆಗೆ ಹೋಗಿ ತಾಜಾ ಹಣ್ಣುಗಳನ್ನು ತಂದೆ."
ENGLISH = "the river runs slowly past the old mill and nobody remembers who built it."

CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "keywords:existence", {"keywords": ["mill", "River"]},
        ["The river turns the mill.", "MILL, RIVER", "Riverside millers"],
        ["The river turns.", "The mil by the river", "The miII and the river"],
    ),
    (
        "keywords:frequency", {"keyword": "mill", "frequency": 2, "relation": AT_LEAST},
        ["Mill after mill.", "The miller left the MILL.", "millmill"],
        ["One mill.", "mi ll mill", "Il est parti."],
    ),
    (
        "keywords:frequency", {"keyword": " mill ", "frequency": 2, "relation": LESS},
        ["One mill.", "None at all."],
        ["Mill after mill.", "Mills, millers and more."],
    ),
    (
        "keywords:forbidden_words", {"forbidden_words": ["mill", "old man"]},
        ["The miller is an old woman.", "windmill", "mill_house", "An old-man's chair."],
        ["The mill.", "A MILL-house", "the old man", "(mill)", "mill's"],
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["C++", "a.b"]}, ["C and C+", "axb"], ["I know C++.", "see a.b, there"]),
    (
        "keywords:letter_frequency", {"letter": "Q", "let_frequency": 2, "let_relation": AT_LEAST},
        ["Queen, quite.", "qQ"], ["Queen.", "g9"],
    ),
    (
        "keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": LESS},
        ["# one", "none"], ["## two"],
    ),
    (
        "language:response_language", {"language": "fi"},
        [FINNISH, FINNISH * 3, "12345"], [ENGLISH, KANNADA, "Das ist ein ganz normaler deutscher Satz über das Wetter."],
    ),
    ("language:response_language", {"language": "kn"}, [KANNADA, f"{KANNADA} OK"], [ENGLISH, FINNISH]),
    (
        "length_constraints:number_words", {"num_words": 4, "relation": AT_LEAST},
        ["One two three four.", "It's well-known.", "1 2 3 4", "snow_white a b - c"],
        ["One two three.", "One - two - three", "a_b_c_d"],
    ),
    (
        "length_constraints:number_words", {"num_words": 4, "relation": LESS},
        ["One two three."], ["One two three four.", "It's well-known."],
    ),
    (
        "length_constraints:number_sentences", {"num_sentences": 3, "relation": AT_LEAST},
        ["One. Two! Three?", "It rains. \"Go home.\" We did.", "He left. She stayed.\nThey met.", "Take e.g. this one. Or that."],
        ["Dr. Smith met Mr. Jones. They spoke.", "It costs 3.5 dollars. Is it worth it?", "One.Two.Three.", "a; b; c"],
    ),
    (
        "length_constraints:number_sentences", {"num_sentences": 2, "relation": LESS},
        ["One sentence only.", "no mark at all", "The U.S. Army and Dr. Who, at 5 p.m. on the 3rd, for once."],
        ["One. Two.", "Yes! No"],
    ),
    (
        "length_constraints:number_paragraphs", {"num_paragraphs": 2},
        ["One\n***\nTwo", "***\nOne\n***\nTwo\n***", "One***Two", "a\n\nb *** c"],
        ["One\n\nTwo", "One\n***\n \n***\nTwo", "a***b***c", "One", "a******b"],
    ),
    (
        "length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Weekend"},
        ["One.\n\nWeekend is here.", "One.\n\n\"WEEKEND\", he said.", "One\n\n weekend's end", "One\n\n'weekend!"],
        ["One.\n\nWeekends.", "Weekend.\n\nOne.", "One.\nWeekend.", "A\n\nWeekend\n\nC", "A\n\n(Weekend)", "A\n\n\n\nWeekend"],
    ),
    (
        "length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "weekend"},
        [], ["One\n\nWeekend", "One\n\nWeekend\n\nWeekend", "One\n\nWeekend\n\n"],
    ),
    (
        "detectable_content:number_placeholders", {"num_placeholders": 2},
        ["[a] and [b]", "[] [x]", "[[a] [b]]"], ["[a]", "(a) (b)", "[a\nb] [c]", "[a"],
    ),
    (
        "detectable_content:postscript", {"postscript_marker": "P.S."},
        ["Bye.\nP.S. Write soon.", "p. s. more", "Bye. P.S.", "P.S. and on"],
        ["Bye.\nPS: more", "P.P.S more", "P.S more", "p.  s. x"],
    ),
    (
        "detectable_content:postscript", {"postscript_marker": "P.P.S"},
        ["P.P.S. more", "p. p. s and", "Bye. P.P.S"], ["P.S. more", "PPS more", "P.P. more"],
    ),
    (
        "detectable_format:number_bullet_lists", {"num_bullets": 2},
        ["* a\n* b", "- a\n- b", "Here:\n\n  * a\n\n- b", "*a\n*b", "* a\n+ c\n* b", "-\n-"],
        ["* a", "* a\n* b\n* c", "1. a\n2. b", "• a\n• b", "** a\n** b", "a * b * c"],
    ),
    (
        "detectable_format:number_highlighted_sections", {"num_highlights": 2},
        ["*a* and *b*", "**a** and **b**", "*a* **b**", "x *a* y *b c* z"],
        ["*a*", "* * and *a*", "*a\nb* and *c*", "**a** and ****", "_a_ and _b_"],
    ),
    (
        "detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2},
        ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION2", "SECTION 1. a\nSECTION 1. b\nSECTION 3"],
        ["SECTION 1\na", "Section 1\nSection 2", "SECTION I\nSECTION II", "SECTION  1\nSECTION  2", "SECTION: 1 SECTION: 2"],
    ),
    (
        "detectable_format:title", {},
        ["<<A title>>\nText", "Text <<a>> more", "<<<a>>>"], ["<A title>", "<<>>", "<< >>", "<<a\nb>>", "<<a", "« a »"],
    ),
    (
        "detectable_format:json_format", {},
        ['{"a": 1}', '```json\n{"a": [1, 2]}\n```', "```\n[]\n```", "3", '"text"', " {}\n"],
        ["{'a': 1}", '{"a": 1,}', 'Sure: {"a": 1}', '```json\n{"a": 1}\n```\nDone', "{", "```yaml\n{}\n```", "[" * 100_000],
    ),
    (
        "detectable_format:constrained_response", {},
        ["My answer is yes.", "Well. My answer is no. Sorry.", "My answer is maybe."],
        ["My answer is yes", "my answer is yes.", "Yes.", "My answer is possibly."],
    ),
    (
        "combination:two_responses", {},
        ["One\n******\nTwo", "******\nOne\n******\nTwo\n******", "a******b"],
        ["One", "One\n******\nOne", "a******b******c", "a\n*****\nb", "a************b", "a\n******\n"],
    ),
    (
        "combination:repeat_prompt", {"prompt_to_repeat": "Write a poem. "},
        ["Write a poem.\nRoses are red.", "  write A POEM. No.", "Write a poem."],
        ["Sure! Write a poem.", "Write a  poem.", "Write a poem: roses"],
    ),
    (
        "startend:end_checker", {"end_phrase": "That is all."},
        ["Yes. That is all.", '"Yes. THAT IS ALL."\n', "That is all."],
        ["That is all. Yes.", "That is all", "That is all..", "Yes. (That is all.)"],
    ),
    ("startend:quotation", {}, ['"Yes."', ' "a" and "b"\n', '""'], ['"', '"Yes.', "'Yes.'", "“Yes.”", 'He said "yes".']),
    (
        "change_case:capital_word_frequency", {"capital_frequency": 3, "capital_relation": AT_LEAST},
        ["I AM HERE", "A B C", "DON'T GO", "I CANNOT", "(NASA) and the U.S. Army of WELL-KNOWN", "X1, Y2: Z3",
         "I DON'T.", "A--B C", "A..B C",
         "A''B C", "('A'|'B'|'C')"],
        ["I AM here", "WELL-KNOWN-THING", "Nasa Esa Isro", "1 2 3", "A a I i", "NASAs ESAs ISROs", "A:1B C", "A,1B C"],
    ),
    (
        "change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": LESS},
        ["one NASA", "none", "NASA's"], ["NASA and ESA", "I'M"],
    ),
    (
        "change_case:english_capital", {},
        [ENGLISH.upper(), "THIS IS IT!", f"{ENGLISH.upper()} 42"],
        [ENGLISH, f"{ENGLISH.upper()} ok", ENGLISH.capitalize(), "123"],
    ),
    (
        "change_case:english_lowercase", {},
        [ENGLISH, f"{ENGLISH} 42!"], [ENGLISH.upper(), ENGLISH.capitalize(), FINNISH.lower(), "123", KANNADA],
    ),
    ("punctuation:no_comma", {}, ["No commas; none.", "a، b，c", "1.000"], ["a, b", "1,000", ","]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "yes", "no"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)])
def test_a_check_agrees_with_the_hand(name: str, arguments: dict[str, Any], yes: list[str], no: list[str]) -> None:
    assert [text for text in yes if not follows(name, arguments, text)] == []
    assert [text for text in no if follows(name, arguments, text)] == []


def test_every_instruction_has_known_answers() -> None:
    assert {name for name, *_ in CASES} == set(CHECKS)
    assert len(CHECKS) == 25
