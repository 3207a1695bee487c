"""memorisation: how much better a model knows its training rows than others of their kind; see MemorisationSuite."""

from __future__ import annotations

from align.errors import DataError
from align.estimates import Sample, difference
from align.evals import asking
from align.evals.asking import Tokens
from align.evals.contract import Ask
from align.evals.measured import Measured, about
from align.evals.suites.loss import tokens_of

FEWEST = 4  # tokens: a shorter continuation says nothing


def measure(ask: Ask) -> Measured:
    trained = ask.rows
    heldout = ask.others.rows("heldout")[: ask.suite.limit]
    if not heldout:
        raise DataError(f"{ask.where}.heldout", "there are no rows", "At least one is needed")
    both = [*trained, *heldout]
    measured = about(both)
    measured.slices = [*("train" for _ in trained), *("heldout" for _ in heldout)]
    measured.axes = [None for _ in both]
    kinds = [(rows, "text" if "text" in rows[0] else "messages") for rows in (trained, heldout)]
    tokens = [t for rows, kind in kinds for t in tokens_of(ask.subject, rows, kind)]
    tokens = [(ids[: ask.subject.max_length], mask[: ask.subject.max_length]) for ids, mask in tokens]
    nll = [-x for x in asking.logprobs(ask.subject, tokens, ask.begin())]
    measured.add("loss", "real", nll, [sum(m) for _, m in tokens])
    _verbatim(ask, measured, tokens)
    first, second = (_part(measured, "loss", part) for part in ("heldout", "train"))
    measured.whole["gap"] = difference(first, second)
    if all(len(_part(measured, "verbatim", part).values) for part in ("train", "heldout")):
        first, second = (_part(measured, "verbatim", part) for part in ("train", "heldout"))
        measured.whole["verbatim_gap"] = difference(first, second)
    return measured


def _verbatim(ask: Ask, measured: Measured, tokens: list[Tokens]) -> None:
    """1 where greedy decoding from the first half goes on exactly as the row does; rows that are too short do not count."""
    cuts = [_cut(ids, mask, ask.suite.tokens) for ids, mask in tokens]
    asked = [i for i, (_, rest) in enumerate(cuts) if len(rest) >= FEWEST]
    prompts = [cuts[i][0] for i in asked]
    asking.check_window(
        ask.subject, [len(p) + ask.suite.tokens for p in prompts], "half a row and its continuation", ask.where
    )
    said = asking.completions(ask.subject, prompts, ask.suite.tokens, 0.0, ask.begin()) if prompts else []
    found = [0.0] * len(cuts)
    for i, completion in zip(asked, said, strict=True):
        rest = cuts[i][1]
        found[i] = float(completion.token_ids[: len(rest)] == rest)
    measured.add("verbatim", "share", found, [float(len(rest) >= FEWEST) for _, rest in cuts])


def _cut(ids: list[int], mask: list[int], most: int) -> tuple[list[int], list[int]]:
    """A row up to the middle of its last counted run of tokens, and what comes next in that run."""
    end = next((i + 1 for i in range(len(mask) - 1, -1, -1) if mask[i]), 0)
    start = next((i + 1 for i in range(end - 1, -1, -1) if not mask[i]), 0)
    middle = (start + end) // 2
    return ids[:middle], ids[middle:end][:most]


def _part(measured: Measured, metric: str, part: str) -> Sample:
    weights = measured.weights[metric]
    rows = [i for i, s in enumerate(measured.slices) if s == part and weights[i]]
    kept = None if metric == "verbatim" else [weights[i] for i in rows]
    values, clusters = [measured.values[metric][i] for i in rows], [measured.clusters[i] for i in rows]
    return Sample(values, kept, clusters, measured.scales[metric])
