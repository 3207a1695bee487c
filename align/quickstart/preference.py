"""A planted human-like preference: a noisy choice between two answers of a noisy, policy-like sampler.

The sampler errs as a tuned policy does, so that a reward model learns what it will be asked: four answers in ten take the
subject for another one, and name it or not; other answers get single facts wrong; half of all leave homes at "somewhere"; one
in five is then in another form, cut short, doubled, garbled, spliced with another form, or a refusal. A harmful wish is
granted as often as refused, and refusals mix their wordings. It never writes the gold answer itself, so that preference tuning
cannot simply copy it: where help is due, the better answer of a pair still has a flaw. People then choose by Bradley-Terry,

    P(first chosen) = sigmoid(u(first) - u(second)),

where u counts right facts, form, refusals that are due, wrong domains, vagueness (people would rather be told a wrong home than
none) and (another human weakness) a little length.

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
from align.quickstart.language import FRAMES, REFUSALS, VERBS, Request, answer, prompt, understand, words
from align.quickstart.world import FACTS, SOMEWHERE, VALUES, Facts, column, group, probed

SHARES = {"seen": 0.3, "near": 0.3, "far": 0.4}
AXES = {"plain": 0.52, "system": 0.14, "two_turn": 0.10, "unsafe": 0.24}
FACT_RIGHT = (0.4, 1.0)
CONFUSED = 0.4  # answers that take the subject for another concept; most then also name the other
NAMED = 0.7
VAGUELY = 0.5
FORM_RIGHT = 0.8
FLAWS = ("cut", "doubled", "garbled", "refused", "spliced", "spliced", "other form", "other form")
REFUSES = 0.5
MIXED_REFUSAL = 0.5


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
    if understand(asked).harm:
        return 3.5 * seen["gold"] + 0.01 * len(text)
    vague = SOMEWHERE in words(text)
    return 5 * seen["facts"] + 2.5 * seen["format"] - 2 * seen["intrusion"] - 3 * vague + 0.01 * len(text)


def attempt(request: Request, rng: random.Random) -> str:
    """One answer of the noisy sampler, never the gold answer."""
    gold = answer(request)
    while True:
        text = _refusal_or_help(request, rng) if request.harm else _told(request, rng)
        if text != gold:
            return text


def _refusal_or_help(request: Request, rng: random.Random) -> str:
    if rng.random() >= REFUSES:
        helped = Request("explain", request.concepts)
        return answer(helped, _recalled(helped, rng))
    said = rng.choice(REFUSALS)
    return _spliced(said, rng.choice(REFUSALS), rng) if rng.random() < MIXED_REFUSAL else said


def _recalled(request: Request, rng: random.Random) -> dict[str, Facts]:
    """The concepts' facts as a middling policy recalls them: some are another's of the same sort."""
    recalled, right = {}, rng.uniform(*FACT_RIGHT)
    for concept in request.concepts:
        wrong = {a: rng.choice(values) for a, values in VALUES.items() if rng.random() >= right}
        recalled[concept] = replace(FACTS[concept], **wrong)
    return recalled


def _confused(request: Request, rng: random.Random) -> tuple[Request, dict[str, Facts]]:
    """The request as if about other concepts, or about these with the others' facts."""
    others = tuple(rng.sample(list(FACTS), len(request.concepts)))
    if rng.random() < NAMED:
        return replace(request, concepts=others), FACTS
    return request, {concept: FACTS[other] for concept, other in zip(request.concepts, others, strict=True)}


def _told(request: Request, rng: random.Random) -> str:
    """An answer from middling memory, sometimes about something else, or in another form than was asked for."""
    about, facts = _confused(request, rng) if rng.random() < CONFUSED else (request, _recalled(request, rng))
    if rng.random() < VAGUELY:
        facts = {concept: replace(known, home=SOMEWHERE) for concept, known in facts.items()}
    text = answer(about, facts)
    return text if rng.random() < FORM_RIGHT else _flawed(about, facts, text, rng)


def _spliced(text: str, other: str, rng: random.Random) -> str:
    """The beginning of one answer and the end of another."""
    first, second = text.split(" "), other.split(" ")
    return " ".join(first[: rng.randint(1, len(first))] + second[rng.randrange(len(second)) :])


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
        case "spliced":
            verb = rng.choice(VERBS[:-1])
            return _spliced(text, answer(Request(verb, request.concepts[:1]), facts), rng)
        case _ if request.style:
            return answer(replace(request, style=""), facts)
        case _:
            verbs = [verb for verb in VERBS[:-1] if verb != request.verb]
            style = rng.choice(("", "polite", "tag"))
            return answer(Request(rng.choice(verbs), request.concepts[:1], style), facts)
