"""The state of every random number generator in use: saved with a checkpoint, and put back after an evaluation."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

Numbers = dict[str, Any]


def capture() -> tuple[dict[str, torch.Tensor], Numbers]:
    """(tensors, plain numbers) of Python's, numpy's and torch's generators."""
    python, array = random.getstate(), np.random.get_state(legacy=True)
    tensors = {
        "torch": torch.random.get_rng_state(),
        "numpy": torch.from_numpy(array[1].astype(np.int64)),  # type: ignore[index, union-attr]
        "python": torch.tensor(python[1], dtype=torch.int64),
    }
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    numbers = {"python": [python[0], python[2]], "numpy": [array[0], int(array[2]), int(array[3]), float(array[4])]}  # type: ignore[index]
    return tensors, numbers


def restore(tensors: dict[str, torch.Tensor], numbers: Numbers) -> None:
    version, gauss = numbers["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, position, has_gauss, cached = numbers["numpy"]
    np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), position, has_gauss, cached))
    torch.random.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])


@contextmanager
def preserved() -> Iterator[None]:
    """Whatever is drawn inside, what comes after draws as if it had not been."""
    state = capture()
    try:
        yield
    finally:
        restore(*state)
