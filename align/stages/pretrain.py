"""pretrain: next-token prediction on raw text, from random weights or going on from a model.

Objective (Bengio et al. 2003; Radford et al. 2018), the mean over all tokens of a batch:

    L = - mean_t log p(x_t | x_<t)      within each document; its first token is given, not predicted

Reads     `data` (text rows; token ids made elsewhere, tokens rows, are taken as they are); `model` to go on from, or
          `architecture` to start from random weights, in which case a tokenizer is trained on `data` and `tokenizer_data`
          first; `eval_data` (text or tokens rows).
Writes    model/ (weights, tokenizer, chat template).
Packing   each text ends with the stop token; one longer than max_length is cut into chunks, so that none of it is
          lost; chunks are packed into sequences of max_length and cannot see one another.
Memory    16 bytes a parameter (weights, gradient, Adam's two moments) and the activations of one micro batch.
Metrics   loss, eval_loss (nats per token), grad_norm, mean_token_accuracy, entropy, tokens, tokens_per_second.
Prefer    sft for conversations: here no turn is anybody's, and the loss is on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from align.artifact.inputs import Inputs, RowsInput
from align.data import token_rows
from align.data.render import Rendered
from align.data.store_rows import read_rows
from align.errors import DataError, ModelError
from align.loop.arguments import device, micro_batch_size, rank, sft_arguments
from align.loop.batches import IGNORED, Document, PackedCollator, packed_dataset
from align.loop.opening import open_model, rows_of
from align.loop.train import compile_layers, sft_loop, train
from align.models.load import save_model
from align.models.lora import lora_config
from align.models.new import new_model, train_tokenizer
from align.models.packed import supports_packing
from align.models.tokenizer import Tokenizer
from align.specs.pretrain import PretrainSpec
from align.tracking import Tracker

TEXTS_AT_ONCE = 512


def run(spec: PretrainSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Trains and writes a language model; see the top of this file."""
    model, tokenizer = _start(spec, inputs, tracker)
    data, documents = _packed(rows_of(inputs, "data", "text", tokens=True), tokenizer, spec.max_length, tracker)
    held = rows_of(inputs, "eval_data", "text", tokens=True) if spec.eval_data else None
    eval_data = _packed(held, tokenizer, spec.max_length, tracker)[0] if held else None

    micro = micro_batch_size(spec, model)
    fixed = micro * spec.max_length if device().type == "cuda" and supports_packing(model.config) else None
    collator = PackedCollator(tokenizer.pad_token_id, spec.max_length, fixed)
    if spec.compile:
        compile_layers(model)
    adapter = lora_config(spec.lora) if spec.lora else None
    loop = sft_loop(
        model, sft_arguments(spec, out / "checkpoints", micro), tokenizer, collator, data, eval_data, adapter
    )

    metrics = train(loop, spec, tracker)
    if rank() == 0:
        base = inputs.model("model").digest if spec.model else ""
        save_model(loop.model, tokenizer, out / "model", base)
    return metrics | {"documents": float(documents), "sequences": float(len(data))}


def _start(spec: PretrainSpec, inputs: Inputs, tracker: Tracker) -> tuple[Any, Tokenizer]:
    if spec.architecture is None:
        return open_model(inputs.model("model"), spec, tracker.note, conversations=False)
    if spec.lora:
        raise ModelError("lora", "an adapter on random weights learns nothing", remedy="Leave lora out.")
    if spec.max_length > spec.architecture.context:
        raise ModelError("max_length", f"{spec.max_length} is more than the context", f"{spec.architecture.context}")
    if inputs.rows("data").type == "tokens":
        raise DataError(
            inputs.rows("data").name, "it holds token ids, and a new tokenizer would give its words other ones", "Text rows",
            "Go on from the model whose tokenizer made them (model:, without architecture), or give the text.",
        )  # fmt: skip
    sources = [inputs.rows("data"), *(inputs.rows(f"tokenizer_data.{i}") for i in range(len(spec.tokenizer_data)))]
    texts = (text for source in sources for text in _texts_of(source))
    tokenizer = train_tokenizer(texts, spec.architecture)
    model = new_model(spec.architecture, tokenizer, spec.seed or 0).to(device())
    count = sum(p.numel() for p in model.parameters())
    tracker.note(f"a new model of {count:,} parameters, and a tokenizer of {len(tokenizer):,} tokens")
    return model, tokenizer


def _texts_of(source: RowsInput) -> Iterator[str]:
    """Every text in rows of any type."""
    for row in read_rows(source.files, source.type):
        if "text" in row:
            yield row["text"]
        for field in ("messages", "prompt", "chosen", "rejected"):
            yield from (message["content"] for message in row.get(field, ()))


def _packed(source: RowsInput, tokenizer: Tokenizer, max_length: int, tracker: Tracker) -> tuple[Any, int]:
    """(packed sequences, how many documents they hold)."""
    rows = read_rows(source.files, source.type)
    if source.type == "tokens":
        documents = [_document(row) for row in token_rows.checked(rows, tokenizer, source.name, tracker.note)]
    else:
        documents = [Document(ids, ids) for ids in _tokenized((row["text"] for row in rows), tokenizer)]
    if not documents:
        raise DataError(source.name, "there are no rows")
    chunks = (chunk for document in documents for chunk in _chunks(document, max_length))
    return packed_dataset((chunk for chunk in chunks if len(chunk.input_ids) > 1), max_length), len(documents)


def _document(row: Rendered) -> Document:
    """Token ids as they came: a block of a longer document is not to end with a stop token."""
    labels = [token if on else IGNORED for token, on in zip(row.input_ids, row.labels_mask, strict=True)]
    return Document(row.input_ids, labels)


def _chunks(document: Document, max_length: int) -> Iterator[Document]:
    for start in range(0, len(document.input_ids), max_length):
        part = slice(start, start + max_length)
        yield Document(document.input_ids[part], document.labels[part])


def _tokenized(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """Token ids of each text, with what the tokenizer puts before a text and the stop token behind it."""
    texts = iter(texts)
    while batch := list(islice(texts, TEXTS_AT_ONCE)):
        for ids in tokenizer(batch, return_attention_mask=False)["input_ids"]:
            yield ids if ids and ids[-1] == tokenizer.eos_token_id else [*ids, tokenizer.eos_token_id]
