"""Reward models as scorers: what the policy said, written as the reward model learnt to read it, and its normalised score.

    score = gain * raw + bias, raw = the score head at the last real token

gain and bias (reward.json) make the demonstrations of SFT average 0. A reward model of the policy's own tokenizer and
template reads the very tokens that were sampled; any other gets the text, in its own template. Either way special tokens
inside an answer are taken out first, so that a policy cannot write turns of its own into what is judged.

Axes: N tokens of all sequences in one row, H hidden width, B sequences.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification

from align.artifact.inputs import ModelInput
from align.errors import DataError, ModelError
from align.models.packed import PACKED, supports_packing
from align.models.tokenizer import load_tokenizer
from align.rollout.packing import last_states, micro_batches, pack
from align.scoring.episode import Episode

_FAULTS = (OSError, ValueError, KeyError, RuntimeError)


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


def load_reward_model(source: ModelInput, dtype: torch.dtype, device: torch.device) -> RewardModel:
    """The reward model of a sealed folder, in eval mode; an adapter is merged into its base.

    Raises ModelError where the folder is no sequence classifier with one label, or pads with its stop token.
    """
    model = (_merged(source) if source.base else _plain(source)).to(device, dtype).eval()
    model.requires_grad_(False)
    model.config._name_or_path = ""
    tokenizer = load_tokenizer(source)
    if model.config.pad_token_id is None or model.config.pad_token_id == tokenizer.eos_token_id:
        raise ModelError(
            source.name, f"the reward model pads with token {model.config.pad_token_id}, its stop token being "
            f"{tokenizer.eos_token_id}", "A pad token of its own", "Train it again: its score is read before the stop token.",
        )  # fmt: skip
    head = next(m for m in (getattr(model, n, None) for n in ("score", "classifier")) if m is not None)
    if supports_packing(model.config):
        model.set_attn_implementation(PACKED)
    told = source.path / "reward.json"
    constants = json.loads(told.read_text()) if told.is_file() else {"gain": 1.0, "bias": 0.0}
    head_bias = 0.0 if head.bias is None else float(head.bias)
    return RewardModel(
        source.name, model.base_model, head.weight[0].detach().float(), head_bias,
        float(constants["gain"]), float(constants["bias"]), tokenizer, model.config,
    )  # fmt: skip


def _plain(source: ModelInput) -> Any:
    try:
        config = AutoConfig.from_pretrained(source.path, trust_remote_code=False)
        kinds = config.architectures or []
        if not any(k.endswith("ForSequenceClassification") for k in kinds) or config.num_labels != 1:
            raise ModelError(
                source.name, f"the model is a {', '.join(kinds) or 'model of unknown kind'} with {config.num_labels} labels",
                "A reward model: ...ForSequenceClassification with one label", "Name a stage of kind reward.",
            )  # fmt: skip
        model, found = AutoModelForSequenceClassification.from_pretrained(  # type: ignore[misc]
            source.path, dtype=torch.float32, attn_implementation="sdpa", trust_remote_code=False, use_safetensors=True,
            output_loading_info=True, local_files_only=True,
        )  # fmt: skip
    except _FAULTS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            source.name, f"the reward model cannot be loaded: {reason}", remedy="Train it again."
        ) from error
    if found["missing_keys"]:
        raise ModelError(
            source.name,
            f"the weights lack {sorted(found['missing_keys'])[0]}",
            "A trained score head",
            "Train it again.",
        )
    return model


def _merged(source: ModelInput) -> Any:
    """An adapter's base as a classifier (its head comes with the adapter), the adapter merged in."""
    assert source.base is not None
    try:
        base = AutoModelForSequenceClassification.from_pretrained(
            source.base.path, num_labels=1, dtype=torch.float32, attn_implementation="sdpa", trust_remote_code=False,
            use_safetensors=True, local_files_only=True,
        )  # fmt: skip
        model = PeftModel.from_pretrained(base, str(source.path)).merge_and_unload()  # type: ignore[operator]
    except _FAULTS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            source.name, f"the adapter does not fit its base: {reason}", remedy="Train it again."
        ) from error
    model.config.pad_token_id = load_tokenizer(source).pad_token_id
    return model


