"""Answers of two models to the same prompts that differ most: in score first, then in wording."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from align.artifact.store import Sealed
from align.gates.figures import read_report
from align.launch.service import Service
from align.specs.asking import rank
from align.versus.measured import MeasuredPair

READER = "align.transcripts"


@dataclass(frozen=True)
class Answers:
    """One prompt with what both said, and their score in `metric`."""

    model: str
    suite: str
    prompt: str
    a: str
    b: str
    metric: str
    scores: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def answers(pairs: list[MeasuredPair], most: int) -> list[Answers]:
    """At most so many a suite, read by a child process, each file checked against its hash; equal answers are left out."""
    wanted = [(pair, name) for pair in pairs for name in _files(pair)]
    if not wanted or not most:
        return []
    files = [_asked(side, f"rows-{name}.parquet") for pair, name in wanted for side in (pair.a, pair.b)]
    with Service(READER) as service:
        events = service.ask({"do": "read", "files": files})
        rows = [event["rows"] for event in events if event["event"] == "rows"]
    found = []
    for i, (pair, name) in enumerate(wanted):
        found += _most(pair, name, rows[2 * i], rows[2 * i + 1], most)
    return found


def _files(pair: MeasuredPair) -> list[str]:
    """The suites whose answers both sides have, to the same rows."""
    ours, theirs = pair.a.manifest.files, pair.b.manifest.files
    shared = [f for f in ours if f.startswith("rows-") and f.endswith(".parquet") and f in theirs]
    names = [f.removeprefix("rows-").removesuffix(".parquet") for f in shared]
    return [n for n in names if n not in pair.other_rows]


def _asked(sealed: Sealed, file: str) -> dict[str, str]:
    return {"path": str(sealed.path / file), "sha256": sealed.manifest.files[file]["sha256"]}


def _most(
    pair: MeasuredPair, suite: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]], most: int
) -> list[Answers]:
    values = [read_report(side.path)["suites"][suite]["rows"]["values"] for side in (pair.a, pair.b)]
    shared = [m for m in values[0] if m in values[1]]
    metric = min(shared, key=rank, default="")
    scores = [v.get(metric, [0.0] * len(ours)) for v in values]
    if not len(ours) == len(theirs) == len(scores[0]) == len(scores[1]):
        return []
    both = [
        Answers(pair.model, suite, a["prompt"][-1]["content"], _text(a), _text(b), metric, score)
        for a, b, score in zip(ours, theirs, zip(*scores, strict=True), strict=True)
        if _text(a) != _text(b)
    ]
    return sorted(both, key=lambda x: (-abs(x.scores[1] - x.scores[0]), -abs(len(x.b) - len(x.a))))[:most]


def _text(row: dict[str, Any]) -> str:
    return row["completion"][0]["content"]
