"""Every format that is known, by the row type it gives; the first that fits is taken.

A row that is a conversation somebody judged (kto_tag, label) is no `messages` row: rejected answers would be imitated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from align.data import chats, comparisons, token_rows, trees
from align.data.forms import Form, Raw, list_in, single_keys_in, text_in, transcript_in, turns_with

_SYSTEM = ("system",)
_TOKENS = ("labels", "attention_mask", *token_rows.MASKS)
_ALPACA_EXTRAS = ("input", "system", "history")
_PAIR = ("prompt", "chosen", "rejected")
_SIDES = ("chosen", "rejected")
_TREE = ("prompt", "message_tree_id", "tree_state")
_FLAT_TREE = ("message_id", "message_tree_id", "text", "role")
_FLAT_TREE_USES = ("parent_id", "rank", "deleted", "messages_of_tree")
_JUDGEMENTS = ("label", "kto_tag")


def _whole_conversations(raw: Raw) -> bool:
    return all(isinstance(raw[name], list) and len(raw[name]) > 1 for name in _SIDES)


def _not_judged(fits: Callable[[Raw], bool]) -> Callable[[Raw], bool]:
    return lambda raw: fits(raw) and not any(isinstance(raw.get(name), bool) for name in _JUDGEMENTS)


def _any(raw: Raw) -> bool:
    return True


def _chat_forms() -> tuple[Form, ...]:
    single = "single-key turns: System after User is the assistant"
    return (
        Form("single_key", single, ("messages",), chats.single_key_row("messages"), single_keys_in("messages"), _SYSTEM),
        Form("chat", "chat messages", ("messages",), chats.chat_row, list_in("messages"), _SYSTEM),
        Form("single_key", single, ("conversations",), chats.single_key_row("conversations"),
             single_keys_in("conversations"), _SYSTEM),
        Form("sharegpt", "ShareGPT conversations", ("conversations",), chats.sharegpt_row,
             turns_with("conversations", "from"), _SYSTEM),
        Form("chat", "chat messages in the column conversations", ("conversations",), chats.sharegpt_row,
             list_in("conversations"), _SYSTEM),
    )  # fmt: skip


def _tree_forms(convert: Callable[[trees.Tree], Callable[[Raw], Any]]) -> tuple[Form, ...]:
    return (
        Form("openassistant", "OpenAssistant trees", ("prompt",), convert(trees.whole), trees.is_tree, _TREE),
        Form("openassistant", "OpenAssistant trees, one message a row", _FLAT_TREE, convert(trees.joined),
             uses=_FLAT_TREE_USES, gather=trees.gather),
    )  # fmt: skip


def _list_forms(convert: Callable[..., Callable[[Raw], Any]], suffix: str = "") -> tuple[Form, ...]:
    """Lists of judged answers; `convert` is given a converter to answers with scores, and the format's name."""
    rated, both, ratings = "completions with ratings (UltraFeedback)", list_in("completions"), comparisons.has_ratings
    lists = (
        ("ranking", "answers with ranks", ("prompt", "completions", "ranks"), comparisons.ranked_list, both),
        ("scored", "answers with scores", ("prompt", "completions", "scores"), comparisons.scored_list, both),
        ("ultrafeedback", rated, ("instruction", "completions"), comparisons.rated_list("instruction"), ratings),
        ("ultrafeedback", rated, ("prompt", "completions"), comparisons.rated_list("prompt"), ratings),
    )
    return tuple(
        Form(name, told + suffix, needs, convert(judged, name), fits, _SYSTEM)
        for name, told, needs, judged, fits in lists
    )


_CHATS = _chat_forms()
_PAIRS: tuple[Form, ...] = (
    Form("pairs", "preference pairs: conversations with the prompt inside", _PAIR, comparisons.preference_row,
         _whole_conversations, _SYSTEM),
    Form("hh", "Anthropic HH, prompt in a column of its own", _PAIR, comparisons.hh_prompt_row, transcript_in("prompt"), _SYSTEM),
    Form("pairs", "preference pairs: prompt, chosen and rejected as text", _PAIR, comparisons.preference_row, text_in(*_PAIR),
         _SYSTEM),
    Form("pairs", "preference pairs: prompt, chosen and rejected as turns", _PAIR, comparisons.preference_row, uses=_SYSTEM),
    Form("llamafactory", "LLaMA-Factory ranking: conversations, chosen and rejected", ("conversations", *_SIDES),
         comparisons.ranking_pair_row, list_in("conversations"), _SYSTEM),
    Form("swift", "ms-swift: messages and rejected_response", ("messages", "rejected_response"), comparisons.swift_row,
         list_in("messages"), _SYSTEM),
    Form("pairs", "preference pairs: conversations, the prompt is what both begin with", _SIDES,
         comparisons.implicit_prompt_row, _whole_conversations, _SYSTEM),
    Form("hh", "Anthropic HH, implicit prompt", _SIDES, comparisons.hh_row, transcript_in(*_SIDES), _SYSTEM),
)  # fmt: skip

