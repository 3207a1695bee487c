"""kl: how far the model has moved from another, KL(model || against), in nats a sequence.

The mean over answers sampled from the model at temperature 1 of sum_t log pi(token) - log pi_ref(token) (k1, Schulman 2020):
unbiased, so that it may fall below 0 by chance where the two are close.
"""

from __future__ import annotations

from align.evals import asking
from align.evals.contract import Ask
from align.evals.measured import Measured, about


def measure(ask: Ask) -> Measured:
    reference = ask.alike(ask.others.model("against"))
    measured = about(ask.rows)
    measured.answers = ask.answers(temperature=1.0)
    said = [asking.tokens_of(episode) for episode in measured.answers]
    ours = asking.logprobs(ask.subject, said, ask.begin())
    theirs = asking.logprobs(reference, said, ask.begin())
    measured.add("kl", "real", [a - b for a, b in zip(ours, theirs, strict=True)])
    measured.add("tokens", "real", [len(e.completion.token_ids) for e in measured.answers])
    return measured
