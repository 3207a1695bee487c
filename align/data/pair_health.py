"""What is wrong with preferences that are each well-formed: contradictions, cycles, answers chosen for their length.

    health = PairHealth();  health.add(row, texts, number) ...;  health.report()

State: 41 bytes a pair (hashes of its prompt and answers, two lengths, its row number, its margin's sign); no text is held.
A copy made for a weight is no second judgement: add each pair once.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from align import words
from align.data.row_statistics import EXAMPLES_TOLD, Texts

LENGTH_WARNED = 0.6  # share of pairs in which the same side is the longer answer, the whole interval above it
NOISE_WARNED = 0.05
SOURCE_WARNED = 0.8
NO_MARGIN = 0
_Z = 1.959964  # 95 %

SCORES = (("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"))

Edge = tuple[int, int, int]  # hash of the better answer, hash of the worse one, row number


class PairHealth:
    """Fed with every pair that may be kept; `report` says what those were like that were."""

    def __init__(self) -> None:
        self._keys = array("q")  # prompt, chosen, rejected, row; four a pair
        self._lengths = array("i")  # chosen, rejected; two a pair
        self._margins = array("b")  # its sign, 0 counting as positive; NO_MARGIN without one

    def add(self, row: Mapping[str, Any], texts: Texts, number: int, raw: Mapping[str, Any]) -> None:
        """`raw`: the row as it was found, which may hold scores of both answers."""
        chosen, rejected = texts.answers
        self._keys.extend((hash(texts.prompt), hash(chosen), hash(rejected), number))
        self._lengths.extend((len(chosen), len(rejected)))
        margin = row.get("margin", score_gap(raw))
        self._margins.append(NO_MARGIN if margin is None else -1 if margin < 0 else 1)

    def report(self, kept: np.ndarray | None = None) -> dict[str, Any]:
        """Contradictions, cycles, length gap and an estimate of the share of wrong labels.

        kept: for each pair added whether it counts; all do where it is None.
        """
        kept = np.ones(len(self._margins), bool) if kept is None else kept
        keys = np.frombuffer(self._keys, np.int64).reshape(-1, 4)[kept]
        contradictions = _Contradictions()
        for edges in _by_prompt(keys):
            contradictions.add(edges)
        lengths = np.frombuffer(self._lengths, np.int32).reshape(-1, 2)[kept].astype(np.int64)
        margins = np.frombuffer(self._margins, np.int8)[kept]
        margin = {"pairs": int((margins != NO_MARGIN).sum()), "against": int((margins == -1).sum())}
        return {"pairs": len(keys), **contradictions.told(), "length": length_gap(lengths), "margin": margin}


def score_gap(raw: Mapping[str, Any]) -> float | None:
    """The chosen answer's score less the rejected one's, where a row has both."""
    for chosen, rejected in SCORES:
        if chosen in raw:
            try:
                return float(raw[chosen]) - float(raw[rejected])
            except (KeyError, TypeError, ValueError):
                return None
    return None


class _Contradictions:
    def __init__(self) -> None:
        self.pairs = self.cycles = self.cycle_pairs = 0
        self.judged_again = self.disagreeing = 0  # two judgements of the same two answers
        self.examples: list[list[int]] = []
        self.cycle_examples: list[list[int]] = []

    def add(self, edges: list[Edge]) -> None:
        """The pairs of one prompt."""
        judged: dict[tuple[int, int], list[Edge]] = defaultdict(list)
        for edge in edges:
            judged[min(edge[:2]), max(edge[:2])].append(edge)
        agreed: list[Edge] = []
        for (low, _), same in judged.items():
            forward = [edge for edge in same if edge[0] == low]
            backward = len(same) - len(forward)
            self.judged_again += len(same) * (len(same) - 1) // 2
            self.disagreeing += len(forward) * backward
            if forward and backward:
                self.pairs += len(same)
                self.examples.append(sorted(edge[2] for edge in same)[:2])
            else:
                agreed.append(same[0])
        circle = in_cycles(agreed) if len(agreed) > 2 else []
        if circle:
            self.cycles += 1
            self.cycle_pairs += len(circle)
            self.cycle_examples.append(sorted(edge[2] for edge in circle)[:3])

    def told(self) -> dict[str, Any]:
        return {
            "contradictory": {"pairs": self.pairs, "examples": sorted(self.examples)[:EXAMPLES_TOLD]},
            "cycles": {
                "prompts": self.cycles, "pairs": self.cycle_pairs, "examples": sorted(self.cycle_examples)[:EXAMPLES_TOLD],
            },
            "label_noise": {
                "value": label_noise(self.disagreeing, self.judged_again), "judged_again": self.judged_again,
                "disagreeing": self.disagreeing,
            },
        }  # fmt: skip


def label_noise(disagreeing: int, judged_again: int) -> float | None:
    """The share e of flipped labels at which two judgements of one pair disagree so often: d = 2 e (1 - e).

    None where no pair was judged twice. Flips are taken to be independent; copied rows make it too small.
    """
    if not judged_again:
        return None
    return round((1 - math.sqrt(1 - 2 * min(disagreeing / judged_again, 0.5))) / 2, 4)


def length_gap(lengths: np.ndarray) -> dict[str, Any]:
    """How often the chosen answer is the longer one (equal lengths aside) with its 95 % interval, and by how much.

    lengths: (pairs, 2) characters of chosen and rejected.
    """
    gaps = lengths[:, 0] - lengths[:, 1]
    longer, unequal = int((gaps > 0).sum()), int((gaps != 0).sum())
    low, high = wilson(longer, unequal)
    mean = float(gaps.mean()) if len(gaps) else 0.0
    share = round(longer / unequal, 4) if unequal else None
    interval = {"low": round(low, 4), "high": round(high, 4)} if unequal else {}
    return {"chosen_longer": {"value": share, **interval, "n": unequal}, "mean_gap": round(mean, 1)}


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return middle - half, middle + half


def in_cycles(edges: list[Edge]) -> list[Edge]:
    """The edges that are left when answers that nothing beats, or that beat nothing, are taken away again and again."""
    left = edges
    while left:
        better, worse = {edge[0] for edge in left}, {edge[1] for edge in left}
        inner = [edge for edge in left if edge[0] in worse and edge[1] in better]
        if len(inner) == len(left):
            return left
        left = inner
    return []


def notes(health: dict[str, Any]) -> list[str]:
    """What a person should hear of it, if anything."""
    return [said for said, _ in concerns(health)]


def concerns(health: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong, each with what to do about it."""
    found = []
    contradictory, cycles, noise = health["contradictory"], health["cycles"], health["label_noise"]
    if contradictory["pairs"]:
        rows = "; ".join(f"rows {a:,} and {b:,}" for a, b in contradictory["examples"])
        said = f"{contradictory['pairs']:,} pairs contradict another one on the same two answers ({rows})"
        found.append((said, "Keep those that are right, or raise dpo's label_smoothing."))
    if cycles["prompts"]:
        rows = "; ".join("rows " + ", ".join(f"{row:,}" for row in each) for each in cycles["examples"])
        said = f"{words.plural(cycles['prompts'], 'prompt')} with answers preferred in a circle, A over B over C over A ({rows})"
        found.append((said, "No reward can rank them: take one pair of each circle out."))
    if noise["value"] is not None and noise["value"] > NOISE_WARNED:
        said = (
            f"about {noise['value']:.0%} of the labels are flipped: {noise['disagreeing']:,} of "
            f"{noise['judged_again']:,} repeated judgements disagree; dpo's label_smoothing is for that"
        )
        found.append((said, ""))
    if said := length_concern(health):
        found.append((said, "Balance them, or watch the length of answers."))
    if health["margin"]["against"]:
        said = (
            f"{health['margin']['against']:,} of {health['margin']['pairs']:,} pairs that come with scores or a margin are "
            "against them: the rejected answer has the higher score"
        )
        found.append((said, "Say which of the two is right."))
    return found


