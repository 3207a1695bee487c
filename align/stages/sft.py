"""sft: supervised fine-tuning on conversations, the loss on assistant turns only.

Objective (Ouyang et al. 2022, 2203.02155, section 3.5), the mean over all trained tokens of a batch:

    L = - mean_{t in assistant turns} log p(x_t | x_<t)

A turn's trained tokens go from behind the generation prompt to its stop token, that one included, nothing after it.

Reads     `model`, `data` (messages rows; a message with `train: false` is only read), `eval_data` (messages rows). Token ids
          made elsewhere (tokens rows) will do where they say which are trained and end with the stop token; of what
          tokenizer they are cannot be known, and neither can whether the template is the one that is asked with.
Writes    model/: weights, or with `lora` an adapter that records its base.
Packing   several conversations to a sequence of max_length, isolated from one another; without it one to a row. Either way a
          batch holds no padding. A row over max_length is cut, and dropped if no trained token is left: both are counted,
          and are an error above drop_budget.
Memory    16 bytes a trained parameter, 2 to 4 a frozen one, and the activations of one micro batch.
Metrics   loss, eval_loss (nats per trained token), mean_token_accuracy, entropy, grad_norm, tokens, tokens_per_second,
          rows/truncated, rows/dropped.
Prefer    dpo where you can say which of two answers is better but not what the best one is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from align.artifact.inputs import Inputs, RowsInput
from align.data import token_rows
from align.data.render import Rendered, render_rows, truncate
from align.data.store_rows import read_rows
from align.loop.arguments import device, micro_batch_size, rank, sft_arguments
from align.loop.batches import IGNORED, Document, PackedCollator, packed_dataset
from align.loop.opening import open_model, rows_of
from align.loop.train import check_budget, compile_layers, sft_loop, train
from align.models.load import save_model
from align.models.lora import lora_config
from align.models.packed import supports_packing
from align.models.tokenizer import Tokenizer
from align.specs.sft import SftSpec
from align.tracking import Tracker


def run(spec: SftSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Trains and writes a model that answers; see the top of this file."""
    source = inputs.model("model")
    model, tokenizer = open_model(source, spec, tracker.note)
    data, counts = _sequences(rows_of(inputs, "data", "messages", tokens=True), tokenizer, spec, tracker)
    held = rows_of(inputs, "eval_data", "messages", tokens=True) if spec.eval_data else None
    eval_data = _sequences(held, tokenizer, spec, tracker)[0] if held else None

    micro = micro_batch_size(spec, model)
    steady = spec.packing and device().type == "cuda" and supports_packing(model.config)
    collator = PackedCollator(tokenizer.pad_token_id, spec.max_length, micro * spec.max_length if steady else None)
    if spec.compile:
        compile_layers(model)
    adapter = lora_config(spec.lora) if spec.lora else None
    loop = sft_loop(
        model, sft_arguments(spec, out / "checkpoints", micro), tokenizer, collator, data, eval_data, adapter
    )

    metrics = train(loop, spec, tracker)
    if rank() == 0:
        save_model(loop.model, tokenizer, out / "model", source.digest)
    return metrics | counts | {"sequences": float(len(data))}


def _sequences(
    source: RowsInput, tokenizer: Tokenizer, spec: SftSpec, tracker: Tracker
) -> tuple[Any, dict[str, float]]:
    """Packed sequences of rendered conversations, and how many rows were cut or dropped."""
    counts: dict[str, float] = {}
    rendered = _rendered(source, tokenizer, spec, tracker)
    documents = [
        Document(row.input_ids, [t if on else IGNORED for t, on in zip(row.input_ids, row.labels_mask, strict=True)])
        for row in truncate(rendered, spec.max_length, counts)
    ]
    lost = check_budget(counts, source.rows, spec, source.name)
    return packed_dataset(documents, spec.max_length if spec.packing else None), lost


def _rendered(source: RowsInput, tokenizer: Tokenizer, spec: SftSpec, tracker: Tracker) -> Iterable[Rendered]:
    rows = read_rows(source.files, source.type)
    if source.type != "tokens":
        return render_rows(rows, tokenizer)
    rows = list(rows)
    found = token_rows.checked(rows, tokenizer, source.name, tracker.note)
    token_rows.check_answers(rows, tokenizer, source.name, spec.drop_budget)
    return found
