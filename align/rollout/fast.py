"""The fast engine: decodes in this process on the trainer's own weights, many prompts at once, no padding.

Prompts wait for slots. A slot whose completion has ended is filled with the next prompt; once none waits, the slots still
in use move together into half as many whenever they fit. Cache and graphs are kept for the next call of the same shape,
weights are brought up to date at each call. The same prompts, seed and batch size give the same completions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from align.models.packed import supports_packing
from align.rollout.decoder import Decoder
from align.rollout.engine import Completion, Sampling
from align.rollout.flat_cache import FLAT
from align.rollout.packing import attention, micro_batches
from align.rollout.portable import stop_token_ids
from align.rollout.view import RolloutView

PREFILL_TOKENS = 16384  # of prompts, in one pass
LOOK_EVERY = 16  # steps between looks at who has ended
REFILL_SHARE = 8  # an eighth of the slots free: worth a pass over new prompts
FEWEST_SLOTS = 8  # fewer are not moved together: a step costs the same
COMPILED_SHARE = 4  # a quarter of all slots, where layers would be compiled again for each number
LENGTH_UNIT = 64  # slots are made for multiples of it, so that the next call's prompts fit too


class FastEngine:
    """Up to `batch_size` completions at once. `compiled`: compile the layers, which pays from some thousand steps on."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, batch_size: int, compiled: bool = False) -> None:
        self._model, self._batch_size, self._compiled = model, batch_size, compiled
        self._stops = stop_token_ids(model, tokenizer)
        self._view: RolloutView | None = None
        self._decoder: Decoder | None = None

    def generate(
        self, prompts: Sequence[list[int]], sampling: Sampling, progress: Callable[[int, int], None]
    ) -> list[Completion]:
        if not prompts:
            return []
        dtype = _computing_dtype(self._model)
        with torch.no_grad(), torch.autocast(self._model.device.type, enabled=False):
            decoder = self._ready(prompts, sampling.max_new_tokens, dtype)
            decoder.begin(sampling.max_new_tokens, sampling.seed)
            return _Rollout(decoder, prompts, sampling, set(self._stops), progress).finish()

    def _ready(self, prompts: Sequence[list[int]], most_new: int, dtype: torch.dtype) -> Decoder:
        """The decoder of the last call where it serves, on weights as they are now."""
        slots = self._batch_size  # whatever was asked before, so that it does not change what is drawn now
        length = max(map(len, prompts)) + most_new
        if self._view is None or self._view.dtype is not dtype:
            self._decoder = None
            self._view = RolloutView(self._model, dtype, FLAT, self._compiled)
        else:
            self._view.refresh()
        if self._decoder is None or not self._decoder.serves(slots, length, most_new):
            self._decoder = None  # its memory first
            self._decoder = Decoder(self._view, slots, -(-length // LENGTH_UNIT) * LENGTH_UNIT, most_new, self._stops)
        return self._decoder


class _Rollout:
    """One call: which prompt is in which slot, and what has come of it."""

    def __init__(
        self,
        decoder: Decoder,
        prompts: Sequence[list[int]],
        sampling: Sampling,
        stops: set[int],
        progress: Callable[[int, int], None],
    ) -> None:
        self._decoder, self._prompts, self._sampling = decoder, prompts, sampling
        self._stops, self._progress = stops, progress
        self._waiting = list(range(len(prompts)))[::-1]
        self._fewest = decoder.slots // COMPILED_SHARE if decoder.compiled else FEWEST_SLOTS
        slots = self._fewer(decoder.slots, len(prompts))
        self._owners: list[int | None] = [None] * slots  # the prompt in each slot in use
        self._made: list[int] = [0] * slots  # tokens, at least, for those that have not ended
        self._found: dict[int, Completion] = {}

    def finish(self) -> list[Completion]:
        self._fill()
        while any(owner is not None for owner in self._owners):
            ended = self._decode()
            self._harvest(ended)
            self._fill()
            self._move_together()
        return [self._found[i] for i in range(len(self._prompts))]

    def _decode(self) -> list[bool]:
        """Steps until it is worth doing something else; who has ended then."""
        while True:
            ended = self._decoder.ended(len(self._owners))
            alive = [i for i, owner in enumerate(self._owners) if owner is not None and not ended[i]]
            free = len(self._owners) - len(alive)
            if not alive or (self._waiting and free * REFILL_SHARE >= len(self._owners)):
                return ended
            if not self._waiting and self._fewer(len(ended), len(alive)) < len(ended):
                return ended
            left = max(self._sampling.max_new_tokens - self._made[i] for i in alive)
            count = max(1, min(LOOK_EVERY, left))
            self._decoder.steps(count, len(self._owners), self._sampling.temperature)
            for i in alive:
                self._made[i] += count

    def _harvest(self, ended: list[bool]) -> None:
        slots = [i for i, owner in enumerate(self._owners) if owner is not None and ended[i]]
        for slot, (tokens, logprobs) in zip(slots, self._decoder.read(slots), strict=True):
            kept = logprobs if self._sampling.logprobs else None
            owner = self._owners[slot]
            assert owner is not None
            self._found[owner] = Completion(tokens, tokens[-1] in self._stops, kept)
            self._owners[slot] = None
        self._progress(len(self._found), len(self._prompts))

    def _fill(self) -> None:
        free = [i for i, owner in enumerate(self._owners) if owner is None]
        taken = [(slot, self._waiting.pop()) for slot in free[: len(self._waiting)]]
        for part in micro_batches([len(self._prompts[i]) for _, i in taken], PREFILL_TOKENS):
            slots = [taken[n][0] for n in part]
            prompts = [self._prompts[taken[n][1]] for n in part]
            self._decoder.insert(prompts, slots, self._sampling.temperature)
        for slot, prompt in taken:
            self._owners[slot], self._made[slot] = prompt, 1

    def _move_together(self) -> None:
        alive = [i for i, owner in enumerate(self._owners) if owner is not None]
        size = self._fewer(len(self._owners), len(alive))
        if self._waiting or not alive or size == len(self._owners):
            return
        kept = alive + [i for i in range(len(self._owners)) if i not in set(alive)][: size - len(alive)]
        self._decoder.keep(kept)
        self._owners, self._made = [self._owners[i] for i in kept], [self._made[i] for i in kept]

    def _fewer(self, size: int, needed: int) -> int:
        """How many slots of `size` suffice, by halves: few different numbers, for each has a graph of its own."""
        while size // 2 >= max(needed, self._fewest, 1):
            size //= 2
        return size


def _computing_dtype(model: Any) -> torch.dtype:
    """What the caller's autocast, or else the model, computes in."""
    kind = model.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else model.dtype


def why_not(model: Any) -> str | None:
    """Why this model cannot be decoded so, or None. What its settings do not tell, a small trial does."""
    config = model.config.get_text_config()
    if getattr(model.config, "is_encoder_decoder", False):
        return "it is an encoder-decoder"
    if not supports_packing(model.config):
        return "its attention is not plain causal attention (sliding windows, soft caps or the like)"
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope"):
        return f"its rotary embedding ({rope}) changes with the length"
    if any(getattr(config, name, None) not in (None, 1) for name in ("logit_scale", "logits_scaling")):
        return "its logits are scaled"
    if getattr(config, "final_logit_softcapping", None):
        return "its logits are capped"
    try:
        return _trial(model)
    except Exception as error:  # whatever a model that was not made for it may raise
        return f"a trial failed: {(str(error).splitlines() or [type(error).__name__])[0]}"


@torch.no_grad()
def _trial(model: Any) -> str | None:
    """Greedy decoding of two short prompts against full forward passes of the model itself."""
    prompts, new = [[1, 2, 3, 4, 5, 6, 7, 8], [4]], 4
    tolerance = 0.01 if model.dtype is torch.float32 else 0.5  # half precision rounds the model's own logits
    engine = Decoder(RolloutView(model, model.dtype, FLAT), 2, 12, new, [])
    engine.begin(new, 0)
    engine.insert(prompts, [0, 1], 0.0)
    engine.steps(new - 1, 2, 0.0)
    with attention(model, "sdpa"):
        for prompt, (tokens, logprobs) in zip(prompts, engine.read([0, 1]), strict=True):
            ids = torch.tensor([prompt + tokens], device=model.device)
            logits_TV = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
            own_T = logits_TV.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0]
            apart = (own_T - torch.tensor(logprobs, device=own_T.device)).abs().max().item()
            if not apart <= tolerance:
                return f"a trial gave logprobs {apart:.2g} off"
    return None
