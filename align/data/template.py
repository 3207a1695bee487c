"""What a tokenizer and its chat template do to conversations, looked at before any row is rendered.

    examine(tokenizer, generation_stops) -> findings: stop token, pad token, borders, generation prompt, own system prompt

A probe conversation with words that no template holds is rendered; nothing here depends on data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from align.data.render import render_messages
from align.errors import UserError
from align.findings import Finding
from align.models.tokenizer import Tokenizer

ASKED, SAID, AGAIN = "qwabble zint", "vorpal slithe", "mimsy toves"
PROBE = [
    {"role": "user", "content": ASKED},
    {"role": "assistant", "content": SAID},
    {"role": "user", "content": AGAIN},
    {"role": "assistant", "content": SAID},
]
OWN_WORDS = (
    3  # words that a template writes before the first turn, beside names of roles, that make a prompt of its own
)
_ROLE_NAMES = {"system", "user", "assistant", "human", "model", "inst", "start_header_id", "end_header_id", "sys"}


def examine(tokenizer: Tokenizer, subject: str, generation_stops: Collection[int] = ()) -> list[Finding]:
    """Findings about a tokenizer with a template; `generation_stops`: token ids that the model's own settings stop on."""
    if not tokenizer.chat_template:
        return [
            Finding(
                "warning", subject, "the tokenizer has no chat template: it is a base model's",
                "Set chat_template: chatml on stages that read conversations, or start from the instruct model.",
            )
        ]  # fmt: skip
    if tokenizer.eos_token_id is None:
        return [
            Finding("problem", subject, "the tokenizer has no stop token", "Set eos_token, or chat_template: chatml.")
        ]
    findings = [_borders(tokenizer, subject), _stops(tokenizer, subject, generation_stops)]
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        findings.append(pad_finding(tokenizer, subject))
    if findings[0].state == "problem":
        return findings
    if system := own_system_prompt(tokenizer):
        findings.append(
            Finding(
                "warning", subject, f"the chat template writes a system prompt of its own where a row has none: {system!r}",
                "It is trained and must be there when the model is asked. Give rows a system turn, or another chat_template.",
            )
        )  # fmt: skip
    if doubled := double_start(tokenizer, tokenizer.apply_chat_template(PROBE[:1], tokenize=False)):
        findings.append(doubled_finding(subject, doubled))
    return findings


def _borders(tokenizer: Tokenizer, subject: str) -> Finding:
    """Whether prompt and answer can be told apart: by the very function that training rows go through."""
    try:
        rendered = render_messages(PROBE, tokenizer)
    except UserError as error:
        first = [turn if i != 1 else {**turn, "train": False} for i, turn in enumerate(PROBE)]
        try:
            render_messages(first, tokenizer)
        except UserError:
            return Finding("problem", subject, str(error))
        return Finding(
            "warning", subject, str(error), "Conversations whose last answer alone is trained can be rendered."
        )
    trained = sum(rendered.labels_mask)
    return Finding(
        "ok", subject,
        f"the prompt is a prefix of prompt and answer; of {len(rendered.labels_mask)} tokens of a probe {trained} are trained",
    )  # fmt: skip


def _stops(tokenizer: Tokenizer, subject: str, generation_stops: Collection[int]) -> Finding:
    stop, number = tokenizer.eos_token, tokenizer.eos_token_id
    if generation_stops and number not in generation_stops:
        names = ", ".join(str(tokenizer.convert_ids_to_tokens(int(i))) for i in generation_stops)
        return Finding(
            "note", subject, f"the model's generation settings stop on {names}; {stop} ({number}) is added to them",
            "A tool that reads an older generation_config.json would not stop: hand on the model that a stage writes.",
        )  # fmt: skip
    return Finding("ok", subject, f"answers end with {stop} ({number}), which generation stops on")


def pad_finding(tokenizer: Tokenizer, subject: str) -> Finding:
    """A pad token that is missing or the stop token, which a stage replaces by itself."""
    if tokenizer.pad_token_id is None:
        found = "as shipped the tokenizer has no pad token"
    else:
        found = (
            f"as shipped the pad token is the stop token {tokenizer.eos_token} ({tokenizer.eos_token_id}): pad == eos"
        )
    return Finding(
        "warning", subject, found,
        "Stages pad with another token, and tell it; elsewhere a mask on padding would hide the stop token from the loss.",
    )  # fmt: skip


def own_system_prompt(tokenizer: Tokenizer) -> str:
    """The words that a template puts before a conversation that has no system turn; empty where it puts none."""
    text = str(tokenizer.apply_chat_template(PROBE[:1], tokenize=False))  # type: ignore[arg-type]
    before = text[: text.find(ASKED)]
    for token in sorted(_specials(tokenizer), key=len, reverse=True):
        before = before.replace(token, "\n")
    lines = [line.strip() for line in before.splitlines()]
    kept = [line for line in lines if line and line.strip("[]<>/:# ").casefold() not in _ROLE_NAMES]
    own = " ".join(kept)
    return own if len(re.findall(r"[^\W\d_]+", own)) >= OWN_WORDS else ""


def double_start(tokenizer: Tokenizer, text: Any) -> str:
    """The start token where a rendered text begins with it twice, as it does when a template and a tokenizer both write one."""
    start = tokenizer.bos_token
    return start if start and str(text).startswith(start * 2) else ""


def doubled_finding(subject: str, start: str) -> Finding:
    return Finding(
        "problem", subject, f"the rendered text begins with the start token twice ({start}{start})",
        "Take it out of the chat template, or out of the rows.",
    )  # fmt: skip


def special_texts(rows: Iterable[tuple[int, Mapping[str, Any]]], tokenizer: Tokenizer) -> dict[str, list[int]]:
    """Special token -> numbers of the rows that have it in their text: rows that were rendered once already, mostly."""
    found: dict[str, list[int]] = {}
    pattern = re.compile("|".join(re.escape(t) for t in sorted(_specials(tokenizer), key=len, reverse=True)) or r"(?!)")
    for number, row in rows:
        for token in {hit for text in contents(row) for hit in pattern.findall(text)}:
            found.setdefault(token, []).append(number)
    return found


def contents(row: Mapping[str, Any]) -> list[str]:
    """Every text of a standard row."""
    found = [row["text"]] if "text" in row else []
    for name in ("messages", "prompt", "chosen", "rejected", "completion"):
        found += [str(turn["content"]) for turn in row.get(name, ())]
    return found + [str(turn["content"]) for turns in row.get("completions", ()) for turn in turns]


def _specials(tokenizer: Tokenizer) -> Sequence[str]:
    """Special tokens as they are written: short ones that ordinary text may hold (<s>) too."""
    return [t for t in {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()} if t.strip()]
