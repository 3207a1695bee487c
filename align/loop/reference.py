"""The frozen reference of DPO: that it is the policy to begin with, and its logprobs computed once."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file

from align.artifact.inputs import ModelInput
from align.errors import TrainingError
from align.loop.arguments import autocast_dtype, device
from align.objectives.preference import reward_margins
from align.specs.dpo import DpoSpec

VERSION = 1  # of what is computed here; a new number leaves old caches unread
# bfloat16 has 8 significant bits: two ways to sum the same products may differ by its last bit, 2^-8 of the value. A
# token's logprob is at most a few nats, so that an average over an answer's tokens stays well within.
BF16_TOLERANCE = 2.0**-8


def check_is_policy(loop: Any, spec: DpoSpec) -> None:
    """Raise TrainingError unless policy and reference give each answer of the first batch the same logprob.

    Exactly the same in float32; in bfloat16 within its resolution per token.
    """
    rows = range(min(len(loop.train_dataset), loop.args.per_device_train_batch_size))
    batch = loop.data_collator([loop.train_dataset[i] for i in rows])
    loop.model.eval()
    policy = loop.sequence_logps(loop.model, batch)
    with _without_adapter(loop):
        reference = loop.sequence_logps(loop.ref_model or loop.model, batch)
    tokens = batch["completion_mask"].sum(1).to(policy.device)
    margins = reward_margins(*policy.chunk(2), *reference.chunk(2), beta=spec.beta)
    apart = ((policy - reference).abs() / tokens.clamp(min=1)).max().item()
    allowed = BF16_TOLERANCE if autocast_dtype(spec) is torch.bfloat16 else 0.0
    if not apart <= allowed:
        raise TrainingError(
            "step 0",
            f"the reference is not the policy: their logprobs differ by up to {apart:.3g} a token, "
            f"the margins by up to {margins.abs().max().item():.3g}",
            f"At most {allowed:.3g} before the first step",
            "The reference has to be the model that training starts from; look at what changed one of them.",
        )


def precompute(loop: Any, cache: Path, source: ModelInput, tokenizer: Any, spec: DpoSpec) -> None:
    """Give every pair its reference logprobs, from the cache where they are known, and let the reference go."""
    loop.train_dataset = _with_logps(loop, loop.train_dataset, cache, source, tokenizer, spec)
    if loop.eval_dataset is not None:
        loop.eval_dataset = _with_logps(loop, loop.eval_dataset, cache, source, tokenizer, spec)
    loop.forget_reference()


def _with_logps(loop: Any, data: Dataset, cache: Path, source: ModelInput, tokenizer: Any, spec: DpoSpec) -> Dataset:
    size = loop.args.per_device_train_batch_size
    told = [VERSION, source.digest, len(tokenizer), str(autocast_dtype(spec)), device().type, torch.__version__, size]
    told += [spec.compile, loop.args.world_size, spec.lora is not None]
    key = hashlib.sha256(json.dumps([told, data.to_dict()]).encode()).hexdigest()
    path = cache / "reference-logprobs" / f"{key}.safetensors"
    (absent,) = loop.agreed(not path.is_file())
    logps = _compute(loop, data, size) if absent else load_file(path)
    if absent and loop.args.should_save:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        save_file(logps, partial)
        partial.rename(path)
    columns = {f"ref_{side}_logps": logps[side].tolist() for side in ("chosen", "rejected")}
    for name, values in columns.items():
        data = data.add_column(name, values)  # type: ignore[arg-type]
    return data


@torch.no_grad()
def _compute(loop: Any, data: Dataset, size: int) -> dict[str, torch.Tensor]:
    """Each process computes its share of the batches; together they know all."""
    whole = torch.zeros(2, len(data))
    loop.model.eval()
    rank, world = loop.args.process_index, loop.args.world_size
    with _without_adapter(loop):
        for start in range(rank * size, len(data), world * size):
            rows = range(start, min(start + size, len(data)))
            logps = loop.sequence_logps(loop.ref_model or loop.model, loop.data_collator([data[i] for i in rows]))
            whole[:, start : start + len(rows)] = logps.view(2, -1).cpu()
    if world > 1:
        told = whole.to(loop.args.device)
        torch.distributed.all_reduce(told)
        whole = told.cpu()
    return {"chosen": whole[0].clone(), "rejected": whole[1].clone()}


def _without_adapter(loop: Any) -> AbstractContextManager[Any]:
    return nullcontext() if loop.ref_model is not None else loop.model.disable_adapter()
