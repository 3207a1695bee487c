"""Models from scratch: a byte-level BPE tokenizer trained on the recipe's texts, and a Llama with random weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from align.errors import ModelError
from align.models.tokenizer import CHATML_TEMPLATE, IM_END, IM_START, Tokenizer
from align.quickstart.template import CHAT_TEMPLATE as QUICKSTART_TEMPLATE
from align.quickstart.template import PAD, SPECIAL_TOKENS, STOP
from align.specs.pretrain import Architecture

# option -> (template, special tokens, stop token, pad token)
_TEMPLATES = {
    "quickstart": (QUICKSTART_TEMPLATE, SPECIAL_TOKENS, STOP, PAD),
    "chatml": (CHATML_TEMPLATE, ("<|pad|>", IM_START, IM_END), IM_END, "<|pad|>"),
}


def train_tokenizer(texts: Iterable[str], architecture: Architecture) -> Tokenizer:
    """A tokenizer of at most `vocab_size` tokens, the special ones first; the same texts give the same tokenizer.

    A Jinja file as chat template writes its turns with ChatML's tokens.
    """
    option = architecture.chat_template
    template, special_tokens, stop, pad = _TEMPLATES.get(option) or (_read(option), *_TEMPLATES["chatml"][1:])
    fast = FastTokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    fast.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=architecture.vocab_size,
        special_tokens=list(special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    fast.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, eos_token=stop, pad_token=pad, padding_side="right",
        model_max_length=architecture.context, clean_up_tokenization_spaces=False,
        additional_special_tokens=[t for t in special_tokens if t not in (stop, pad)],
    )  # fmt: skip
    tokenizer.chat_template = template
    return tokenizer


def _read(option: str) -> str:
    if not Path(option).is_file():
        raise ModelError(
            "architecture.chat_template", f"there is no file {option}", "`chatml`, `quickstart`, or a Jinja file"
        )
    return Path(option).read_text(encoding="utf-8")


def new_model(architecture: Architecture, tokenizer: Tokenizer, seed: int) -> Any:
    """A Llama-style decoder with random weights drawn from `seed`; input and output embeddings are one matrix."""
    mlp_width = architecture.mlp_width or -(-architecture.width * 8 // 3 // 8) * 8
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=architecture.width,
        intermediate_size=mlp_width,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.kv_heads or architecture.heads,
        max_position_embeddings=architecture.context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        attn_implementation="sdpa",  # type: ignore[call-arg]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)
