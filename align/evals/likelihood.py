"""Log-likelihoods of given answers under a model. Axes: B rows, T positions, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from align.objectives.logprobs import next_token_logprobs
from align.objectives.masked import masked_sum

LOGITS_AT_ONCE = 1 << 27  # numbers of the (B, T, V) logits held at a time: half a GiB in float32


def sequence_logprobs(
    model: Any, rows: Sequence[tuple[list[int], list[int]]], batch_size: int, progress: Callable[[int, int], None]
) -> list[float]:
    """sum of log p(token) over the tokens whose mask is 1, for each row of (input_ids, mask).

    Rows are padded on the right, so that what stands behind a row changes nothing before it.
    """
    found = [0.0] * len(rows)
    done = 0
    with torch.inference_mode():
        for batch in _batches(rows, batch_size, model.config.get_text_config().vocab_size):
            for index, value in zip(batch, _sums(model, [rows[i] for i in batch]), strict=True):
                found[index] = value
            done += len(batch)
            progress(done, len(rows))
    return found


def token_kl(
    model: Any,
    reference: Any,
    rows: Sequence[tuple[list[int], list[int]]],
    batch_size: int,
    progress: Callable[[int, int], None],
) -> list[float]:
    """sum over a row's counted positions of KL(model || reference) of the next token, exact over the vocabulary, in nats.

    Where one of the two has rows for more tokens, both are read over the tokens they share.
    """
    found, done = [0.0] * len(rows), 0
    vocab = min(m.config.get_text_config().vocab_size for m in (model, reference))
    with torch.inference_mode():
        for batch in _batches(rows, batch_size, 4 * vocab):
            ids_BT, real_BT, mask_BT = _padded([rows[i] for i in batch], model.device)
            ours_BTV, theirs_BTV = (
                m(input_ids=ids_BT, attention_mask=real_BT, use_cache=False)
                .logits[:, :-1, :vocab]
                .float()
                .log_softmax(-1)
                for m in (model, reference)
            )
            kl_BT = (ours_BTV.exp() * (ours_BTV - theirs_BTV)).sum(-1)
            for index, value in zip(batch, masked_sum(kl_BT, mask_BT[:, 1:], dim=1).double().tolist(), strict=True):
                found[index] = value
            done += len(batch)
            progress(done, len(rows))
    return found


def _batches(rows: Sequence[tuple[list[int], list[int]]], batch_size: int, vocab: int) -> Iterator[list[int]]:
    """Row numbers, rows of similar length together, longest first so that memory runs out at once or never."""
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i][0]), i))
    while order:
        fitting = max(1, LOGITS_AT_ONCE // (len(rows[order[0]][0]) * vocab))
        size = min(batch_size, fitting)
        yield order[:size]
        order = order[size:]


def _sums(model: Any, rows: list[tuple[list[int], list[int]]]) -> list[float]:
    ids_BT, real_BT, mask_BT = _padded(rows, model.device)
    logits_BTV = model(input_ids=ids_BT, attention_mask=real_BT, use_cache=False).logits
    return masked_sum(next_token_logprobs(logits_BTV, ids_BT), mask_BT[:, 1:], dim=1).double().tolist()


def _padded(rows: list[tuple[list[int], list[int]]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, which of them are real, and which count, all (B, T)."""
    width = max(len(ids) for ids, _ in rows)
    told = (
        [ids + [0] * (width - len(ids)) for ids, _ in rows],
        [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows],
        [mask + [0] * (width - len(mask)) for _, mask in rows],
    )
    ids_BT, real_BT, mask_BT = (torch.tensor(part, device=device) for part in told)
    return ids_BT, real_BT, mask_BT
