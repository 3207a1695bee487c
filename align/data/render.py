"""Conversations as a model sees them: token ids, and which of them the loss is on.

The chat template alone decides the text. A turn is trained from the end of its generation prompt (what stands before the
model when it is asked to answer) to its stop token, that one included and nothing after it. Both borders are found by
rendering the conversation up to the turn and through the turn; each must be a prefix of the whole, or there is no border.
The pieces between borders are tokenized apart, as at inference, where the prompt is tokenized without the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from align.errors import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

Messages = Sequence[Mapping[str, Any]]

ROWS_AT_ONCE = 512
_TEMPLATE_ERRORS = (
    TemplateError,
    TypeError,
    KeyError,
    IndexError,
    ValueError,
)  # what templates raise on turns they refuse
_PROBED_ROWS = 4  # the first rows of a stream, on which template and tokenizer are looked at more closely


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation up to its last trained token. labels_mask is as long as input_ids, 1 = the loss is on this token."""

    input_ids: list[int]
    labels_mask: list[int]
    text: str


@dataclass(frozen=True, slots=True)
class RenderedPair:
    """A preference row; prompt_ids end with the generation prompt, both answers with the stop token."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    ranking: str | None = None


@dataclass(frozen=True, slots=True)
class _Borders:
    """Text of a conversation and the spans of it that are trained."""

    text: str
    spans: list[tuple[int, int]]


def render_messages(messages: Messages, tokenizer: Tokenizer) -> Rendered:
    """Render one conversation with the loss on its assistant turns (not on those with train: false).

    Raises ModelError where the template has no border between prompt and answer, or where the stop token
    (tokenizer.eos_token) would not be trained; DataError where no turn is trained.
    """
    return next(render_rows([{"messages": messages}], tokenizer))


def render_rows(rows: Iterable[Mapping[str, Any]], tokenizer: Tokenizer) -> Iterator[Rendered]:
    """Render `messages` rows in order, many at once; see render_messages."""
    _need_template(tokenizer)
    first = 1
    for batch in _batches(rows):
        borders = _borders([row["messages"] for row in batch], tokenizer, first, "messages")
        yield from _tokenized(borders, tokenizer, first)
        first += len(batch)


def render_preference(rows: Iterable[Mapping[str, Any]], tokenizer: Tokenizer) -> Iterator[RenderedPair]:
    """Render `preference` rows in order; each answer ends with its stop token, and nothing after it."""
    _need_template(tokenizer)
    first = 1
    for batch in _batches(rows):
        chosen, rejected = (
            _borders([_answered(row, side) for row in batch], tokenizer, first, side) for side in ("chosen", "rejected")
        )
        answers = [row.text[row.spans[0][0] :] for row in (*chosen, *rejected)]
        ids = _encode([row.text[: row.spans[0][0]] for row in chosen] + answers, tokenizer)
        prompts, answers = ids[: len(batch)], ids[len(batch) :]
        for number, answer in enumerate(answers):
            _check_stop(answer, tokenizer, f"row {first + number % len(batch):,}")
        rankings = [row.get("ranking") for row in batch]
        yield from map(RenderedPair, prompts, answers[: len(batch)], answers[len(batch) :], rankings)
        first += len(batch)


def render_prompt(messages: Messages, tokenizer: Tokenizer) -> list[int]:
    """Token ids of a prompt, generation prompt included: what the model answers to."""
    return next(render_prompts([{"prompt": messages}], tokenizer))


def render_prompts(rows: Iterable[Mapping[str, Any]], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """Render `prompt` rows in order; see render_prompt."""
    _need_template(tokenizer)
    first = 1
    for batch in _batches(rows):
        yield from _encode(_texts([row["prompt"] for row in batch], tokenizer, True, count(first)), tokenizer)
        first += len(batch)


def truncate(rows: Iterable[Rendered], max_length: int | None, counts: dict[str, float]) -> Iterator[Rendered]:
    """Cut rows to their first max_length tokens; a row that keeps no trained token is dropped.

    Adds to `counts` as it goes: truncated_rows, dropped_rows, truncated_tokens (of kept rows) and truncated_stops
    (kept rows whose last stop token fell away).
    """
    for name in ("truncated_rows", "dropped_rows", "truncated_tokens", "truncated_stops"):
        counts.setdefault(name, 0)
    for row in rows:
        length = len(row.input_ids)
        if max_length is None or length <= max_length:
            yield row
        elif any(row.labels_mask[:max_length]):
            counts["truncated_rows"] += 1
            counts["truncated_tokens"] += length - max_length
            counts["truncated_stops"] += 1  # a row ends with a stop token, so that any cut loses it
            yield Rendered(row.input_ids[:max_length], row.labels_mask[:max_length], row.text)
        else:
            counts["dropped_rows"] += 1


def truncate_pairs(
    pairs: Iterable[RenderedPair], max_length: int | None, counts: dict[str, float]
) -> Iterator[RenderedPair]:
    """Cut answers so that prompt and answer fit max_length; a pair whose prompt leaves no room is dropped.

    A pair that differs only beyond the cut is dropped too: it would teach nothing. `counts` as in truncate.
    """
    for name in ("truncated_rows", "dropped_rows", "truncated_tokens", "truncated_stops"):
        counts.setdefault(name, 0)
    for pair in pairs:
        room = None if max_length is None else max_length - len(pair.prompt_ids)
        longest = max(len(pair.chosen_ids), len(pair.rejected_ids))
        if room is None or longest <= room:
            yield pair
        elif room <= 0 or pair.chosen_ids[:room] == pair.rejected_ids[:room]:
            counts["dropped_rows"] += 1
        else:
            cut = [max(0, len(ids) - room) for ids in (pair.chosen_ids, pair.rejected_ids)]
            counts["truncated_rows"] += 1
            counts["truncated_tokens"] += sum(cut)
            counts["truncated_stops"] += sum(1 for tokens in cut if tokens)
            yield RenderedPair(pair.prompt_ids, pair.chosen_ids[:room], pair.rejected_ids[:room], pair.ranking)


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    rows = iter(rows)
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield batch


def _need_template(tokenizer: Tokenizer) -> None:
    if not tokenizer.chat_template:
        raise ModelError(
            _name(tokenizer), "the tokenizer has no chat template", "Conversations need one",
            "Use the instruct model's tokenizer, or put a chat_template.jinja into the model folder.",
        )  # fmt: skip
    if tokenizer.eos_token_id is None:
        raise ModelError(
            _name(tokenizer), "the tokenizer has no stop token", "Answers have to end with one",
            "Set eos_token in tokenizer_config.json to the token that ends a turn of the chat template.",
        )  # fmt: skip


def _name(tokenizer: Tokenizer) -> str:
    return tokenizer.name_or_path or "tokenizer"


def _texts(conversations: list[Messages], tokenizer: Tokenizer, asks: bool, numbers: Iterable[int]) -> list[str]:
    """What the template makes of the conversations of these rows; with `asks`, the generation prompt stands at the end."""
    if not conversations:
        return []
    try:
        return _apply(conversations, tokenizer, asks)
    except _TEMPLATE_ERRORS:
        for number, messages in zip(numbers, conversations, strict=False):  # again one by one, to name the row
            try:
                _apply([messages], tokenizer, asks)
            except _TEMPLATE_ERRORS as error:
                roles = ", ".join(message["role"] for message in messages) or "none"
                raise ModelError(
                    f"{_name(tokenizer)}, chat template, row {number:,}", f"it refuses turns of {roles}: {error}",
                    remedy="Change the rows (often: no system turn, user first) or the template.",
                ) from error  # fmt: skip
        raise


def _apply(conversations: list[Messages], tokenizer: Tokenizer, asks: bool) -> list[str]:
    plain = [[{"role": m["role"], "content": m["content"]} for m in messages] for messages in conversations]
    return tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=asks)  # type: ignore[return-value]


def _answered(row: Mapping[str, Any], side: str) -> Messages:
    """A preference row's conversation, of which only the answer counts."""
    return [*({**message, "train": False} for message in row["prompt"]), *row[side]]


