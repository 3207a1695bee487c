"""The portable engine: transformers' own generation, on any device it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from align.rollout.engine import Completion, Sampling


def stop_token_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends a completion: the tokenizer's and those of the model's generation settings."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return sorted({int(i) for i in [tokenizer.eos_token_id, *listed] if i is not None})


class PortableEngine:
    """Generates in batches of prompts of similar length, padded on the left."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, batch_size: int) -> None:
        self._model, self._batch_size = model, batch_size
        self._stops = stop_token_ids(model, tokenizer)
        self._pad = int(tokenizer.pad_token_id)  # type: ignore[arg-type]

    def generate(
        self, prompts: Sequence[list[int]], sampling: Sampling, progress: Callable[[int, int], None]
    ) -> list[Completion]:
        order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
        found: dict[int, Completion] = {}
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(sampling.seed)
            for start in range(0, len(order), self._batch_size):
                batch = order[start : start + self._batch_size]
                for index, completion in zip(batch, self._batch([prompts[i] for i in batch], sampling), strict=True):
                    found[index] = completion
                progress(len(found), len(prompts))
        return [found[i] for i in range(len(prompts))]

    def _batch(self, prompts: list[list[int]], sampling: Sampling) -> list[Completion]:
        width = max(map(len, prompts))
        device = self._model.device
        ids_BP = torch.tensor([[self._pad] * (width - len(p)) + p for p in prompts], device=device)
        mask_BP = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        with _own_settings(self._model):
            out = self._model.generate(
                input_ids=ids_BP, attention_mask=mask_BP, generation_config=self._config(sampling)
            )
        tokens_BT = out.sequences[:, width:]
        if not sampling.logprobs:
            return [self._completion(row) for row in tokens_BT.tolist()]
        logits_BTV = torch.stack(out.logits, 1).float() / (sampling.temperature or 1.0)
        logprobs_BT = logits_BTV.log_softmax(-1).gather(2, tokens_BT[:, :, None])[:, :, 0]
        rows = zip(tokens_BT.tolist(), logprobs_BT.tolist(), strict=True)
        return [self._completion(row, logprobs) for row, logprobs in rows]

    def _config(self, sampling: Sampling) -> GenerationConfig:
        settings: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            settings = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0, "top_p": 1.0}
        return GenerationConfig(
            max_new_tokens=sampling.max_new_tokens, pad_token_id=self._pad, eos_token_id=self._stops,
            return_dict_in_generate=True, output_logits=sampling.logprobs, **settings,
        )  # fmt: skip

    def _completion(self, row: list[int], logprobs: list[float] | None = None) -> Completion:
        """A row up to its first stop token; what stands behind it is padding."""
        end = next((i for i, token in enumerate(row) if token in self._stops), None)
        length = len(row) if end is None else end + 1
        return Completion(row[:length], end is not None, logprobs and logprobs[:length])


@contextmanager
def _own_settings(model: Any) -> Iterator[None]:
    """Without the model's shipped generation settings: transformers fills whatever ours leave open from them, so that a
    repetition penalty or a top-p that came with the model would quietly bend what is sampled."""
    shipped, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = shipped
