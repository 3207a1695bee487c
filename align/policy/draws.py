"""Random draws that depend on (seed, where in the run) alone, so that a resumed run draws what the undisturbed one drew."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*parts: int | str) -> int:
    """A seed for one purpose at one place."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big")


def permutation(size: int, seed: int) -> list[int]:
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()


def prompts_of(update: int, batch_size: int, rows: int, seed: int) -> list[int]:
    """Which prompts an update samples answers to: each row once a pass, every pass in another order."""
    first = update * batch_size
    orders: dict[int, list[int]] = {}
    drawn = []
    for number in range(first, first + batch_size):
        turn, at = divmod(number, rows)
        if turn not in orders:
            orders[turn] = permutation(rows, seed_of(seed, "prompts", turn))
        drawn.append(orders[turn][at])
    return drawn