def _borders(conversations: list[Messages], tokenizer: Tokenizer, first: int, field: str) -> list[_Borders]:
    """The trained spans of every conversation. All prefixes of all conversations are rendered in two batches."""
    turns = [_trained_turns(messages, f"row {n:,}, field {field}") for n, messages in enumerate(conversations, first)]
    until = [messages[: kept[-1] + 1] for messages, kept in zip(conversations, turns, strict=True)]
    before = [messages[:turn] for messages, kept in zip(until, turns, strict=True) for turn in kept]
    through = [messages[: turn + 1] for messages, kept in zip(until, turns, strict=True) for turn in kept[:-1]]
    starts = iter(_texts(before, tokenizer, True, (n for n, kept in enumerate(turns, first) for _ in kept)))
    ends = iter(_texts(through, tokenizer, False, (n for n, kept in enumerate(turns, first) for _ in kept[:-1])))
    texts = _texts(until, tokenizer, False, count(first))
    found = []
    for number, (text, kept) in enumerate(zip(texts, turns, strict=True), first):
        spans = []
        for turn in kept:
            where = f"row {number:,}, field {field}" + (f"[{turn}]" if field == "messages" else "")
            start = _border(next(starts), text, where)
            end = len(text) if turn == kept[-1] else _border(next(ends), text, where)
            spans.append((start, _stop_border(text, start, end, tokenizer, where)))
        found.append(_Borders(text[: spans[-1][1]], spans))
    if first == 1:
        for messages, kept, row in list(zip(until, turns, found, strict=True))[:_PROBED_ROWS]:
            _probe_generation_prompt(messages, kept[0], row, tokenizer)
            _probe_pieces(row, tokenizer)
    return found