def speaks_as(model: RewardModel, tokenizer: Any) -> bool:
    """Whether token ids of `tokenizer` mean the same to the reward model, in the same chat template."""
    own = model.tokenizer
    return (
        own.get_vocab() == tokenizer.get_vocab()
        and own.chat_template == tokenizer.chat_template
        and own.eos_token_id == tokenizer.eos_token_id
        and own.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    )


@dataclass
class RewardScorer:
    """Scores episodes by a reward model, many at once without padding. `policy_tokenizer`: what the policy speaks."""

    model: RewardModel
    policy_tokenizer: Any
    tokens_at_once: int = 16384
    autocast: torch.dtype = torch.float32

    def __call__(self, episodes: Sequence[Episode]) -> list[float]:
        rows = written(self.model, self.policy_tokenizer, episodes)
        self._check_window(rows)
        device = self.model.head_H.device
        packing = self.model.config._attn_implementation == PACKED
        scores: list[float] = []
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, self.autocast is torch.bfloat16):
            for batch in micro_batches([len(r) for r in rows], self.tokens_at_once):
                packed = pack([rows[i] for i in batch], [1] * len(batch), device, packing)
                raw_B = (last_states(self.model.body, packed).float() * self.model.head_H).sum(
                    -1
                ) + self.model.head_bias
                scores += (self.model.gain * raw_B + self.model.bias).tolist()
        return scores

    def _check_window(self, rows: list[list[int]]) -> None:
        window = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if window and max(map(len, rows)) > window:
            raise DataError(
                f"reward {self.model.name}", f"prompt and answer need {max(map(len, rows)):,} of its tokens",
                f"The reward model reads {window:,} at most", "Lower max_new_tokens, or leave the longest prompts out.",
            )  # fmt: skip


def written(model: RewardModel, policy_tokenizer: Any, episodes: Sequence[Episode]) -> list[list[int]]:
    """Token ids of prompt and answer for the reward model; the stop token stands last exactly where the policy stopped."""
    if speaks_as(model, policy_tokenizer):
        special = set(policy_tokenizer.all_special_ids)
        return [_same_tokens(e, special, policy_tokenizer.eos_token_id) for e in episodes]
    return [_own_words(e, model.tokenizer, model.name) for e in episodes]


def _same_tokens(episode: Episode, special: set[int], stop: int) -> list[int]:
    said, stopped = episode.completion.token_ids, episode.completion.stopped
    inside = [t for t in (said[:-1] if stopped else said) if t not in special]
    return episode.prompt_ids + inside + ([stop] if stopped else [])


def _own_words(episode: Episode, tokenizer: Any, name: str) -> list[int]:
    """The conversation in the reward model's template, up to its stop token."""
    prompt, text = episode.answer.prompt, without_special(episode.answer.text, tokenizer).strip()
    lead = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": text}], tokenize=False)
    end = whole.rfind(tokenizer.eos_token)
    if not whole.startswith(lead) or end < len(lead):
        raise ModelError(
            f"reward {name}", f"its chat template does not end an answer with {tokenizer.eos_token}: {whole[-60:]!r}",
            "Prompt, generation prompt, answer, stop token", "Correct the reward model's chat template.",
        )  # fmt: skip
    pieces = tokenizer([lead, whole[len(lead) : end]], add_special_tokens=False)["input_ids"]
    return pieces[0] + pieces[1] + ([tokenizer.eos_token_id] if episode.completion.stopped else [])


def without_special(text: str, tokenizer: Any) -> str:
    """The text without anything that the tokenizer would read as a special token, however it was nested."""
    special = {str(t) for t in (*tokenizer.all_special_tokens, *tokenizer.get_added_vocab())}
    while True:
        cleaned = text
        for token in special:
            cleaned = cleaned.replace(token, "")
        if cleaned == text:
            return text
        text = cleaned