FORMS: Mapping[str, tuple[Form, ...]] = {
    "tokens": (Form("token_ids", "token ids", ("input_ids",), token_rows.token_row, list_in("input_ids"), _TOKENS),),
    "text": (Form("text", "plain text", ("text",), chats.text_row, text_in("text")),),
    "messages": (
        *(Form(f.name, f.told, f.needs, f.convert, _not_judged(f.fits), f.uses) for f in _CHATS),
        Form("prompt_completion", "prompt and completion", ("prompt", "completion"), chats.completion_row,
             _not_judged(_any), _SYSTEM),
        Form("alpaca", "Alpaca instructions", ("instruction", "output"), chats.alpaca_row, _not_judged(text_in("instruction")),
             _ALPACA_EXTRAS),
        Form("self_instruct", "Self-Instruct tasks, each with its instances", ("instruction", "instances"),
             chats.self_instruct_rows, list_in("instances"), _SYSTEM),
        *_tree_forms(trees.threads),
        Form("transcript", "transcripts of Human: and Assistant:", ("text",), chats.transcript_row, transcript_in("text"),
             _SYSTEM),
    ),
    "prompt": (
        Form("conflicts", "facts with an old and a new answer", ("prompt", "old", "new"), chats.conflict_row,
             text_in("prompt"), _SYSTEM),
        Form("conflicts", "facts with an old and a new answer", ("fact", "old", "new"), chats.conflict_row,
             text_in("fact"), _SYSTEM),
        Form("transcript", "prompts as transcripts of Human: and Assistant:", ("prompt",), chats.transcript_prompt_row,
             transcript_in("prompt"), _SYSTEM),
        Form("prompt", "prompts as text", ("prompt",), chats.prompt_row, text_in("prompt"), _SYSTEM),
        Form("prompt", "prompts as turns", ("prompt",), chats.prompt_row, list_in("prompt"), _SYSTEM),
        *(Form(f.name, f"{f.told}, the last answer as reference", f.needs, chats.asked(f.convert), f.fits, f.uses)
          for f in _CHATS),
        Form("self_instruct", "Self-Instruct tasks, each instance's output as reference", ("instruction", "instances"),
             chats.self_instruct_prompt_rows, list_in("instances"), _SYSTEM),
        *_tree_forms(trees.prompts),
        Form("alpaca", "Alpaca instructions, the output as reference", ("instruction",), chats.alpaca_prompt_row,
             text_in("instruction"), (*_ALPACA_EXTRAS, "output")),
        Form("pairs", "preference pairs, without the answers", _SIDES, comparisons.pair_prompt(comparisons.implicit_prompt_row),
             _whole_conversations, _SYSTEM),
        Form("hh", "Anthropic HH, without the answers", _SIDES, comparisons.pair_prompt(comparisons.hh_row),
             transcript_in(*_SIDES), _SYSTEM),
    ),
    "preference": (
        *_PAIRS,
        *_list_forms(lambda judged, name: comparisons.pairs(judged), " -> pairs"),
        *_tree_forms(trees.pairs),
    ),
    "unpaired_preference": (
        Form("kto", "answers judged alone (KTO)", ("prompt", "completion", "label"), comparisons.judged_row, uses=_SYSTEM),
        *(Form("kto", f"{f.told}, the last answer judged by {label} (KTO)", (*f.needs, label),
               comparisons.judged_chat(f.convert, label), f.fits, f.uses) for f in _CHATS for label in _JUDGEMENTS),
        *(Form("kto", f"Alpaca instructions, the output judged by {label} (KTO)", ("instruction", "output", label),
               comparisons.judged_chat(chats.alpaca_row, label), text_in("instruction"), _ALPACA_EXTRAS)
          for label in _JUDGEMENTS),
        *(Form(f.name, f"{f.told} -> each side alone", f.needs, comparisons.unpaired(f.convert), f.fits, f.uses)  # type: ignore[arg-type]
          for f in _PAIRS),
    ),
    "ranking": (
        *_list_forms(lambda judged, name: comparisons.ranking(judged)),
        *_tree_forms(trees.rankings),
    ),
    "scored_generation": (
        Form("scored", "answers with a score", ("prompt", "completion", "score"), comparisons.generation_row,
             uses=("system", "source")),
        *(form for form in _list_forms(comparisons.generations, " -> each alone") if form.name != "ranking"),
    ),
}  # fmt: skip
