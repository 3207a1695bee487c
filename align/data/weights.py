"""Rows with a weight: no stage weighs its loss, so a weight is refused, left out, or turned into copies of the row."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Literal

from align.errors import DataError

Policy = Literal["refuse", "ignore", "resample"]


def copies(row: dict[str, Any], policy: Policy, seed: int, where: str, number: int) -> int:
    """How many times a row goes on, without its weight. Raises DataError where weights are refused and it is not 1.

    A weight of 2.3 is 2 copies, and a third one for 30 % of such rows: which, is decided by seed and row number alone.
    """
    weight = row.pop("weight")
    if policy == "ignore" or weight == 1:
        return 1
    if policy == "refuse":
        raise DataError(
            f"{where}, row {number:,}", f"the row has weight {weight:g}, which training would not use", "Rows that count alike",
            "Say weights: resample (rows are repeated or left out in proportion) or weights: ignore.",
        )  # fmt: skip
    whole = math.floor(weight)
    draw = hashlib.sha256(f"{seed}\0{Path(where).name}\0{number}".encode()).digest()
    return whole + (int.from_bytes(draw[:8]) < (weight - whole) * 2**64)
