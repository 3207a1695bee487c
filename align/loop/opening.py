"""What a training stage begins with: a model and a tokenizer that fit each other and the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from align.artifact.inputs import Inputs, ModelInput, RowsInput
from align.errors import DataError, ModelError
from align.loop.arguments import device, weights_dtype
from align.loop.train import compile_layers
from align.models.load import load_model
from align.models.packed import padding_free, supports_packing
from align.models.tokenizer import Tokenizer, fit_model, ready_tokenizer, shipped_tokenizer
from align.specs.base import CASTS
from align.specs.training import TrainingSpec


def open_model(
    source: ModelInput, spec: TrainingSpec, note: Callable[[str], None], conversations: bool = True
) -> tuple[Any, Tokenizer]:
    """A model and its tokenizer, ready to train: template, pad and stop token in place, embeddings as large as needed.

    Raises ModelError where the model cannot read rows of max_length, or where an adapter would have to learn new tokens.
    """
    tokenizer = ready_tokenizer(source, note, spec.chat_template, conversations)
    model = load_model(source, weights_dtype(spec), device())
    grown = fit_model(model, tokenizer)
    if grown:
        note(
            f"{source.name}: the embeddings grew by {grown} rows for new tokens, each starting as the mean of the others"
        )
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if longest and spec.max_length > longest:
        raise ModelError(
            source.name, f"max_length is {spec.max_length}, but the model reads {longest} tokens at most",
            remedy=f"Set max_length to {longest} or less.",
        )  # fmt: skip
    new_tokens = set(tokenizer.get_vocab()) - set(shipped_tokenizer(source).get_vocab()) - {tokenizer.pad_token}
    if spec.lora and new_tokens:
        raise ModelError(
            source.name, f"the chat template adds {', '.join(sorted(new_tokens))}, which an adapter cannot learn",
            "A chat template of tokens that the model knows",
            "Fine-tune without lora first, or name a Jinja file that uses known tokens.",
        )  # fmt: skip
    return model, tokenizer


def prepare_for_pairs(model: Any, spec: TrainingSpec) -> None:
    """No dropout, no padding, compiled where asked for."""
    for module in model.modules():
        if hasattr(module, "attention_dropout"):  # a number that TRL's disable_dropout does not reach
            module.attention_dropout = 0.0
    if supports_packing(model.config):
        padding_free(model)
    if spec.compile:
        compile_layers(model)


def rows_of(inputs: Inputs, name: str, row_type: str, tokens: bool = False) -> RowsInput:
    """The rows of an input. Raises DataError where they are neither of the type the stage is trained on nor cast to it.

    tokens: whether token ids will do as well.
    """
    rows = inputs.rows(name)
    if tokens and rows.type == "tokens":
        return rows
    if rows.type != row_type and (row_type == "prompt" or rows.type not in CASTS.get(row_type, ())):
        raise DataError(rows.name, f"{name} holds {rows.type} rows", f"{row_type} rows", "Name other data.")
    return rows
