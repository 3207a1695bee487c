"""loss: cross-entropy a token, of the assistant's turns in conversations, of all text in raw text.

Raw text is told in bits per byte too, which models with different tokenizers share.
"""

from __future__ import annotations

import math

from align.data.render import render_rows
from align.evals import asking
from align.evals.asking import Subject, Tokens
from align.evals.contract import Ask
from align.evals.measured import Measured, Row, about


def measure(ask: Ask) -> Measured:
    measured = about(ask.rows)
    nll, tokens, bits = losses(ask, ask.subject)
    measured.add("loss", "real", nll, tokens)
    if bits:
        measured.add("bits_per_byte", "real", nll, bits)
    return measured


def losses(ask: Ask, subject: Subject) -> tuple[list[float], list[float], list[float]]:
    """Per row: nats, tokens they are spread over, and for text ln 2 times the bytes (a row cut short counts in proportion)."""
    rendered = tokens_of(subject, ask.rows, ask.row_type)
    nll = [-x for x in asking.logprobs(subject, rendered, ask.begin())]
    counted = [float(sum(mask[: subject.max_length])) for _, mask in rendered]
    if ask.row_type != "text":
        return nll, counted, []
    shares = [min(1.0, subject.max_length / max(1, len(ids))) for ids, _ in rendered]
    return nll, counted, [math.log(2) * len(r["text"].encode()) * s for r, s in zip(ask.rows, shares, strict=True)]


def tokens_of(subject: Subject, rows: list[Row], row_type: str) -> list[Tokens]:
    """Rows as tokens, and which of them count: the assistant's turns, or all text after a first token that begins it."""
    if row_type == "messages":
        return [(r.input_ids, r.labels_mask) for r in render_rows(rows, subject.tokenizer)]
    first = subject.tokenizer.bos_token_id
    lead = [subject.tokenizer.eos_token_id if first is None else first]
    texts = [lead + subject.tokenizer(r["text"], add_special_tokens=False)["input_ids"] for r in rows]
    return [(ids, [0] + [1] * (len(ids) - 1)) for ids in texts]
