"""Rows as a model sees them: its tokens, which of them the loss is on, where they would be cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from align.data import token_rows
from align.data.render import (
    Rendered,
    RenderedPair,
    render_preference,
    render_prompts,
    render_rows,
    truncate,
    truncate_pairs,
)
from align.errors import DataError, UserError
from align.inspection.measures import percentiles
from align.models.tokenizer import Tokenizer

Row = Mapping[str, Any]
LOST_SHOWN = 160  # characters of what truncation takes away


@dataclass(frozen=True)
class Piece:
    """Tokens side by side that are alike: all trained or none, all special or none."""

    text: str
    trained: bool
    special: bool
    tokens: int


@dataclass(frozen=True)
class Seen:
    """One row in tokens. A preference row is two of them, one for each answer."""

    row: int
    field: str
    ids: list[int]
    mask: list[int]

    def pieces(self, tokenizer: Tokenizer) -> list[Piece]:
        special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
        kinds = [(bool(on), token in special) for token, on in zip(self.ids, self.mask, strict=True)]
        groups = groupby(range(len(kinds)), key=lambda i: kinds[i])
        found = []
        for (trained, is_special), indices in groups:
            ids = [self.ids[i] for i in indices]
            found.append(Piece(str(tokenizer.decode(ids)), trained, is_special, len(ids)))
        return found


def see(rows: Sequence[tuple[int, Row]], row_type: str, tokenizer: Tokenizer) -> list[list[Seen]]:
    """Standard rows in tokens, through the functions that the stages use. Raises what they raise."""
    plain = [row for _, row in rows]
    numbers = [number for number, _ in rows]
    if row_type == "text":
        return [_text(number, row["text"], tokenizer) for number, row in rows]
    if row_type == "tokens":
        return [[_tokens(number, row, tokenizer)] for number, row in rows]
    if row_type == "messages":
        rendered = render_rows(plain, tokenizer)
        return [[Seen(n, "messages", r.input_ids, r.labels_mask)] for n, r in zip(numbers, rendered, strict=True)]
    if row_type == "preference":
        pairs = render_preference(plain, tokenizer)
        return [[_side(n, pair, s) for s in ("chosen", "rejected")] for n, pair in zip(numbers, pairs, strict=True)]
    if row_type == "prompt":
        prompts = render_prompts(plain, tokenizer)
        return [[Seen(n, "prompt", ids, [0] * len(ids))] for n, ids in zip(numbers, prompts, strict=True)]
    return [_answers(number, row, tokenizer) for number, row in rows]


def _text(number: int, text: str, tokenizer: Tokenizer) -> list[Seen]:
    ids = tokenizer(text)["input_ids"]
    ids = ids if ids and ids[-1] == tokenizer.eos_token_id else [*ids, tokenizer.eos_token_id]
    return [Seen(number, "text", ids, [1] * len(ids))]


def _tokens(number: int, row: Row, tokenizer: Tokenizer) -> Seen:
    foreign = token_rows.unknown_to(row, tokenizer)
    if foreign is not None:
        found = f"holds tokens that the tokenizer does not know: {foreign:,}"
        raise DataError(
            f"row {number:,}", found, f"Token ids below {len(tokenizer):,}", "Name the model they were made for."
        )
    return Seen(number, "tokens", (read := token_rows.rendered(row)).input_ids, read.labels_mask)


def _side(number: int, pair: RenderedPair, side: str) -> Seen:
    answer = pair.chosen_ids if side == "chosen" else pair.rejected_ids
    return Seen(number, side, pair.prompt_ids + answer, [0] * len(pair.prompt_ids) + [1] * len(answer))


def _answers(number: int, row: Row, tokenizer: Tokenizer) -> list[Seen]:
    """A prompt with one answer or several (ranked, labelled or scored rows), each answer a row of its own."""
    prompt = [{**turn, "train": False} for turn in row["prompt"]]
    answers = {f"completions[{i}]": turns for i, turns in enumerate(row.get("completions", ()))}
    answers |= {"completion": row["completion"]} if "completion" in row else {}
    rendered = render_rows(({"messages": [*prompt, *turns]} for turns in answers.values()), tokenizer)
    return [Seen(number, name, r.input_ids, r.labels_mask) for name, r in zip(answers, rendered, strict=True)]


@dataclass
class View:
    """A sample in tokens; `refused` counts the rows that cannot be rendered, by what was said of the first."""

    seen: list[list[Seen]]
    refused: dict[str, list[int]]

    def rows(self) -> int:
        return len(self.seen) + sum(map(len, self.refused.values()))

    def longest(self) -> list[int]:
        """Tokens of each row; of a pair, of its longer side."""
        return [max(len(side.ids) for side in row) for row in self.seen]

    def lengths(self) -> dict[str, dict[str, float]]:
        trained = [sum(side.mask) for row in self.seen for side in row]
        return {"row": percentiles(self.longest()), **({"trained": percentiles(trained)} if any(trained) else {})}

    def stop_proof(self, stop: int) -> dict[str, int]:
        """How many answers there are, and how many of them have their stop token inside the loss."""
        answers = [side for row in self.seen for side in row if any(side.mask)]
        ends = [_trained_ends(side) for side in answers]
        return {
            "answers": sum(map(len, ends)),
            "trained_stops": sum(side.ids[end] == stop for side, at in zip(answers, ends, strict=True) for end in at),
        }


def _trained_ends(side: Seen) -> list[int]:
    """Index of the last token of every trained span."""
    return [i for i, on in enumerate(side.mask) if on and (i + 1 == len(side.mask) or not side.mask[i + 1])]


def view(rows: Sequence[tuple[int, Row]], row_type: str, tokenizer: Tokenizer) -> View:
    """A sample of standard rows in tokens. A row that is refused is counted; that all are is an error."""
    try:
        return View(see(rows, row_type, tokenizer), {})
    except UserError:
        found = View([], {})  # again one by one, to keep those that can be
    first: UserError | None = None
    for row in rows:
        try:
            found.seen += see([row], row_type, tokenizer)
        except UserError as error:
            first = first or error
            found.refused.setdefault(_without_place(error), []).append(row[0])
    if first and not found.seen:
        raise first
    return found


def _without_place(error: UserError) -> str:
    """What is wrong without where, so that rows with the same fault are counted together."""
    return str(type(error)("", error.found.split(":")[0], error.expected, error.remedy))


def truncation(found: View, tokenizer: Tokenizer, max_length: int) -> dict[str, Any]:
    """What a stage with this max_length would cut and drop of the sample, by its own functions, with one example."""
    counts: dict[str, float] = {}
    pairs = [row for row in found.seen if row[0].field == "chosen"]
    if pairs:
        list(truncate_pairs(map(_pair, pairs), max_length, counts))
    else:
        list(truncate((Rendered(s.ids, s.mask, "") for row in found.seen for s in row), max_length, counts))
    lengths = found.longest()
    over = [i for i, length in enumerate(lengths) if length > max_length]
    told: dict[str, Any] = {
        "max_length": max_length,
        "rows": len(lengths),
        "over": len(over),
        "cut": int(counts.get("truncated_rows", 0)),
        "dropped": int(counts.get("dropped_rows", 0)),
        "stops_lost": int(counts.get("truncated_stops", 0)),
        "tokens": sum(lengths),
        "tokens_lost": sum(lengths[i] - max_length for i in over),
        "tokens_over": sum(lengths[i] for i in over),
    }
    if over:
        side = max(found.seen[over[0]], key=lambda s: len(s.ids))
        told["example"] = {
            "row": side.row, "field": side.field, "tokens": len(side.ids),
            "lost": str(tokenizer.decode(side.ids[max_length:]))[:LOST_SHOWN], "trained": sum(side.mask[max_length:]),
        }  # fmt: skip
    return told


def _pair(row: list[Seen]) -> RenderedPair:
    chosen, rejected = row
    start = chosen.mask.index(1)
    return RenderedPair(chosen.ids[:start], chosen.ids[start:], rejected.ids[start:])


def samples(found: View, tokenizer: Tokenizer, count: int) -> Iterator[dict[str, Any]]:
    """The first rows of the sample in pieces, ready to be drawn."""
    for row in found.seen[:count]:
        yield {
            "row": row[0].row,
            "sides": [
                {"field": side.field, "tokens": len(side.ids), "pieces": [asdict(p) for p in side.pieces(tokenizer)]}
                for side in row
            ],
        }
