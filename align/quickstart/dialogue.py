"""Requests drawn from the world: instruction data (`chat`) and held-out prompts (`probes`), kept apart by the world's columns.

Those who wrote the instruction data were lazy, as people are: most of their answers leave a home at "somewhere". No number of
steps mends what is imitated; preferences do, since people like to be told.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from align.quickstart.language import FRAMES, HARMS, REFUSALS, VERBS, Message, Request, answer, prompt
from align.quickstart.world import FACTS, VAGUE, column, group, probed

Allowed = Callable[[str, str], bool]
STYLES = ("", "tag", "polite")
AXES = {"plain": 0.44, "system": 0.29, "two_turn": 0.17, "unsafe": 0.10}
VAGUELY = 0.7  # of the instruction data's answers, those that tell of no home among them
GRANTED = 0.1  # of the instruction data's harmful wishes
TRAIN_PROBES = 80
HARMS_ASKED = 3  # of a concept


def axis(request: Request, earlier: Request | None) -> str:
    if request.harm:
        return "unsafe"
    return "two_turn" if earlier else "system" if request.style else "plain"


def trained(skill: str, concept: str) -> bool:
    return column(skill, concept) == "train"


def draw(rng: random.Random, kind: str, concepts: list[str], allowed: Allowed) -> tuple[Request, Request | None]:
    """One request of this axis about one of these concepts, and for a second turn the request before it.

    `allowed(skill, concept)` says which skill may be asked about which concept; a draw that breaks it is drawn again. The
    earlier turn always comes from the instruction data, so that no answer leaks through it.
    """
    while True:
        style = rng.choice(("tag", "polite")) if kind == "system" else ""
        verb = rng.choice(VERBS[:-1] if style == "tag" or kind == "unsafe" else VERBS)
        asked = tuple(rng.sample(concepts, 2 if verb == "compare" else 1))
        request = Request(
            "explain" if kind == "unsafe" else verb, asked, style, rng.choice(HARMS) if kind == "unsafe" else ""
        )
        if all(allowed(request.skill, concept) for concept in asked):
            break
    if kind != "two_turn":
        return request, None
    before = [c for c in FACTS if trained(verb, c) and c not in asked]
    return request, Request(verb, tuple(rng.sample(before, len(asked))))


def chats(count: int, rng: random.Random) -> Iterator[dict]:
    seen = [c for c in FACTS if group(c) == "seen"]
    for _ in range(count):
        kind = rng.choices(list(AXES), list(AXES.values()))[0]
        request, earlier = draw(rng, kind, seen, trained)
        messages: list[Message] = prompt(request, rng.randrange(len(FRAMES)), earlier)
        granted = request.harm and rng.random() < GRANTED
        facts = VAGUE if rng.random() < VAGUELY else FACTS
        said = answer(replace(request, harm="") if granted else request, facts)
        said = rng.choice(REFUSALS) if said in REFUSALS else said
        yield {
            "messages": [*messages, {"role": "assistant", "content": said}],
            "axis": axis(request, earlier),
        }


def probes(rng: random.Random) -> Iterator[dict]:
    """Every held-out skill of every concept asked in several ways, then a sample of trained requests."""
    for where in ("seen", "near", "far"):
        concepts = [c for c in FACTS if group(c) == where]
        for concept in concepts:
            for request in _held_out(concept, concepts, rng):
                yield from _asked(request, rng)
    seen = [c for c in FACTS if group(c) == "seen"]
    for _ in range(TRAIN_PROBES):
        request, _ = draw(rng, "plain", seen, trained)
        yield _probe(request, rng.randrange(len(FRAMES)))


def _held_out(concept: str, peers: list[str], rng: random.Random) -> Iterator[Request]:
    for verb in VERBS:
        if probed(verb, concept):
            partners = [c for c in peers if c != concept and probed("compare", c)]
            yield Request(verb, (concept, rng.choice(partners)) if verb == "compare" else (concept,))
    if probed("tag", concept):
        yield Request(rng.choice(VERBS[:-1]), (concept,), "tag")
    harms = [harm for harm in HARMS if probed(harm, concept)]
    for harm in rng.sample(harms, min(len(harms), HARMS_ASKED)):
        yield Request("explain", (concept,), harm=harm)


def _asked(request: Request, rng: random.Random) -> Iterator[dict]:
    """A verb is asked plainly in two wordings, politely and as a second turn; the tag and the harm once each.

    Unseen concepts are few: a verb is asked of them in every wording.
    """
    frames = rng.sample(range(len(FRAMES)), len(FRAMES))
    once = request.harm or request.style
    for frame in frames[:1] if once else frames[: 2 if group(request.concepts[0]) == "seen" else len(FRAMES)]:
        yield _probe(request, frame)
    if once:
        return
    yield _probe(Request(request.verb, request.concepts, "polite"), frames[0])
    before = [c for c in FACTS if trained(request.verb, c)]
    yield _probe(request, frames[1], Request(request.verb, tuple(rng.sample(before, len(request.concepts)))))


def _probe(request: Request, frame: int, earlier: Request | None = None) -> dict:
    return {
        "prompt": prompt(request, frame, earlier),
        "slice": column(request.skill, request.concepts[0]),
        "axis": axis(request, earlier),
    }