def _trained_turns(messages: Messages, where: str) -> list[int]:
    turns = [i for i, m in enumerate(messages) if m["role"] == "assistant" and m.get("train") is not False]
    if not turns:
        raise DataError(
            where, "no turn is trained: there is no assistant turn, or all say train: false", remedy="Drop the row."
        )
    return turns


def _border(prefix: str, text: str, where: str) -> int:
    """Length of `prefix`, which the chat template must have left as it was when the conversation went on."""
    if text.startswith(prefix):
        return len(prefix)
    same = next((i for i, (a, b) in enumerate(zip(prefix, text, strict=False)) if a != b), min(len(prefix), len(text)))
    raise ModelError(
        f"chat template, {where}",
        f"the prompt is not a prefix of prompt and answer: from character {same:,} on it is "
        f"{prefix[same : same + 40]!r}, but with the answer {text[same : same + 40]!r}",
        "The template has to write earlier turns and the generation prompt the same, whatever follows",
        "Correct the template (add_generation_prompt, stripped or rewritten earlier turns), or train the last turn only "
        "(train: false on the others).",
    )


def _stop_border(text: str, start: int, end: int, tokenizer: Tokenizer, where: str) -> int:
    """Where the answer in text[start:end] is over: just behind its stop token."""
    stop = str(tokenizer.eos_token)
    at = text.rfind(stop, start, end)
    if at > start and not text[at + len(stop) : end].strip():
        if text.find(stop, start, at) >= 0:
            raise DataError(
                where, f"the answer holds the stop token {stop} in its text", remedy="Clean or drop the row."
            )
        return at + len(stop)
    raise ModelError(
        f"chat template, {where}",
        f"the stop token {stop} is never trained: the turn ends with {text[max(start, end - 40) : end]!r}",
        "An answer has to end with the token that generation stops on",
        "Set eos_token in tokenizer_config.json to the token that ends a turn, or let the template write it.",
    )


def _probe_generation_prompt(messages: Messages, turn: int, row: _Borders, tokenizer: Tokenizer) -> None:
    """Where a template ignores add_generation_prompt, the header of an answer would pass for part of the answer."""
    start = row.spans[0][0]
    begins = row.text[start:].lstrip().startswith(messages[turn]["content"].strip())
    if begins or len(_apply([messages[:turn]], tokenizer, False)[0]) != start:
        return
    raise ModelError(
        f"{_name(tokenizer)}, chat template",
        f"there is no generation prompt: the trained text begins {row.text[start : start + 40]!r}",
        "With add_generation_prompt the template has to write all that stands before an answer",
        "Add {% if add_generation_prompt %} with the header of an assistant turn to the template.",
    )


def _tokenized(borders: list[_Borders], tokenizer: Tokenizer, first: int) -> Iterator[Rendered]:
    pieces = [piece for row in borders for piece in _pieces(row)]
    ids = iter(_encode(pieces, tokenizer))
    for number, row in enumerate(borders, first):
        input_ids: list[int] = []
        labels_mask: list[int] = []
        for _ in row.spans:
            for trained in (0, 1):
                piece = next(ids)
                input_ids += piece
                labels_mask += [trained] * len(piece)
            _check_stop(input_ids, tokenizer, f"row {number:,}")
        if all(labels_mask):
            raise ModelError(f"chat template, row {number:,}", "every token is trained", "The prompt must not be")
        yield Rendered(input_ids, labels_mask, row.text)


def _pieces(row: _Borders) -> Iterator[str]:
    """Untrained and trained text in turn."""
    done = 0
    for start, end in row.spans:
        yield row.text[done:start]
        yield row.text[start:end]
        done = end


def _check_stop(ids: list[int], tokenizer: Tokenizer, where: str) -> None:
    if ids[-1:] != [tokenizer.eos_token_id]:
        raise ModelError(
            f"{_name(tokenizer)}, {where}", f"the stop token {tokenizer.eos_token} is never trained: its text is not one token",
            remedy="Add it to the tokenizer as a special token.",
        )  # fmt: skip


def _encode(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)
    return encoded["input_ids"]  # type: ignore[return-value]


def _probe_pieces(row: _Borders, tokenizer: Tokenizer) -> None:
    """Tokenizing in pieces must not change the text (some tokenizers put a space before each piece)."""
    pieces = tokenizer.decode([token for ids in _encode(list(_pieces(row)), tokenizer) for token in ids])
    whole = tokenizer.decode(_encode([row.text], tokenizer)[0])
    if pieces != whole:
        raise ModelError(
            _name(tokenizer), "the tokenizer changes the text where an answer begins",
            f"{whole[:80]!r} became {pieces[:80]!r} when cut there",
            "Use a tokenizer that adds no space at the start of a text (add_prefix_space: false, legacy: false).",
        )  # fmt: skip
