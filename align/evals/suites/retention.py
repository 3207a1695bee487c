"""retention: what is left of a model's general ability, and how much of it was lost; see RetentionSuite for the metrics.

Against a model that is measured here as well, every difference is of the same rows. Without `against`, the comparison
takes the difference from the baseline, and along the chain of models, step by step: the forgetting ledger.
"""

from __future__ import annotations

from align.evals import likelihood
from align.evals.asking import Subject
from align.evals.contract import Ask
from align.evals.measured import Measured, about
from align.evals.suites.loss import losses, tokens_of
from align.evals.suites.preference import sides, wins
from align.scoring.named import agrees


def measure(ask: Ask) -> Measured:
    measured = about(ask.rows)
    of_text = ask.row_type in ("text", "messages")
    return _likelihood(ask, measured) if of_text else _task(ask, measured)


def _likelihood(ask: Ask, measured: Measured) -> Measured:
    """Text in bits per byte, conversations in nats a token; drop is the difference, in the same unit."""
    nll, tokens, bits = losses(ask, ask.subject)
    weights = bits or tokens
    measured.add("bits_per_byte" if bits else "loss", "real", nll, weights)
    if not ask.suite.against:
        return measured
    other = ask.others.model("against")
    base, base_tokens, base_bits = losses(ask, other)
    base_weights = base_bits or base_tokens
    if not bits:
        ask.alike(other)
    shared = [min(w, b) for w, b in zip(weights, base_weights, strict=True)]  # the bytes that both have read
    rates = zip(nll, weights, base, base_weights, shared, strict=True)
    measured.add("drop", "real", [(n / w - b / v) * s if s else 0.0 for n, w, b, v, s in rates], shared)
    if bits and ask.subject.tokenizer.get_vocab().items() >= other.tokenizer.get_vocab().items():
        _token_kl(ask, other, measured)
    return measured


def _token_kl(ask: Ask, other: Subject, measured: Measured) -> None:
    limit = ask.subject.max_length
    rows = [(ids[:limit], mask[:limit]) for ids, mask in tokens_of(ask.subject, ask.rows, ask.row_type)]
    found = likelihood.token_kl(ask.subject.model, other.model, rows, ask.subject.batch_size, ask.begin())
    measured.add("kl_per_token", "real", found, [sum(mask) for _, mask in rows])


def _task(ask: Ask, measured: Measured) -> Measured:
    right = _right(ask, ask.subject, measured)
    measured.add("accuracy", "share", right)
    if ask.suite.against:
        before = _right(ask, ask.others.model("against"), None)
        measured.add("drop", "signed", [b - r for r, b in zip(right, before, strict=True)])
        measured.add("lost", "share", [b > r for r, b in zip(right, before, strict=True)])
        measured.add("gained", "share", [r > b for r, b in zip(right, before, strict=True)])
    return measured


def _right(ask: Ask, subject: Subject, measured: Measured | None) -> list[float]:
    """1 where the model is right: by its answer, or by which of two answers it finds likelier."""
    if ask.row_type == "preference":
        return [wins(c - r) for c, r in zip(*sides(ask, subject), strict=True)]
    answers = ask.answers(subject)
    if measured is not None:
        measured.answers = answers
    return [agrees(e.answer, ask.suite.correct) for e in answers]
