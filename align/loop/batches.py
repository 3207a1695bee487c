"""Rows of token ids -> packed sequences -> batches that are one row each.

A batch never holds padding: the sequences of a micro batch are laid end to end, and `cu_seq_lens_q` marks where documents
begin, so that attention stays within them. On GPUs the row is filled up to a fixed length instead, with documents of
pad tokens that no loss is on: one length for every batch keeps compiled layers from being compiled again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset

IGNORED = -100  # the label of a token that no loss is on


def best_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Bins of indices whose lengths sum to at most `capacity`: longest first, each into the fullest bin that has room.

    Within 22 % of the fewest bins possible, and within 1 % for documents much shorter than the capacity (Ding et al.
    2024, 2404.10830). Raises ValueError where one length exceeds the capacity.
    """
    if lengths and max(lengths) > capacity:
        raise ValueError(f"a document of {max(lengths)} tokens does not fit {capacity}")
    bins: list[list[int]] = []
    rooms: list[int] = []  # the distinct rooms that bins have left, sorted
    with_room: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = bisect_left(rooms, lengths[index])
        if at == len(rooms):
            bins.append([])
            bin_number, room = len(bins) - 1, capacity
        else:
            room = rooms[at]
            bin_number = with_room[room].pop()
            if not with_room[room]:
                del rooms[at]
        bins[bin_number].append(index)
        left = room - lengths[index]
        if left:
            if not with_room[left]:
                insort(rooms, left)
            with_room[left].append(bin_number)
    return bins


@dataclass(frozen=True)
class Document:
    """Token ids, and as many labels: the token itself, or IGNORED."""

    input_ids: list[int]
    labels: list[int]


def packed_dataset(documents: Iterable[Document], capacity: int | None) -> Dataset:
    """One row per packed sequence of at most `capacity` tokens; one per document where it is None."""
    documents = list(documents)
    lengths = [len(document.input_ids) for document in documents]
    bins = [[i] for i in range(len(documents))] if capacity is None else best_fit_decreasing(lengths, capacity)
    return Dataset.from_dict(
        {
            "input_ids": [[t for i in row for t in documents[i].input_ids] for row in bins],
            "labels": [[t for i in row for t in documents[i].labels] for row in bins],
            "seq_lengths": [[lengths[i] for i in row] for row in bins],
        }
    )


@dataclass(frozen=True)
class PackedCollator:
    """Lays packed sequences end to end. `fixed_length`: the length that every batch is filled up to with pad tokens.

    `real_tokens` in the batch says how many tokens are documents'.
    """

    pad_token_id: int
    longest: int  # of all documents, in tokens
    fixed_length: int | None = None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        input_ids = [token for row in rows for token in row["input_ids"]]
        labels = [label for row in rows for label in row["labels"]]
        lengths = [length for row in rows for length in row["seq_lengths"]]
        real = len(input_ids)
        missing = max(0, (self.fixed_length or 0) - real)
        if missing:
            input_ids += [self.pad_token_id] * missing
            labels += [IGNORED] * missing
            lengths += [min(self.longest, missing - done) for done in range(0, missing, self.longest)]
        starts = torch.tensor([0, *lengths]).cumsum(0)
        labels_N = torch.tensor(labels)
        labels_N[starts[:-1]] = IGNORED  # nothing before it to predict it from
        borders = starts.to(torch.int32)
        return {
            "input_ids": torch.tensor(input_ids)[None],
            "labels": labels_N[None],
            "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
            "cu_seq_lens_q": borders,
            "cu_seq_lens_k": borders,
            "max_length_q": self.longest,
            "max_length_k": self.longest,
            "real_tokens": real,
        }


@dataclass(frozen=True)
class CountedPairs:
    """A collator of pairs that says how many there are (`pairs`), and how many tokens of theirs (`real_tokens`).

    Of no pairs it makes a batch of `stand_in` that counts for none: a device must not wait for one that has nothing to do.
    """

    collator: Callable[[list[dict[str, Any]]], dict[str, Any]]
    stand_in: dict[str, Any]

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = dict(self.collator(rows or [self.stand_in]))
        tokens = int(batch["attention_mask"].sum()) if rows else 0
        return {**batch, "pairs": len(rows), "real_tokens": tokens}
