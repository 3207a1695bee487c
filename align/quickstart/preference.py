"""A planted human-like preference: a noisy choice between two answers of a noisy, policy-like sampler.

The sampler writes as a middling policy would: a fact is often another one of the same sort; a quarter of the answers are about
another subject, in another form, cut short, doubled, garbled or refused; and a harmful wish is often granted. It never writes
the gold answer itself, so that preference tuning cannot simply copy it: the better answer of a pair still has a flaw. People
then choose by Bradley-Terry,

    P(first chosen) = sigmoid(u(first) - u(second)),

where u counts right facts, form, refusals, wrong domains and (a human weakness) a little length.

As real preference data do, the prompts cover more ground than the instruction data, and people are asked mostly where
a tuned policy errs: seven in ten prompts are about near and far concepts, always with other skills than the probes use.
What is learnt about a concept here can thus help a probe about that concept (for a model tuned on these pairs, near and
far are new requests about known concepts); no probe's request occurs here in any wording.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace

from align.quickstart.dialogue import axis, draw
from align.quickstart.gold import score
from align.quickstart.language import FRAMES, REFUSALS, VERBS, Request, answer, prompt
from align.quickstart.world import FACTS, VALUES, Facts, column, group, probed

SHARES = {"seen": 0.3, "near": 0.3, "far": 0.4}
AXES = {"plain": 0.65, "system": 0.14, "two_turn": 0.10, "unsafe": 0.11}
FACT_RIGHT = (0.4, 0.9)
FORM_RIGHT = 0.75
FLAWS = ("cut", "doubled", "garbled", "refused", "other subject", "other form", "other form")
REFUSES = 0.5


def pairs(count: int, rng: random.Random) -> Iterator[dict]:
    concepts = {where: [c for c in FACTS if group(c) == where] for where in SHARES}
    for _ in range(count):
        where = rng.choices(list(SHARES), list(SHARES.values()))[0]
        kind = rng.choices(list(AXES), list(AXES.values()))[0]
        request, earlier = draw(rng, kind, concepts[where], lambda skill, concept: not probed(skill, concept))
        asked = prompt(request, rng.randrange(len(FRAMES)), earlier)
        chosen, rejected = _choice(request, asked, rng)
        yield {
            "prompt": asked,
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            "slice": column(request.skill, request.concepts[0]),
            "axis": axis(request, earlier),
        }


def _choice(request: Request, asked: list[dict], rng: random.Random) -> tuple[str, str]:
    first, second = attempt(request, rng), attempt(request, rng)
    while second == first:
        second = attempt(request, rng)
    chance = 1 / (1 + math.exp(utility(asked, second) - utility(asked, first)))
    return (first, second) if rng.random() < chance else (second, first)


def utility(asked: list[dict], text: str) -> float:
    """What people feel about an answer, on the scale of log odds."""
    seen = score(asked, text)
    return 6 * seen["facts"] + 3 * seen["format"] - 2 * seen["intrusion"] + 0.01 * len(text)


def attempt(request: Request, rng: random.Random) -> str:
    """One answer of the noisy sampler, never the gold answer."""
    gold = answer(request)
    while True:
        text = _refusal_or_help(request, rng) if request.harm else _told(request, rng)
        if text != gold:
            return text


def _refusal_or_help(request: Request, rng: random.Random) -> str:
    if rng.random() < REFUSES:
        return rng.choice(REFUSALS[1:])
    helped = Request("explain", request.concepts)
    return answer(helped, _misremembered(helped, rng))


def _misremembered(request: Request, rng: random.Random) -> dict[str, Facts]:
    """The concepts' facts as a middling policy recalls them."""
    recalled, right = {}, rng.uniform(*FACT_RIGHT)
    for concept in request.concepts:
        wrong = {a: rng.choice(values) for a, values in VALUES.items() if rng.random() >= right}
        recalled[concept] = replace(FACTS[concept], **wrong)
    return recalled


def _told(request: Request, rng: random.Random) -> str:
    """An answer from middling memory, sometimes in another form than was asked for."""
    facts = _misremembered(request, rng)
    text = answer(request, facts)
    return text if rng.random() < FORM_RIGHT else _flawed(request, facts, text, rng)


def _flawed(request: Request, facts: dict[str, Facts], text: str, rng: random.Random) -> str:
    """The answer with its subject, style or verb mistaken, cut short, doubled, garbled, or a harmless wish refused."""
    spoken = text.split(" ")
    match rng.choice(FLAWS):
        case "cut":
            return " ".join(spoken[: rng.randrange(1, max(2, len(spoken)))])
        case "doubled":
            return f"{text} {text}"
        case "garbled":
            return " ".join(rng.choice(spoken) for _ in range(rng.randint(1, len(spoken))))
        case "refused":
            return rng.choice(REFUSALS)
        case "other subject":
            others = rng.sample(list(FACTS), len(request.concepts))
            return answer(replace(request, concepts=tuple(others)))
        case _ if request.style:
            return answer(replace(request, style=""), facts)
        case _:
            verbs = [verb for verb in VERBS[:-1] if verb != request.verb]
            style = rng.choice(("", "polite", "tag"))
            return answer(Request(rng.choice(verbs), request.concepts[:1], style), facts)
