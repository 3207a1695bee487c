"""What the rows ask for: a table of instruction verbs against sources, and how far wanted requests lie from trained ones.

The verb is the imperative that opens a request. Rule, without any tagger: courtesies are taken off ("please", "could you",
"I want you to"); then the first word counts if it is a known verb of instruction, or if an object follows it (an article, a
possessive, a number, "me", "how" ...). A request that opens with a question word counts as a question, told by that word.
Otherwise the first later clause that opens with a known verb or a question word decides; a request without any is `(other)`.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from align.data.split import normalised

OTHER = "(other)"
RARE = 3  # rows: a verb that evaluation asks so seldom is not held against training
COMMON = 0.5  # of the trained rows: a word in more of them tells nothing apart

_VERBS = frozenset(
    """
    add adapt adjust advise analyse analyze annotate answer argue arrange assess assign build calculate categorise
    categorize check choose cite clarify classify clean combine come comment compare complete compose compute consider
    construct continue contrast convert correct count create critique debug decide deduce define delete demonstrate
    derive describe design detect determine develop devise differentiate discuss distinguish divide draft draw edit
    elaborate enumerate estimate evaluate examine expand explain explore express extend extract factor fill filter
    find finish fix forecast form format formulate gather generate give group guess guide help highlight identify
    illustrate imagine implement improve infer insert inspect integrate interpret introduce invent judge justify label
    list locate make match measure mention merge modify multiply name number offer optimise optimize order organise
    organize outline paraphrase parse perform pick plan play predict prepare present pretend prioritise prioritize
    produce prove provide put quote rank rate read rearrange recall recommend record reduce refactor remove rename
    reorder rephrase repeat replace reply report rewrite respond restate retrieve return reverse revise round sample say
    schedule score search select send separate share shorten show simplify simulate sketch solve sort specify spell
    split state subtract suggest sum summarise summarize take teach tell test think title trace train transform translate
    turn understand update use validate verify visualise visualize vote write
    """.split()  # noqa: SIM905
)
_QUESTIONS = frozenset(
    """
    what what's whats how why who who's whom whose when where which is are was were do does did can could will would
    should shall may might has have had am
    """.split()  # noqa: SIM905
)
_OBJECTS = frozenset(
    """
    a an the this that these those my your our his her its their me us him them it some any all each every one two
    three four five ten how what why whether if
    """.split()  # noqa: SIM905
)
_NEVER = frozenset(
    """
    i you he she it we they a an the this that these those my your our his her its their in on at of to for from with
    by as and or but if then so because there here hi hello hey dear yes no not given assume note after before during
    while since although however
    """.split()  # noqa: SIM905
)
_COURTESY = re.compile(
    r"^\W*(?:(?:please|kindly|now|ok|okay|hi|hello|hey|so|well|just|first|then|next|let's|lets)\b[\s,:.!-]*"
    r"|(?:can|could|would|will) you (?:please |kindly )?(?=\w)"
    r"|i(?:'d| would)? (?:want|need|like)(?: you)? to\b|i(?:'d| would) like you to\b|help me(?: to)?\b(?=\s+\w)"
    r"|you (?:need|have|are asked|are to) (?:to )?|your (?:task|job) is to\b|the task is to\b)\s*",
)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+")
_CLAUSES = re.compile(r"[.,!?:;\n]+\s*")


def verb_of(request: str) -> str:
    """The verb that a request opens with; `what?` for a question by its word; `(other)` for none."""
    plain = request.replace("’", "'")
    first = _opening(normalised(plain), unknown=True)
    clauses = _CLAUSES.split(plain)[1:]
    return first or next((verb for clause in clauses if (verb := _opening(normalised(clause)))), OTHER)


def _opening(clause: str, unknown: bool = False) -> str:
    while (found := _COURTESY.match(clause)) and found.end():
        clause = clause[found.end() :]
    words = _WORD.findall(clause[:200])
    if not words:
        return ""
    word = words[0]
    if word in _QUESTIONS:
        return f"{word.removesuffix(chr(39) + 's')}?"
    if word in _VERBS:
        return word
    follows = words[1] if len(words) > 1 else ""
    takes_object = follows in _OBJECTS or follows.isdigit()
    no_verb = word in _NEVER or word.endswith(("ing", "ly")) or not word.isalpha()
    return word if unknown and takes_object and not no_verb else ""


def request_of(row: Mapping[str, Any]) -> str | None:
    """What a standard row asks: its first user turn. None for raw text."""
    turns = row.get("prompt") or row.get("messages") or ()
    return next((str(turn["content"]) for turn in turns if turn["role"] == "user"), None)


def place_of(row: Mapping[str, Any]) -> str:
    """The domain of a row: its slice, else its source."""
    return str(row.get("slice") or row.get("source") or "all")


def table(
    rows: Iterable[Mapping[str, Any]], place: Callable[[Mapping[str, Any]], str] = place_of
) -> dict[str, Counter[str]]:
    """verb -> rows by domain."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        request = request_of(row)
        if request is not None:
            found[verb_of(request)][place(row)] += 1
    return dict(sorted(found.items(), key=lambda item: -item[1].total()))


def lacking(evaluated: Mapping[str, Counter[str]], trained: Mapping[str, Counter[str]]) -> dict[str, int]:
    """Verbs that evaluation asks and training never does -> rows of evaluation; the most frequent first."""
    found = {v: c.total() for v, c in evaluated.items() if v not in trained and v != OTHER and c.total() >= RARE}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class Nearest:
    """How far one wanted request is from the nearest trained one. `distance` 0: the same words; 1: none in common."""

    wanted: int
    trained: int | None
    distance: float


def nearest(wanted: Sequence[str], trained: Sequence[str]) -> list[Nearest]:
    """For each wanted text its nearest trained one, by the cosine of TF-IDF weights (Salton and Buckley 1988) of words.

    1 - cosine; the weights are the trained texts', words in more than half of them are left out. Time grows with
    wanted x trained.
    """
    counted = [Counter(_WORD.findall(normalised(text))) for text in trained]
    documents = Counter(word for words in counted for word in words)
    total = len(trained)
    weight = {w: math.log((1 + total) / (1 + n)) + 1 for w, n in documents.items() if n <= max(1, COMMON * total)}
    rare = math.log(1 + total) + 1  # of a word that training never has
    postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, words in enumerate(counted):
        for word, value in _unit({w: n * weight[w] for w, n in words.items() if w in weight}).items():
            postings[word].append((number, value))
    return [_nearest(number, text, postings, weight, documents, rare) for number, text in enumerate(wanted)]


def _nearest(
    number: int, text: str, postings: Mapping[str, list[tuple[int, float]]], weight: Mapping[str, float],
    documents: Mapping[str, int], rare: float,
) -> Nearest:  # fmt: skip
    words = Counter(_WORD.findall(normalised(text)))
    told = {w: n * weight.get(w, rare) for w, n in words.items() if w in weight or w not in documents}
    scores: dict[int, float] = defaultdict(float)
    for word, value in _unit(told).items():
        for other, theirs in postings.get(word, ()):
            scores[other] += value * theirs
    if not scores:
        return Nearest(number, None, 1.0)
    best = max(scores, key=lambda other: (scores[other], -other))
    return Nearest(number, best, max(0.0, 1 - scores[best]))


def _unit(values: dict[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(value * value for value in values.values()))
    return {word: value / length for word, value in values.items()} if length else {}
