"""dpo: direct preference optimization, and the losses that TRL knows by name.

Objective (Rafailov et al. 2023, 2305.18290, equation 7), y_w preferred to y_l as answers to x:

    L = - log sigma( beta (log pi(y_w|x) - log pi_ref(y_w|x)) - beta (log pi(y_l|x) - log pi_ref(y_l|x)) )

Reads      `policy`, `data` (preference rows), `eval_data` (preference rows).
Writes     model/: weights, or with `lora` an adapter that records its base.
Reference  the policy as it was given, loaded again and frozen: the objective is a pull away from where one stands. With
           `lora` it is the same weights without the adapter. Before the first step policy and reference must agree on every
           answer of the first batch, or the stage refuses. Dropout is off in both. Over more than one epoch the
           reference's logprobs are computed once, kept in the cache by content, and the reference is let go.
Batches    all pairs of one ranking stand in one (align/loop/rankings.py), which may then be smaller than batch_size.
Memory     20 bytes a parameter (sft's 16 and the reference), 16 over several epochs, and the activations of a micro batch;
           batches hold no padding.
Metrics    loss, rewards/chosen, rewards/rejected, rewards/margins, rewards/accuracies, logps/*, logits/*, and eval_* of them,
           grad_norm, tokens, tokens_per_second, rows/truncated, rows/dropped; of rankings rankings, rankings/largest, cut.
Prefer     reward and ppo where the policy should learn from its own answers rather than from a fixed set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset

from align.artifact.inputs import Inputs, RowsInput
from align.data.render import RenderedPair, render_preference, truncate_pairs
from align.data.store_rows import read_rows
from align.loop.arguments import device, dpo_arguments, micro_batch_size, rank, weights_dtype
from align.loop.opening import open_model, prepare_for_pairs, rows_of
from align.loop.reference import check_is_policy, precompute
from align.loop.train import check_budget, dpo_loop, keep_rankings_together, train
from align.models.load import load_model, save_model
from align.models.lora import lora_config
from align.models.tokenizer import Tokenizer, fit_model
from align.specs.dpo import DpoSpec
from align.tracking import Tracker


def run(spec: DpoSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Trains and writes a model that prefers what people preferred; see the top of this file."""
    source = inputs.model("policy")
    policy, tokenizer = open_model(source, spec, tracker.note)
    pairs, counts = _pairs(rows_of(inputs, "data", "preference"), tokenizer, spec)
    held = _pairs(rows_of(inputs, "eval_data", "preference"), tokenizer, spec)[0] if spec.eval_data else []

    reference = None
    if spec.lora is None:
        reference = load_model(source, weights_dtype(spec), device()).requires_grad_(False)
        fit_model(reference, tokenizer)
    for model in filter(None, (policy, reference)):
        prepare_for_pairs(model, spec)
    micro = micro_batch_size(spec, policy, sequences_a_row=2, models=2)
    adapter = lora_config(spec.lora) if spec.lora else None
    arguments = dpo_arguments(spec, out / "checkpoints", micro)
    data, eval_data = _dataset(pairs), _dataset(held) if spec.eval_data else None
    loop = dpo_loop(policy, reference, arguments, tokenizer, data, eval_data, adapter)
    counts |= keep_rankings_together(loop, [pair.ranking for pair in pairs], spec, tracker)

    check_is_policy(loop, spec)
    if _passes(spec, len(pairs)) > 1 and not spec.trainer.get("sync_ref_model"):
        precompute(loop, inputs.cache, source, tokenizer, spec)
        del reference  # the last to hold it
    metrics = train(loop, spec, tracker)
    if rank() == 0:
        save_model(loop.model, tokenizer, out / "model", source.digest)
    return metrics | counts | {"pairs": float(len(pairs))}


def _pairs(source: RowsInput, tokenizer: Tokenizer, spec: DpoSpec) -> tuple[list[RenderedPair], dict[str, float]]:
    """Token ids of prompts and both answers, and how many rows were cut or dropped."""
    counts: dict[str, float] = {}
    rendered = render_preference(read_rows(source.files, source.type, "preference"), tokenizer)
    pairs = list(truncate_pairs(rendered, spec.max_length, counts))
    return pairs, check_budget(counts, len(pairs) + int(counts["dropped_rows"]), spec, source.name)


def _dataset(pairs: Sequence[RenderedPair]) -> Dataset:
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    return Dataset.from_dict({name: [getattr(pair, name) for pair in pairs] for name in columns})


def _passes(spec: DpoSpec, pairs: int) -> float:
    return spec.max_steps * spec.batch_size / pairs if spec.max_steps else spec.epochs
