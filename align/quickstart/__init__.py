"""The bundled tiny world: a seeded source of every kind of row a pipeline needs, and an exact gold score (`gold.score`).

corpus    text         pretraining pages about all concepts
chat      messages     instruction data: five verbs, some with a system prompt, a second turn, or a harmful wish that is refused;
                       demonstrators are often vague (`VAGUELY`) and now and then grant such a wish (`GRANTED`)
pairs     preference   noisy human-like choices between two flawed answers
probes    prompt       held-out prompts with the columns train, in_domain, near, far (`slice`) and an `axis`
general   text         pages never trained on, for bits per byte
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

from align.quickstart.dialogue import chats, probes
from align.quickstart.preference import pairs
from align.quickstart.text import pages

ROW_TYPES = {"corpus": "text", "chat": "messages", "pairs": "preference", "probes": "prompt", "general": "text"}
SOURCES: tuple[str, ...] = tuple(ROW_TYPES)

CORPUS_PAGES = 6000
GENERAL_PAGES = 200
CHAT_ROWS = 3000
PAIR_ROWS = 8000


def row_type(name: str) -> str:
    """The canonical row type of a source."""
    return ROW_TYPES[name]


def rows(name: str, seed: int = 0) -> Iterator[dict]:
    """The canonical rows of a source.

    The seed draws other pages, requests and choices; facts and what is held out never change with it.
    """
    rng = random.Random(f"{name} {seed}")
    match name:
        case "corpus":
            yield from ({"text": page} for page in pages(CORPUS_PAGES, rng))
        case "general":
            yield from ({"text": page} for page in pages(GENERAL_PAGES, rng))
        case "chat":
            yield from chats(CHAT_ROWS, rng)
        case "pairs":
            yield from pairs(PAIR_ROWS, rng)
        case "probes":
            yield from probes(rng)
        case _:
            raise KeyError(f"no source {name!r} in the tiny world; it has {', '.join(SOURCES)}")


def digest() -> str:
    """sha256 over this room's own source files: the identity of everything it can generate."""
    whole = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()
