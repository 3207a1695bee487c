"""transfer: what was learnt, near to and far from what was trained; see TransferSuite for the metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from align.errors import DataError
from align.estimates import Sample, difference
from align.evals import statistics
from align.evals.contract import Ask
from align.evals.measured import Measured, Progress, Row, about
from align.evals.nearness import nearest_distances
from align.scoring.episode import Episode
from align.scoring.named import plain
from align.specs.asking import metrics_of, scale_of
from align.specs.suites import TransferSuite
from align.specs.user_functions import FILE

THIRDS = ("nearest", "middle", "farthest")


def measure(ask: Ask) -> Measured:
    measured = about(ask.rows)
    check_slices(ask.suite, ask.rows, ask.where)
    measured.answers = ask.answers()
    scores = ask.told_by(ask.suite.scorer, measured.answers)
    measured.add("score", scale_of(ask.suite.scorer), next(iter(scores.values())))
    for name in ("near", "far"):
        if part := getattr(ask.suite, name):
            measured.whole[f"drop_{name}"] = difference(_part(measured, ask.suite.in_domain), _part(measured, part))
    if ask.suite.domains:
        measured.add("intrusion", "share", [_intrudes(e, ask.suite.domains) for e in measured.answers])
    elif "intrusion" in metrics_of(ask.suite.scorer) and not ask.suite.scorer.startswith(FILE):
        measured.add("intrusion", "share", scores["intrusion"])
    if ask.suite.train:
        trained = _asked(ask.others.rows("train"))
        distances = nearest_distances(_asked(ask.rows), trained, ask.begin())
        _distance(measured, np.array(distances), ask.subject.seed, ask.begin())
    return measured


def check_slices(suite: TransferSuite, rows: Sequence[Row], where: str) -> None:
    """Raises DataError where no row has one of the slices that are compared."""
    there = {row["slice"] for row in rows if row.get("slice")}
    for name in ("in_domain", "near", "far"):
        wanted = getattr(suite, name)
        if wanted and wanted not in there:
            raise DataError(
                f"{where}.{name}", f"no row{_of_the_first(suite)} has the slice {wanted}",
                f"Slices there: {', '.join(sorted(there)) or 'none'}",
                "Name one of them" + ("." if name == "in_domain" else f", or {name}: null."),
            )  # fmt: skip


def _of_the_first(suite: TransferSuite) -> str:
    return f" of the first {suite.limit:,} (its limit)" if suite.limit else ""


def _part(measured: Measured, part: str) -> Sample:
    rows = [i for i, s in enumerate(measured.slices) if s == part]
    values, clusters = [measured.values["score"][i] for i in rows], [measured.clusters[i] for i in rows]
    return Sample(values, None, clusters, measured.scales["score"])


def _intrudes(episode: Episode, domains: dict[str, list[str]]) -> bool:
    """Whether the answer has words of a domain that the prompt has none of."""
    asked = plain(" ".join(m["content"] for m in episode.answer.prompt))
    said = plain(episode.answer.text)
    return any(_names(said, words) and not _names(asked, words) for words in domains.values())


def _names(text: str, words: Sequence[str]) -> bool:
    padded = "".join(c if c.isalnum() else " " for c in text)
    return any(f" {' '.join(plain(word).split())} " in f" {' '.join(padded.split())} " for word in words)


def _asked(rows: list[Row]) -> list[str]:
    """What the user asks last, or the text."""
    return [r["text"] if "text" in r else r["prompt"][-1]["content"] for r in rows]


def _distance(measured: Measured, distances: np.ndarray, seed: int, progress: Progress) -> None:
    scores = np.array(measured.values["score"])
    measured.add("distance", "share", distances.tolist())
    third = np.minimum(np.argsort(np.argsort(distances, kind="stable"), kind="stable") * 3 // len(distances), 2)
    for number, name in enumerate(THIRDS):
        inside = third == number
        measured.add(f"score_{name}", measured.scales["score"], np.where(inside, scores, 0.0).tolist(), inside.tolist())
    if np.ptp(distances) and np.ptp(scores):
        measured.whole["distance_correlation"] = statistics.bootstrap(
            lambda rows: rank_correlation(distances[rows], scores[rows]), measured.clusters, seed,
            progress=progress, scale="signed",
        )  # fmt: skip


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, with equal values at their mean rank; 0 where one of the two does not vary."""
    x, y = (_ranks(v) - (len(v) - 1) / 2 for v in (a, b))
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[place]
