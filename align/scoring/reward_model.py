"""Reward models as scorers: what the policy said, written as the reward model learnt to read it, and its normalised score.

    score = gain * raw + bias, raw = the score head at the last real token

gain and bias (reward.json) make the demonstrations of SFT average 0. A reward model of the policy's own tokenizer and
template reads the very tokens that were sampled; any other gets the text, in its own template. Either way special tokens
inside an answer are taken out first, so that a policy cannot write turns of its own into what is judged.

Axes: N tokens of all sequences in one row, H hidden width, B sequences.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from align.errors import DataError, ModelError
from align.models.reward import RewardModel
from align.rollout.packing import last_states, micro_batches, pack
from align.scoring.episode import Episode


def speaks_as(model: RewardModel, tokenizer: Any) -> bool:
    """Whether token ids of `tokenizer` mean the same to the reward model, in the same chat template."""
    own = model.tokenizer
    return (
        own.chat_template == tokenizer.chat_template
        and own.eos_token_id == tokenizer.eos_token_id
        and _same_rules(own.backend_tokenizer.to_str(), tokenizer.backend_tokenizer.to_str())
    )


def _same_rules(one: str, other: str) -> bool:
    """Whether all that decides how text becomes tokens is the same, the vocabulary with it, in two tokenizers' JSON.

    How batches were last padded or cut does not decide it.
    """
    if one == other:  # usually, and read in a tenth of the time
        return True
    rules = [json.loads(written) for written in (one, other)]
    return all(
        rules[0].get(k) == rules[1].get(k) for k in {**rules[0], **rules[1]} if k not in ("padding", "truncation")
    )


@dataclass
class RewardScorer:
    """Scores episodes by a reward model, many at once without padding. `policy_tokenizer`: what the policy speaks."""

    model: RewardModel
    policy_tokenizer: Any
    tokens_at_once: int = 16384
    autocast: torch.dtype = torch.float32
    progress: Callable[[int, int], None] = lambda done, total: None

    def __post_init__(self) -> None:
        self._alike = speaks_as(self.model, self.policy_tokenizer)  # large vocabularies take a while to compare

    def __call__(self, episodes: Sequence[Episode]) -> list[float]:
        rows = written(self.model, self.policy_tokenizer, episodes, self._alike)
        self._check_window(rows)
        return score_ids(self.model, rows, self.tokens_at_once, self.autocast, self.progress)

    def _check_window(self, rows: list[list[int]]) -> None:
        window = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if window and max(map(len, rows)) > window:
            raise DataError(
                f"reward {self.model.name}", f"prompt and answer need {max(map(len, rows)):,} of its tokens",
                f"The reward model reads {window:,} at most", "Lower max_new_tokens, or leave the longest prompts out.",
            )  # fmt: skip


def score_ids(
    model: RewardModel,
    rows: Sequence[list[int]],
    tokens_at_once: int,
    autocast: torch.dtype,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Normalised scores of token ids, each read at a row's last token."""
    device = model.head_H.device
    scores: list[float] = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, autocast is torch.bfloat16):
        for batch in micro_batches([len(r) for r in rows], tokens_at_once):
            packed = pack([rows[i] for i in batch], [1] * len(batch), device, model.packing)
            raw_B = (last_states(model.body, packed).float() * model.head_H).sum(-1) + model.head_bias
            scores += (model.gain * raw_B + model.bias).tolist()
            progress(len(scores), len(rows))
    return scores


def written(model: RewardModel, policy_tokenizer: Any, episodes: Sequence[Episode], alike: bool) -> list[list[int]]:
    """Token ids of prompt and answer for the reward model; the stop token stands last exactly where the policy stopped.

    `alike`: whether it speaks_as the policy.
    """
    if not alike:
        return [_own_words(e, model.tokenizer, model.name) for e in episodes]
    special = {i for i, token in policy_tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(policy_tokenizer.all_special_ids)
    return [_same_tokens(e, special, policy_tokenizer.eos_token_id) for e in episodes]


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
