"""The tiny world: concepts with invented facts in five domains, and what each model may see of them.

Every concept has four facts: its kind (the domain), home, trait and use. They are invented ("techno" may come from Oslo), so that
nothing but the corpus can teach them. Which request about which concept is shown to which training stage depends on
the world alone, never on a seed:

    column      concept, in the instruction data          the request about it
    train       seen                                      trained: measures memorisation only
    in_domain   seen, with other skills                   never trained, neither in `chat` nor in `pairs`
    near        unseen, of a seen domain                  half of the skills appear in `pairs`, the other half is probed
    far         unseen, of a domain never seen (physics)  half of the skills appear in `pairs`, the other half is probed

The pretraining text tells the facts of all concepts. A skill is a verb, the system prompt's tag, or a harmful wish.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace

CONCEPTS = {
    "music": "techno jazz blues samba opera reggae polka funk disco swing",
    "food": "pasta sushi curry tacos paella ramen goulash kebab falafel risotto",
    "sport": "tennis rugby cricket judo hockey rowing fencing boxing golf sumo",
    "animal": "otter falcon badger gecko walrus heron lynx moose tapir koala",
    "physics": "gravity friction inertia tension torque buoyancy heat pressure momentum energy",
}
DOMAINS = {domain: tuple(names.split()) for domain, names in CONCEPTS.items()}
FAR_DOMAIN = "physics"
NEAR_PER_DOMAIN = 2

VALUE_WORDS = {
    "home": "detroit paris lisbon tokyo cairo lima oslo delhi berlin rome boston kyoto",
    "trait": "fast slow loud quiet bright dark heavy smooth rough sharp warm cold",
    "use": "dances feasts races study travel trade prayer sleep war games rest harvest",
}
VALUES = {"kind": tuple(DOMAINS)} | {attribute: tuple(text.split()) for attribute, text in VALUE_WORDS.items()}
HELD_OUT_IN_DOMAIN = 0.25
PROBED_ELSEWHERE = 0.5


@dataclass(frozen=True)
class Facts:
    kind: str
    home: str
    trait: str
    use: str


def _facts() -> dict[str, Facts]:
    rng = random.Random(11)
    concepts = [(name, domain) for domain, names in DOMAINS.items() for name in names]
    columns = {}
    for attribute in ("home", "trait", "use"):
        values = VALUES[attribute]
        columns[attribute] = [values[i % len(values)] for i in range(len(concepts))]
        rng.shuffle(columns[attribute])
    told = zip(concepts, columns["home"], columns["trait"], columns["use"], strict=True)
    return {name: Facts(domain, home, trait, use) for (name, domain), home, trait, use in told}


FACTS = _facts()
SOMEWHERE = "somewhere"  # what is said of a home that nobody looked up
VAGUE = {concept: replace(facts, home=SOMEWHERE) for concept, facts in FACTS.items()}


def group(concept: str) -> str:
    """seen, near or far: how the instruction data treats this concept."""
    domain = FACTS[concept].kind
    if domain == FAR_DOMAIN:
        return "far"
    return "near" if concept in DOMAINS[domain][-NEAR_PER_DOMAIN:] else "seen"


def _share(skill: str, concept: str) -> float:
    """A fixed number in [0, 1) for a skill asked about a concept."""
    return int.from_bytes(hashlib.sha256(f"{skill} {concept}".encode()).digest()[:4], "big") / 2**32


def column(skill: str, concept: str) -> str:
    """The score column of this skill asked about this concept: train, in_domain, near or far."""
    where = group(concept)
    if where != "seen":
        return where
    return "in_domain" if _share(skill, concept) < HELD_OUT_IN_DOMAIN else "train"


def probed(skill: str, concept: str) -> bool:
    """Whether this request is held out of all training data and kept for the probes."""
    where = column(skill, concept)
    return where == "in_domain" or (where != "train" and _share(skill, concept) < PROBED_ELSEWHERE)
