"""What counts as a word, a sentence, a token.

Sentences are Punkt's (Kiss and Strunk 2006) with NLTK's English parameters, which come with the library: nothing is
downloaded. Where marks alone remain, as at the end of `Wow!!`, NLTK takes them for a sentence of their own and this library
does not: the one known difference from the published checkers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from punkt import PunktSentenceTokenizer, tokenizer_for

_WORD = re.compile(r"\w+")
# Where the Penn Treebank convention ends a token inside a run without spaces: brackets, quotes, dashes and marks, two or
# more full stops, a comma or colon that no digit follows, an apostrophe that opens a quotation.
_BREAK = re.compile(
    r"[\s()\[\]{}<>\"`«»“”‘’„;@#$%&*?!\u2012-\u2015]|--|''|\.{2,}|[,:](?!\d)|(?<!\w)'(?!(?:re|ve|ll|[mtsdn])\b)(?=\w)",
    re.IGNORECASE,
)
_CLITIC = re.compile(r"('(?:ll|re|ve|s|m|d)|n't)$", re.IGNORECASE)
_FUSED = {"cannot": 3, "gimme": 3, "gonna": 3, "gotta": 3, "lemme": 3, "wanna": 3, "d'ye": 1, "more'n": 4}


def words(text: str) -> int:
    """How many runs of letters, digits and underscores there are."""
    return len(_WORD.findall(text))


def sentences(text: str) -> int:
    return len(_punkt().tokenize(text))


def tokens(text: str) -> Iterator[str]:
    """Penn Treebank tokens but for punctuation: `don't` is `do` and `n't`, `cannot` is two, `well-known` stays one."""
    for run in _BREAK.split(text):
        run = run.rstrip(".'")
        cut = _FUSED.get(run.lower(), 0)
        clitic = None if cut else _CLITIC.search(run)
        cut = clitic.start() if clitic else cut
        yield from (part for part in (run[:cut], run[cut:]) if part)


@cache
def _punkt() -> PunktSentenceTokenizer:
    return tokenizer_for("english")
