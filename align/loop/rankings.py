"""Batches in which all pairs of one ranking stand together (Ouyang et al. 2022, 2203.02155, section 3.5).

Answers of one prompt are compared again and again: K of them make K (K - 1) / 2 pairs, and each answer stands in K - 1 of them.
Spread over batches such an answer is learnt from K - 1 times a pass, and by heart soon after; in one batch it is once. So a
batch is made of whole rankings, and of pairs that belong to none: as many as fit `batch_size`, and sometimes a few less.

Rankings are dealt out the largest first, each to the batch with the fewest pairs (Graham 1969): batches come out nearly
equal, and how many there are depends on the sizes alone, so that every pass has as many steps. Which rankings meet, and the
order of the batches, is drawn anew for each pass from the seed and the pass's number; nothing has to be remembered to resume.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from align.loop.batches import best_fit_decreasing


def whole(rankings: Sequence[str | None]) -> list[list[int]]:
    """Row numbers that belong together, by the ranking that each row names; a row that names none is alone."""
    groups: dict[str | int, list[int]] = {}
    for row, ranking in enumerate(rankings):
        groups.setdefault(row if ranking is None else ranking, []).append(row)
    return list(groups.values())


def dealt(sizes: Sequence[int], batches: int) -> list[list[int]]:
    """Indices of `sizes` over so many batches: the largest first, each to where the sum is least, the first of equals."""
    least = [(0, batch) for batch in range(batches)]
    found: list[list[int]] = [[] for _ in least]
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        total, batch = least[0]
        found[batch].append(index)
        heapq.heapreplace(least, (total + sizes[index], batch))
    return found


def shared(rows: Sequence[int], among: int) -> list[list[int]]:
    """Rows cut into so many pieces, in order, whose sizes differ by one at most; some are empty where rows are too few."""
    ends = accumulate((len(rows) // among + (piece < len(rows) % among) for piece in range(among)), initial=0)
    return [list(rows[start:end]) for start, end in pairwise(ends)]


@dataclass(frozen=True)
class RankedBatches:
    """Micro batches of row numbers, `micro_batches` of them for each optimizer step, over all devices.

    A DataLoader's batch_sampler. `most`: rows of an optimizer step (not called batch_size, by which accelerate would take
    micro batches of other sizes for the rest of a pass). A micro batch is empty where a step has fewer rows than micro
    batches. A ranking of more rows is cut into pieces; `cut` says how many were. `passes`: over the rows, done so far.
    """

    groups: Sequence[Sequence[int]]
    most: int
    micro_batches: int
    seed: int
    passes: Callable[[], int] = lambda: 0

    @cached_property
    def pieces(self) -> list[list[int]]:
        return [piece for group in self.groups for piece in shared(group, -(-len(group) // self.most))]

    @property
    def cut(self) -> int:
        return sum(len(group) > self.most for group in self.groups)

    @cached_property
    def batches(self) -> int:
        """Of one pass: the fewest, from what best-fit packing needs on, over which dealing exceeds `most` nowhere."""
        sizes = [len(piece) for piece in self.pieces]
        count = len(best_fit_decreasing(sizes, self.most))
        while any(sum(sizes[i] for i in batch) > self.most for batch in dealt(sizes, count)):
            count += 1
        return count

    def of_pass(self, number: int) -> list[list[int]]:
        """Every row once, batch by batch."""
        draw = random.Random(f"{self.seed} {number}")
        pieces = draw.sample(self.pieces, len(self.pieces))
        batches = dealt([len(piece) for piece in pieces], self.batches)
        draw.shuffle(batches)
        return [[row for index in batch for row in pieces[index]] for batch in batches]

    def __len__(self) -> int:
        return self.batches * self.micro_batches

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self.of_pass(self.passes()):
            yield from shared(rows, self.micro_batches)
