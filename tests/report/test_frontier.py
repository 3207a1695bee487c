from __future__ import annotations

import xml.etree.ElementTree as ET

from align.report.frontier import Place, Reading, draw, families, overoptimised, told


def place(family: str, kl: float, reward: float, gold: float | None, half: float = 0.02) -> Place:
    return Place(
        family, f"{family} {kl}", Reading(kl), Reading(reward, half), None if gold is None else Reading(gold, half)
    )


def test_a_family_is_joined_in_the_order_of_its_kl() -> None:
    found = families([place("ppo", 9, 3, 1), place("dpo", 2, 1, 1), place("ppo", 4, 2, 1)])
    assert {name: [p.kl.value for p in line] for name, line in found.items()} == {"dpo": [2], "ppo": [4, 9]}


def test_only_what_pleases_the_proxy_and_surely_not_gold_is_marked() -> None:
    good, hacked = place("ppo", 2, 1.0, 0.60), place("ppo", 8, 2.0, 0.40)
    assert overoptimised([hacked, good]) == [hacked]
    assert overoptimised([good, place("ppo", 8, 2.0, 0.70)]) == []  # both rise
    assert overoptimised([good, place("ppo", 8, 0.9, 0.40)]) == []  # both fall
    assert overoptimised([good, place("ppo", 8, 2.0, 0.58)]) == []  # within the intervals: 0.02 < hypot(0.02, 0.02)
    assert overoptimised([good, place("dpo", 8, 2.0, 0.40)]) == []  # another family
    assert overoptimised([place("ppo", 2, 1.0, None), place("ppo", 8, 2.0, None)]) == []


def test_without_gold_nothing_is_said_of_where_it_falls() -> None:
    good, hacked, blind = place("ppo", 2, 1.0, 0.60), place("ppo", 8, 2.0, 0.40), place("ppo", 2, 1.0, None)
    assert told([good]) == "gold falls nowhere where the proxy rises"
    assert told([good, hacked]) == "proxy up, gold down: ppo 8"
    assert told([blind]) == "without a gold scorer it tells of no overoptimisation"


def test_the_drawing_is_whole_escaped_and_within_its_frame() -> None:
    places = [place("<ppo>", 0, -1, 0.2), place("<ppo>", 30, 4, 0.1), place("dpo", 5, 1, 0.3), place("one", 0, 0, None)]
    root = ET.fromstring(draw(places, 'a "title" & more'))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    dots = [e for e in root.iter() if e.tag.endswith("circle") and e.attrib.get("r") == "3.5"]
    assert len(dots) == 4 + 3  # the proxy of all, the gold of those that have it
    assert all(0 < float(d.attrib["cx"]) < width and 0 < float(d.attrib["cy"]) < height for d in dots)
    assert "proxy up, gold down" in "".join(root.itertext())
