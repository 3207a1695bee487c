"""Pretraining text: pages of short lines that tell the facts of all concepts, about half of them question-like.

How facts are phrased here decides how well instruction tuning reaches them later: from plain sentences alone a small model
answers far fewer questions about concepts it was never instructed on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from align.quickstart.world import FACTS

LINES_PER_PAGE = 5
QUESTION_LIKE = 0.5
ATTRIBUTES = ("kind", "home", "trait", "use")
SENTENCES = {
    "kind": ("{0} is a kind of {1}", "the {1} named {0}", "people know {0} as {1}"),
    "home": ("{0} comes from {1}", "from {1} came {0}", "in {1} they have {0}"),
    "trait": ("{0} is very {1}", "people call {0} {1}", "how {1} {0} is"),
    "use": ("{0} is used for {1}", "for {1} they like {0}", "{0} is good for {1}"),
}


def pages(count: int, rng: random.Random) -> Iterator[str]:
    for _ in range(count):
        yield "\n".join(_line(rng) for _ in range(LINES_PER_PAGE))


def _line(rng: random.Random) -> str:
    concept = rng.choice(list(FACTS))
    if rng.random() >= QUESTION_LIKE:
        return f"about {concept}: {_sentences(concept, rng)}"
    return rng.choice((_question, _several, _shared))(concept, rng)


def _fact(concept: str, attribute: str) -> str:
    return getattr(FACTS[concept], attribute)


def _sentences(concept: str, rng: random.Random) -> str:
    order = rng.sample(ATTRIBUTES, len(ATTRIBUTES))
    return " ".join(rng.choice(SENTENCES[a]).format(concept, _fact(concept, a)) + "." for a in order)


def _question(concept: str, rng: random.Random) -> str:
    """Replies begin with the concept, as many an answer to an instruction will: a model that never did so forgets to."""
    asked = rng.sample(ATTRIBUTES, 2)
    return " ".join(
        f"what is the {a} of {concept}? {SENTENCES[a][0].format(concept, _fact(concept, a))}." for a in asked
    )


def _several(concept: str, rng: random.Random) -> str:
    asked = rng.sample(ATTRIBUTES, rng.randint(2, 4))
    return f"{', '.join(asked)} of {concept}: {', '.join(_fact(concept, a) for a in asked)}."


def _shared(concept: str, rng: random.Random) -> str:
    other, attribute = rng.choice(list(FACTS)), rng.choice(ATTRIBUTES)
    return f"{attribute} of {concept} and {other}: {_fact(concept, attribute)} and {_fact(other, attribute)}."
