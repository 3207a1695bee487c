"""Planted leaks: questions as people write them, and rows of a training set that repeat them in four ways, or do not.

verbatim   the question as it stands            embedded   in the middle of a longer text
casing     in another case, other white space   reworded   30 to 45 % of the words replaced, or clauses reordered
numbers    not a leak: the same template with other numbers (GSM8K's way)
other      not a leak: another question from the same templates
"""

from __future__ import annotations

import random

NAMES = "Maria Tom Aisha Chen Olga Pedro Yusuf Nina Karl Leila Omar Priya Jonas Keiko Sven Rosa Emil Fatima Igor Wanda".split()
THINGS = (
    "apples pencils marbles stickers candles oranges cookies tickets bottles shells stamps ribbons lanterns baskets kites "
    "buttons pumpkins acorns mugs blankets spoons postcards umbrellas sandwiches"
).split()
PLACES = "market harbour library bakery museum orchard stadium bookshop hospital theatre garden airport castle village".split()
SUBJECTS = (
    "bridges bees soil jazz reefs engines foxes libraries glass trains flowers deltas presses memory gardens whales bread "
    "paper expeditions markets clocks wool lighthouses tides satellites mushrooms violins canals mosaics glaciers"
).split()
SORTS = (
    "medieval wild volcanic modern tropical rusty northern forgotten hand-made floating alpine ancient portable invisible "
    "royal migrating underground painted wooden electric frozen domestic giant colonial"
).split()
TOPICS = [f"{sort} {subject}" for sort in SORTS for subject in SUBJECTS]
READERS = (
    "children|engineers|retired teachers|new parents|tourists|first-year students|farmers|night nurses|sailors|judges|"
    "choir singers|bakers|dentists|young chess players|bus drivers|gardeners|people in a hurry|museum guides|beginners"
).split("|")
FORMS = (
    "short essay|friendly letter|news report|dialogue|product description|poem with rhymes|speech|diary entry".split(
        "|"
    )
)
MOODS = "cheerful|sober|dry|warm|playful|formal|nostalgic|blunt".split("|")
WORDS = (
    "quite several around beneath morning silver carry window begin plain mostly gather steady bright corner follow simple "
    "travel narrow listen gentle remain shoulder wander hollow measure copper quiet thread barely kettle meadow borrow "
    "lantern crowded drift pepper saddle timber velvet anchor ribbon thunder cabin pillow whisper feather canvas marble"
).split()
VERBS = "buys|collects|receives|packs|finds|paints|orders|brings".split("|")
ENDINGS = (
    "How many {t} does {n} have at the end of the day?",
    "How many {t} are left for {n} to carry home?",
    "What is the total number of {t} that {n} keeps?",
)


def problem(rng: random.Random, numbers: random.Random | None = None) -> str:
    """A word problem; with `numbers` from another source the same template gets other numbers."""
    n, m, t, p, v, w = *rng.sample(NAMES, 2), *(rng.choice(x) for x in (THINGS, PLACES, VERBS, VERBS))
    order, ending, day = rng.random() < 0.5, rng.choice(ENDINGS), rng.choice("Monday Friday Sunday Tuesday".split())
    draw = numbers or rng
    a, b, c = (draw.randrange(2, 90) for _ in range(3))
    first = f"On {day} {n} {v} {a} {t} at the {p}, and later {m} hands over {b} more."
    second = f"After lunch {n} {w} some string, loses {c} of the {t} near the {p} and gives the rest a name."
    return " ".join([first, second] if order else [second, first]) + " " + ending.format(t=t, n=n)


def instruction(rng: random.Random) -> str:
    one, two = rng.sample(TOPICS, 2)
    reader, form, mood, place = (rng.choice(x) for x in (READERS, FORMS, MOODS, PLACES))
    extra = rng.choice(["Mention", "Begin with", "Close with", "Avoid any joke about"])
    return rng.choice(
        [
            f"Write a {mood} {form} about {one} for {reader}. {extra} {two}, and set it in a {place} of the north.",
            f"I am preparing a {form} on how {one} changed {two}. Could you draft it in a {mood} voice for {reader}?",
            f"Explain to {reader} why {one} and {two} have more in common than people at the {place} believe.",
        ]
    )


def question(rng: random.Random) -> str:
    return problem(rng) if rng.random() < 0.5 else instruction(rng)


def filler(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words)).capitalize() + "."


def casing(text: str, rng: random.Random) -> str:
    changed = rng.choice([str.upper, str.lower, str.title])(text)
    return changed.replace(" ", rng.choice(["  ", "\n", " "]))


def embedded(text: str, rng: random.Random) -> str:
    return f"{filler(rng, rng.randrange(10, 80))}\n\n{text} {filler(rng, rng.randrange(10, 80))}"


def reworded(text: str, rng: random.Random) -> str:
    """At least 30 % of the words replaced, or two parts of the text swapped; numbers stay, or it is another question."""
    words = text.split()
    if rng.random() < 0.3:
        cut = rng.randrange(len(words) * 3 // 10 + 1, len(words) * 7 // 10)
        return " ".join(words[cut:] + words[:cut])
    free = [i for i, word in enumerate(words) if not any(c.isdigit() for c in word)]
    share = rng.uniform(0.3, 0.45)
    for place in rng.sample(free, min(len(free), -int(-share * len(words) // 1))):
        words[place] = rng.choice(WORDS)
    return " ".join(words)


LEAKS = {"verbatim": lambda text, rng: text, "casing": casing, "embedded": embedded, "reworded": reworded}


def planted(seed: int, questions: int, rows: int) -> tuple[list[str], list[tuple[str, int, str]]]:
    """Evaluation questions, and what training rows say: (way of planting, question planted or -1, text)."""
    rng = random.Random(seed)
    held, found = [], []
    while len(held) < questions:
        state = rng.getstate()
        held.append((question(rng), state))
    ways = [*LEAKS, "numbers", "other"]
    for _ in range(rows):
        way, place = rng.choice(ways), rng.randrange(questions)
        text, state = held[place]
        if way in LEAKS:
            found.append((way, place, LEAKS[way](text, rng)))
        elif way == "numbers" and any(c.isdigit() for c in text):
            again = random.Random()
            again.setstate(state)
            again.random()
            other = problem(again, numbers=rng)
            found.append((way, -1, other) if other != text else ("other", -1, question(rng)))
        else:
            found.append(("other", -1, question(rng)))
    return [text for text, _ in held], found