def length_concern(health: dict[str, Any]) -> str:
    """Where one side is nearly always the longer one, whichever it is; empty where neither is."""
    longer, gap = health["length"]["chosen_longer"], health["length"]["mean_gap"]
    if not longer["n"]:
        return ""
    value, low, high, word = longer["value"], longer["low"], longer["high"], "longer"
    if value < 0.5:
        value, low, high, word = 1 - value, 1 - high, 1 - low, "shorter"
    if low <= LENGTH_WARNED:
        return ""
    return (
        f"the chosen answer is the {word} one in {value:.0%} of {longer['n']:,} pairs (95 % interval "
        f"{low:.0%} to {high:.0%}), by {gap:+,.0f} characters on average: models will learn length"
    )


def imbalance(sources: dict[str, Any]) -> list[str]:
    """A note where one of several sources holds most rows."""
    (name, largest), *others = list(sources.items()) or [("", {"share": 0.0})]
    if not others or largest["share"] < SOURCE_WARNED:
        return []
    return [f"{largest['share']:.0%} of the rows are of one source, {name}; there are {len(others) + 1}"]


def _by_prompt(keys: np.ndarray) -> Iterator[list[Edge]]:
    """The pairs of each prompt that has more than one, in order of their rows."""
    order = np.argsort(keys[:, 0], kind="stable")
    prompts = keys[order, 0]
    borders = np.flatnonzero(np.concatenate([[True], prompts[1:] != prompts[:-1], [True]])) if len(keys) else []
    for start, end in pairwise(borders):
        if end - start > 1:
            yield [(int(c), int(r), int(n)) for _, c, r, n in keys[order[start:end]]]
