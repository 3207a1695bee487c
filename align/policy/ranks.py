"""Sums over the processes that train together; one process alone is its own sum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@torch.no_grad()
def summed(tensor: Tensor) -> Tensor:
    """The tensor summed over all processes, as a new tensor."""
    if not together():
        return tensor
    total = tensor.clone()
    torch.distributed.all_reduce(total)
    return total


@torch.no_grad()
def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Every gradient summed over all processes, in one message; a loss divided by all processes' tokens stays exact."""
    if not together():
        return
    trained = [p for p in parameters if p.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in trained if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    torch.distributed.all_reduce(flat)
    for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(piece.view_as(gradient))
