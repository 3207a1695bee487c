"""How far texts are from the nearest of others, by the characters they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from align.scoring.named import plain

WIDTH = 5
TOLD_EVERY = 500  # texts


def nearest_distances(
    texts: Sequence[str], others: Iterable[str], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[float]:
    """1 - Jaccard similarity of character 5-grams to the nearest of `others`: 0 is the same, 1 has nothing in common.

    Case, white space and Unicode form do not count. Memory goes with `texts` alone; `others` are read once.
    """
    own = [grams(text) for text in texts]
    places = {gram: i for i, gram in enumerate(sorted(set().union(*own)))}
    there_GT = np.zeros((len(places), len(texts)), dtype=np.int32)  # gram, text
    for column, found in enumerate(own):
        there_GT[[places[g] for g in found], column] = 1
    sizes = np.array([len(found) for found in own])
    best = np.zeros(len(texts))
    different = set(map(plain, others))
    for done, other in enumerate(different):
        if done % TOLD_EVERY == 0:
            progress(done, len(different))
        theirs = grams(other)
        shared = there_GT[[places[g] for g in theirs if g in places]].sum(0)
        best = np.maximum(best, shared / np.maximum(1, sizes + len(theirs) - shared))
    return (1 - best).tolist()


def grams(text: str) -> set[str]:
    """Every run of five characters, at least one: a shorter text is one gram."""
    text = plain(text)
    return {text[i : i + WIDTH] for i in range(max(1, len(text) - WIDTH + 1))}
