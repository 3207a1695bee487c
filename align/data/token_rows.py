"""Rows of token ids, made elsewhere: what can be checked of them, and how they are compared and trained on.

Which tokenizer made them they do not say. So their ids are held against the size of the model's, what they are trained to end
with against its stop token, and a row is shown as text, for a person to see whether it reads as language; no more can be known.
They are compared with one another by their ids, as texts are by their words; with texts where a tokenizer is named for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from align.data.conversations import CannotConvert
from align.data.forms import Raw, Row
from align.data.render import Rendered
from align.errors import DataError

MASKED = -100  # a label that says: no loss here
MASKS = ("completion_mask", "assistant_masks")
SHOWN = 80  # characters of the row that is shown
ROWS_NAMED = 5


def token_row(raw: Raw) -> Row:
    """{"input_ids": [...]} with `labels` (-100 where no loss is), or masks of 0 and 1; padding by attention_mask is taken off.

    Labels are the ids themselves, unshifted; of several masks all must say 1. Without any all tokens are trained.
    """
    ids = _numbers(raw["input_ids"], "input_ids")
    on = [1] * len(ids)
    masked = False
    for name in ("labels", *MASKS):
        if raw.get(name) is not None:
            masked = True
            given = _as_long(raw, name, ids)
            flags = _trained(given, ids) if name == "labels" else _flags(given, name)
            on = [a & b for a, b in zip(on, flags, strict=True)]
    if raw.get("attention_mask") is not None:
        start, end = _real(_flags(_as_long(raw, "attention_mask", ids), "attention_mask"))
        ids, on = ids[start:end], on[start:end]
    return {"input_ids": ids, **({"completion_mask": on} if masked else {})}


def _numbers(value: Any, field: str) -> list[int]:
    if not isinstance(value, list) or any(type(number) is not int for number in value):
        raise CannotConvert(field, "is not a list of whole numbers", f"{field}_type")
    return value


def _as_long(raw: Raw, name: str, ids: list[int]) -> list[int]:
    given = _numbers(raw[name], name)
    if len(given) != len(ids):
        raise CannotConvert(name, f"has {len(given):,} entries for {len(ids):,} tokens", f"{name}_count")
    return given


def _trained(labels: list[int], ids: list[int]) -> list[int]:
    other = next(
        (i for i, (label, token) in enumerate(zip(labels, ids, strict=True)) if label not in (MASKED, token)), None
    )
    if other is None:
        return [int(label != MASKED) for label in labels]
    following = zip(labels, ids[1:], strict=False)
    if all(label in (MASKED, token) for label, token in following):
        raise CannotConvert("labels", "is shifted by one token: a stage shifts labels itself", "labels_shifted")
    raise CannotConvert("labels", f"holds {labels[other]} where the token is {ids[other]}", "labels_other")


def _flags(given: list[int], name: str) -> list[int]:
    if not set(given) <= {0, 1}:
        raise CannotConvert(name, "holds other numbers than 0 and 1", f"{name}_values")
    return given


def _real(attention: list[int]) -> tuple[int, int]:
    """Where the tokens that are no padding begin and end."""
    if 1 not in attention:
        raise CannotConvert("attention_mask", "hides every token", "attention_mask_empty")
    start, end = attention.index(1), len(attention) - attention[::-1].index(1)
    if 0 in attention[start:end]:
        raise CannotConvert("attention_mask", "hides tokens within the row", "attention_mask_within")
    return start, end


def as_words(row: Mapping[str, Any]) -> str:
    """The ids as words of a text, by which rows are compared."""
    return " ".join(map(str, row["input_ids"]))


def as_text(row: Mapping[str, Any], tokenizer: Any) -> dict[str, Any]:
    """What the ids stand for: a prompt and its completion where what comes first is not trained, else text."""
    ids, on = row["input_ids"], row.get("completion_mask") or [1]
    begin = on.index(1) if 1 in on else 0
    asked, said = (tokenizer.decode(part, skip_special_tokens=True) for part in (ids[:begin], ids[begin:]))
    if not begin:
        return {"text": said}
    turns = zip(("prompt", "completion"), ("user", "assistant"), (asked, said), strict=True)
    return {name: [{"role": role, "content": text}] for name, role, text in turns}


def count(words: str) -> int:
    """How many tokens as_words wrote."""
    return words.count(" ") + 1


def rendered(row: Mapping[str, Any]) -> Rendered:
    ids = row["input_ids"]
    return Rendered(ids, row.get("completion_mask") or [1] * len(ids), "")


def unknown_to(row: Mapping[str, Any], tokenizer: Any) -> int | None:
    """The row's first token that the tokenizer does not know."""
    return next((token for token in row["input_ids"] if not 0 <= token < len(tokenizer)), None)


def checked(
    rows: Iterable[Mapping[str, Any]], tokenizer: Any, where: str, note: Callable[[str], None]
) -> list[Rendered]:
    """The rows as a model reads them. Raises DataError where ids are not the tokenizer's, and names the rows."""
    rows = list(rows)
    foreign = {number: token for number, row in enumerate(rows, 1) if (token := unknown_to(row, tokenizer)) is not None}
    if foreign:
        rows_told = _named(list(foreign))
        raise DataError(
            where, f"{len(foreign):,} of {len(rows):,} rows hold tokens that the tokenizer does not know ({rows_told}; "
            f"the first is {next(iter(foreign.values())):,})", f"Token ids below {len(tokenizer):,}",
            "They were made with another tokenizer: name the model that it belongs to, or give the text.",
        )  # fmt: skip
    if rows:
        text = " ".join(str(tokenizer.decode(rows[0]["input_ids"])).split())
        note(
            f"{where} holds token ids, and that they are this tokenizer's cannot be verified; row 1 reads "
            f"{text[:SHOWN]!r}{' ...' if len(text) > SHOWN else ''}"
        )
    return [rendered(row) for row in rows]


def check_answers(rows: Sequence[Mapping[str, Any]], tokenizer: Any, where: str, budget: float) -> None:
    """Raise DataError where rows do not say which tokens are answers, or too many train no stop token."""
    silent = [number for number, row in enumerate(rows, 1) if "completion_mask" not in row]
    if silent:
        raise DataError(
            where, f"{len(silent):,} of {len(rows):,} rows of token ids do not say which are trained ({_named(silent)})",
            "Labels (-100 on what is only read), completion_mask or assistant_masks",
            "Add them; or train on all tokens with a pretrain stage.",
        )  # fmt: skip
    endless = [number for number, row in enumerate(rows, 1) if not _stops(row, tokenizer.eos_token_id)]
    if len(endless) > budget * len(rows):
        raise DataError(
            where, f"the stop token {tokenizer.eos_token} is not trained at the end of {len(endless):,} of {len(rows):,} rows "
            f"({_named(endless)})", f"At most {budget:.2%} (drop_budget)",
            "Let labels include it: a model that never learns it never stops. Or they are another tokenizer's.",
        )  # fmt: skip


def _stops(row: Mapping[str, Any], stop: int) -> bool:
    """Whether the last trained token is the stop token."""
    return (
        next(token for token, on in zip(row["input_ids"][::-1], row["completion_mask"][::-1], strict=True) if on)
        == stop
    )


def _named(numbers: Sequence[int]) -> str:
    more = " ..." if len(numbers) > ROWS_NAMED else ""
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(f'{n:,}' for n in numbers[:ROWS_NAMED])}{more}"
