"""More rows for a model's embeddings, when a tokenizer has learnt new tokens."""

from __future__ import annotations

from typing import Any

import torch


@torch.no_grad()
def grow_embeddings(model: Any, rows: int) -> int:
    """Grow input and output embeddings to at least `rows`; returns by how many they grew.

    New rows are the mean of the old ones: the new tokens are then never likelier than all the others together, and the
    model's distribution over the old ones stays nearly as it was (Hewitt 2021).
    """
    before: int = model.get_input_embeddings().weight.shape[0]
    if rows <= before:
        return 0
    model.resize_token_embeddings(rows, mean_resizing=False)
    for embeddings in (model.get_input_embeddings(), model.get_output_embeddings()):
        for parameter in embeddings.parameters(recurse=False):
            parameter[before:] = parameter[:before].float().mean(0).to(parameter.dtype)
    return rows - before
