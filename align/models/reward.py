"""Reward models: the body of a causal language model under a head that gives one number.

    score = gain * raw + bias,     raw = w . h,     h = the last hidden state at the last real token

A finished answer's last real token is its stop token, which is why padding must be another one. gain and bias lie in
reward.json beside the weights; they make demonstrations average 0. On disk a reward model is a transformers
...ForSequenceClassification with one label, or an adapter folder that holds its head too.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification

from align.artifact.digests import write_json
from align.artifact.inputs import ModelInput
from align.errors import ModelError
from align.models.embeddings import grow_embeddings
from align.models.load import FAULTS, check_folder, first_line, load_model, load_whole, tokenizer_rows
from align.models.packed import PACKED, supports_packing
from align.models.quiet import quiet
from align.models.tokenizer import shipped_tokenizer

CONSTANTS = "reward.json"
HEAD = "score"  # what decoder-only classifiers of transformers call it


class ScoreHead(torch.nn.Linear):
    """The head, in float32 also under autocast: bfloat16 would round a score of 3 to steps of 1/64, and make ties."""

    def forward(self, hidden_BTH: Tensor) -> Tensor:
        with torch.autocast(hidden_BTH.device.type, enabled=False):
            return torch.nn.functional.linear(hidden_BTH.float(), self.weight.float())


@dataclass
class RewardModel:
    """A loaded reward model. `body` gives hidden states; `head` is (H,) and `head_bias` a number, in raw scores."""

    name: str
    body: Any
    head_H: Tensor
    head_bias: float
    gain: float
    bias: float
    tokenizer: Any
    config: Any

    @property
    def packing(self) -> bool:
        """Whether sequences may lie end to end in what the body is given."""
        return getattr(self.body, "packing", self.config._attn_implementation == PACKED)


def new_reward_model(causal: Any, seed: int) -> Any:
    """A classifier with one label on the body of `causal` (used up by this), w ~ N(0, 1 / (H + 1)) drawn from `seed`.

    Raises ModelError where transformers has no such classifier for the architecture.
    """
    config, body = causal.config, causal.base_model
    config.num_labels = 1
    try:
        with torch.device("meta"):
            model = AutoModelForSequenceClassification.from_config(config)
    except (ValueError, KeyError) as error:
        raise _no_classifier(config) from error
    if model.base_model_prefix != causal.base_model_prefix or not isinstance(
        getattr(model, HEAD, None), torch.nn.Linear
    ):
        raise _no_classifier(config)
    setattr(model, model.base_model_prefix, body)
    weight = next(body.parameters())
    width = config.get_text_config().hidden_size
    head = ScoreHead(width, 1, bias=False, device=weight.device)
    drawn = torch.randn(1, width, generator=torch.Generator().manual_seed(seed)) / math.sqrt(width + 1)
    head.weight.data.copy_(drawn)
    model.score = head
    if any(p.is_meta for p in (*model.parameters(), *model.buffers())):
        raise _no_classifier(config)
    model.config = config  # the body's own: what is set on one holds for both
    return model.eval()


def _no_classifier(config: Any) -> ModelError:
    return ModelError(
        "model", f"transformers has no plain score head for {config.model_type}", "A decoder-only architecture",
        "Use another base model for the reward model; the policy may have another tokenizer.",
    )  # fmt: skip


def write_constants(folder: Path, gain: float, bias: float, **told: float) -> None:
    """`told`: what the constants were measured on."""
    write_json(folder / CONSTANTS, {"gain": gain, "bias": bias, **told})


def load_reward_model(source: ModelInput, dtype: torch.dtype, device: torch.device) -> RewardModel:
    """The reward model of a sealed folder, in eval mode; an adapter is merged into its base in float32.

    Raises ModelError where the folder is no sequence classifier with one label, or pads with its stop token.
    """
    model = load_classifier(source, device)
    tokenizer = shipped_tokenizer(source)
    if model.config.pad_token_id is None or model.config.pad_token_id == tokenizer.eos_token_id:
        raise ModelError(
            source.name, f"the reward model pads with token {model.config.pad_token_id}, its stop token being "
            f"{tokenizer.eos_token_id}", "A pad token of its own", "Train it again: its score is read before the stop token.",
        )  # fmt: skip
    head = next(m for m in (getattr(model, n, None) for n in (HEAD, "classifier")) if m is not None)
    head_H, head_bias = head.weight[0].detach().float().clone(), 0.0 if head.bias is None else float(head.bias)
    if supports_packing(model.config):
        model.set_attn_implementation(PACKED)
    gain, bias = constants_of(source)
    return RewardModel(source.name, model.base_model.to(dtype), head_H, head_bias, gain, bias, tokenizer, model.config)


def constants_of(source: ModelInput) -> tuple[float, float]:
    """(gain, bias) of a folder's reward.json; scores are used as they are where it has none."""
    told = source.path / CONSTANTS
    constants = json.loads(told.read_text()) if told.is_file() else {"gain": 1.0, "bias": 0.0}
    return float(constants["gain"]), float(constants["bias"])


@quiet()
def load_classifier(source: ModelInput, device: str | torch.device = "cpu") -> Any:
    """The transformers classifier itself, in float32 and eval mode, frozen."""
    if source.base is not None:
        model = _merged(source, device)
    else:
        check_folder(source)
        _check_kind(source)
        model = load_whole(AutoModelForSequenceClassification, source, torch.float32, device, "sdpa")
    model.config._name_or_path = ""
    return model.eval().requires_grad_(False)


def _check_kind(source: ModelInput) -> None:
    try:
        config = AutoConfig.from_pretrained(source.path, trust_remote_code=False)
    except FAULTS as error:
        raise ModelError(source.name, f"config.json cannot be used: {first_line(error)}") from error
    kinds = config.architectures or []
    if not any(kind.endswith("ForSequenceClassification") for kind in kinds):
        raise _no_reward_model(source, f"the model is a {', '.join(kinds) or 'model of unknown kind'}")
    if config.num_labels != 1:
        raise _no_reward_model(source, f"the model has {config.num_labels} labels")


def _no_reward_model(source: ModelInput, found: str) -> ModelError:
    return ModelError(
        source.name,
        found,
        "A reward model: ...ForSequenceClassification with one label",
        "Name a stage of kind reward.",
    )


def _merged(source: ModelInput, device: str | torch.device) -> Any:
    """The adapter's base as a classifier, the adapter merged in; the head comes with the adapter, or there is none."""
    assert source.base is not None
    weights = source.path / "adapter_model.safetensors"
    try:
        with safe_open(weights, "pt") as file:
            heads = [name for name in file.keys() if name.endswith(f".{HEAD}.weight")]  # noqa: SIM118
    except FAULTS as error:
        raise ModelError(
            source.name, f"the adapter cannot be read: {first_line(error)}", remedy="Copy it again."
        ) from error
    if not heads:
        raise _no_reward_model(source, "the adapter holds no score head")
    base = load_model(source.base, torch.float32, device)
    grow_embeddings(base, tokenizer_rows(source.path))
    try:
        model: Any = PeftModel.from_pretrained(new_reward_model(base, 0), str(source.path), torch_device=str(device))
        model = model.merge_and_unload()
    except FAULTS as error:
        raise ModelError(
            source.name, f"the adapter does not fit its base: {first_line(error)}", remedy="Check the base model."
        ) from error
    model.config.pad_token_id = shipped_tokenizer(source).pad_token_id
    return model
