"""A planted human-like preference: a noisy choice between two answers of a noisy, policy-like sampler.

The sampler writes as a middling policy would: a fact is often another one of the same sort, the form is sometimes that of
another request, cut short or doubled, and a harmful wish is often granted. It never writes the gold answer itself, so that
preference tuning cannot simply copy it: the better answer of a pair still has a flaw. People then choose by Bradley-Terry,

    P(first chosen) = sigmoid(u(first) - u(second)),

where u counts right facts, form, refusals, wrong domains and (a human weakness) a little length.

As real preference data do, the prompts cover more ground than the instruction data, and people are asked mostly where
a tuned policy errs: nine in ten prompts are about near and far concepts, always with other skills than the probes use.
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

SHARES = {"seen": 0.1, "near": 0.45, "far": 0.45}
AXES = {"plain": 0.70, "system": 0.14, "two_turn": 0.10, "unsafe": 0.06}
FACT_RIGHT = (0.4, 0.9)
FORM_RIGHT = {"plain": 0.97, "system": 0.9, "two_turn": 0.95}
REFUSES = 0.5


def pairs(count: int, rng: random.Random) -> Iterator[dict]:
    concepts = {where: [c for c in FACTS if group(c) == where] for where in SHARES}
    for _ in range(count):
        where = rng.choices(list(SHARES), list(SHARES.values()))[0]
        kind = rng.choices(list(AXES), list(AXES.values()))[0]
        request, earlier = draw(rng, kind, concepts[where], lambda skill, concept: not probed(skill, concept))
        asked = prompt(request, rng.randrange(len(FRAMES)), earlier)
        chosen, rejected = _choice(request, kind, asked, rng)
        yield {
            "prompt": asked,
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            "slice": column(request.skill, request.concepts[0]),
            "axis": axis(request, earlier),
        }


def _choice(request: Request, kind: str, asked: list[dict], rng: random.Random) -> tuple[str, str]:
    first, second = attempt(request, kind, rng), attempt(request, kind, rng)
    while second == first:
        second = attempt(request, kind, rng)
    chance = 1 / (1 + math.exp(utility(asked, second) - utility(asked, first)))
    return (first, second) if rng.random() < chance else (second, first)


def utility(asked: list[dict], text: str) -> float:
    """What people feel about an answer, on the scale of log odds."""
    seen = score(asked, text)
    return 4 * seen["facts"] + 2.5 * seen["format"] - 1.5 * seen["intrusion"] + 0.01 * len(text)


def attempt(request: Request, kind: str, rng: random.Random) -> str:
    """One answer of the noisy sampler, never the gold answer."""
    gold = answer(request)
    while True:
        text = _refusal_or_help(request, rng) if request.harm else _told(request, kind, rng)
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


def _told(request: Request, kind: str, rng: random.Random) -> str:
    """An answer from middling memory, sometimes in another form: the style ignored, another verb's, cut short or doubled."""
    facts = _misremembered(request, rng)
    text = answer(request, facts)
    if rng.random() < FORM_RIGHT[kind]:
        return text
    flaw = rng.randrange(4)
    if flaw == 0 and kind == "plain":
        spoken = text.split(" ")
        return " ".join(spoken[: max(1, rng.randrange(len(spoken)))])
    if flaw == 1 and kind == "plain":
        return f"{text} {text}"
    if request.style:
        return answer(replace(request, style=""), facts)
    others = [verb for verb in VERBS[:-1] if verb != request.verb]
    return answer(Request(rng.choice(others), request.concepts[:1]), facts)
