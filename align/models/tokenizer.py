"""Tokenizers: loading, and the repairs that a stage needs, each told.

A tokenizer is fit for training when it has a chat template (where conversations are rendered), a stop token, and a pad
token that is not the stop token: a model whose pad is its stop token is never taught to stop, or is scored in the wrong place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from align.artifact.inputs import ModelInput
from align.errors import ModelError
from align.models.embeddings import grow_embeddings
from align.quickstart.template import CHAT_TEMPLATE as QUICKSTART_TEMPLATE

Note = Callable[[str], None]
Tokenizer = Any  # PreTrainedTokenizerBase, whose attributes have no usable types

IM_START, IM_END = "<|im_start|>", "<|im_end|>"
CHATML_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}
{%- else -%}
{{- message['content'] + '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}"""

# Unused special tokens that families of models ship and that serve as padding, best first.
_PAD_TOKENS = (
    "<|pad|>", "<pad>", "[PAD]", "<|padding|>", "<|endoftext|>", "<|finetune_right_pad_id|>", "<|end_of_text|>",
    "<|vision_pad|>", "<|video_pad|>", "<|reserved_special_token_0|>",
)  # fmt: skip
NEW_PAD_TOKEN = "<|pad|>"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


def load_tokenizer(source: ModelInput | Path) -> Tokenizer:
    """A tokenizer of one's own, as it lies in a model folder. Raises ModelError where the folder has none."""
    return copy.deepcopy(shipped_tokenizer(source))  # half the time of reading the files again


def shipped_tokenizer(source: ModelInput | Path) -> Tokenizer:
    """The tokenizer of a model folder as it lies there, to look at: whoever asks for the same files gets the same one.

    An adapter without one of its own takes its base's. Raises ModelError where the folder has none.
    """
    folder, name = (source, str(source)) if isinstance(source, Path) else (source.path, source.name)
    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        if isinstance(source, ModelInput) and source.base:
            return shipped_tokenizer(source.base)
        raise ModelError(
            name, f"the model folder {folder.name} has no tokenizer", f"One of {', '.join(_TOKENIZER_FILES)}",
            "Copy the tokenizer's files of the original model into the folder.",
        )  # fmt: skip
    try:
        files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.iterdir())
        return _read(folder.absolute(), tuple(files))
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(name, f"the tokenizer cannot be loaded: {error}", remedy="Copy its files again.") from error


@lru_cache(maxsize=8)
def _read(folder: Path, files: tuple[tuple[str, int, int], ...]) -> Tokenizer:
    """`files` (names, bytes, times of writing) tells whether the folder is still what was read."""
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def ready_tokenizer(
    source: ModelInput | Path, note: Note, chat_template: str | None = None, conversations: bool = True
) -> Tokenizer:
    """Load a tokenizer and repair what training needs; every repair is told through `note`.

    `chat_template`: `chatml`, `quickstart`, or a Jinja file. Raises ModelError where conversations are to be rendered and
    there is no template.
    """
    tokenizer = load_tokenizer(source)
    name = str(source) if isinstance(source, Path) else source.name
    if chat_template:
        set_chat_template(tokenizer, chat_template, note)
    if conversations and not tokenizer.chat_template:
        raise ModelError(
            name, "the tokenizer has no chat template", "Conversations need one",
            "Set chat_template: chatml, or name a Jinja file, or use the instruct model's folder.",
        )  # fmt: skip
    if tokenizer.eos_token_id is None:
        raise ModelError(
            name, "the tokenizer has no stop token", "Texts and answers have to end with one",
            "Set eos_token in tokenizer_config.json to the token that ends a turn, or set chat_template: chatml.",
        )  # fmt: skip
    separate_pad_token(tokenizer, note)
    tokenizer.padding_side = "right"
    return tokenizer


def set_chat_template(tokenizer: Tokenizer, option: str, note: Note) -> None:
    """Give the tokenizer a template: `chatml` adds its two tokens and makes <|im_end|> the stop token."""
    replaced = " in place of the model's own" if tokenizer.chat_template else ""
    if option == "chatml":
        added = tokenizer.add_special_tokens(
            {"additional_special_tokens": [t for t in (IM_START, IM_END) if t not in tokenizer.get_vocab()]}
        )
        tokenizer.eos_token = IM_END
        tokenizer.chat_template = CHATML_TEMPLATE
        note(f"chat template chatml{replaced}: {added} tokens added, the stop token is {IM_END}")
    elif option == "quickstart":
        tokenizer.chat_template = QUICKSTART_TEMPLATE
        note(f"chat template of the bundled world{replaced}")
    else:
        if not Path(option).is_file():
            raise ModelError(
                "chat_template", f"there is no file {option}", "`chatml`, or a Jinja file", "Correct the path."
            )
        tokenizer.chat_template = Path(option).read_text(encoding="utf-8")
        note(f"chat template from {Path(option).name}{replaced}")


def separate_pad_token(tokenizer: Tokenizer, note: Note) -> None:
    """Make the pad token one that is not the stop token: an unused special token, else a new <|pad|>."""
    before = tokenizer.pad_token
    if before is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return
    used = {tokenizer.eos_token, tokenizer.bos_token}
    special = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
    template = str(tokenizer.chat_template or "")
    free = [t for t in _PAD_TOKENS if t in special and t not in used and t not in template]
    tokenizer.add_special_tokens({"pad_token": free[0] if free else NEW_PAD_TOKEN})
    why = "there was no pad token" if before is None else f"the pad token was the stop token {before}"
    how = "an unused token of the model" if free else "a new token"
    note(f"{why}; padding is now {tokenizer.pad_token}, {how}")


def fit_model(model: Any, tokenizer: Tokenizer) -> int:
    """Make a model agree with its tokenizer; returns how many rows its embeddings grew by.

    Pad, stop and start tokens go into both configurations; what stopped generation before still does.
    """
    grown = grow_embeddings(model, len(tokenizer))
    config, generation = model.config, model.generation_config
    stops = generation.eos_token_id
    others = {stops} if isinstance(stops, int) else set(stops or ())
    config.pad_token_id = generation.pad_token_id = tokenizer.pad_token_id
    config.bos_token_id = generation.bos_token_id = tokenizer.bos_token_id
    config.eos_token_id = tokenizer.eos_token_id
    generation.eos_token_id = [tokenizer.eos_token_id, *sorted(others - {tokenizer.eos_token_id})]
    return grown
