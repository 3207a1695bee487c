"""What models said, side by side: read from the store, joined by prompt, packed small enough for one file.

The page holds them as deflated JSON in base64: a browser unpacks it by itself, and nothing a model wrote can be markup.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from align.launch.service import Service
from align.report.collect import Seen
from align.specs.asking import rank

READER = "align.transcripts"
MOST_BYTES = 16_000_000  # of the packed text; the page stays under 20 MB
SAMPLES = "rows-samples.parquet"


@dataclass(frozen=True)
class Said:
    """What one model said in one suite, row by row. `scores`: metric -> a number a row."""

    model: str
    digest: str
    texts: list[str]
    scores: dict[str, list[float | None]]


@dataclass(frozen=True)
class Suite:
    """The same prompts, answered by several models. `rows`: how many there are in the store."""

    stage: str
    name: str
    baseline: str
    prompts: list[list[list[str]]]
    slices: list[str | None]
    said: list[Said]
    better: dict[str, int] = field(default_factory=dict)
    rows: int = 0

    def every(self, stride: float) -> Suite:
        """An even share of the rows, the first among them."""
        keep = [int(i * stride) for i in range(int(len(self.prompts) / stride))]
        said = [
            replace(s, texts=[s.texts[i] for i in keep], scores={m: [v[i] for i in keep] for m, v in s.scores.items()})
            for s in self.said
        ]
        return replace(self, prompts=[self.prompts[i] for i in keep], slices=[self.slices[i] for i in keep], said=said)


@dataclass(frozen=True)
class _File:
    """A file of generations in the store, and where it belongs."""

    seen: Seen
    name: str
    suite: str

    def asked(self) -> dict[str, str]:
        assert self.seen.sealed
        return {
            "path": str(self.seen.sealed.path / self.name),
            "sha256": self.seen.sealed.manifest.files[self.name]["sha256"],
        }


def read(seen: dict[str, Seen]) -> list[Suite]:
    """Every suite of generations that the steps hold; empty without any. Each file is checked against its hash."""
    files = list(_files(seen))
    if not files:
        return []
    with Service(READER) as service:
        events = service.ask({"do": "read", "files": [f.asked() for f in files]})
        rows = [event["rows"] for event in events if event["event"] == "rows"]
    found: list[Suite] = []
    for file, held in zip(files, rows, strict=True):
        suite = _along_the_way(file, held) if file.name == SAMPLES else _of_model(file, held, seen)
        found = _joined(found, suite) if held else found
    return found


def _files(seen: dict[str, Seen]) -> Iterable[_File]:
    for s in seen.values():
        for name in s.sealed.manifest.files if s.sealed else ():
            if s.step.kind == "measure" and name.startswith("rows-") and name.endswith(".parquet"):
                yield _File(s, name, name.removeprefix("rows-").removesuffix(".parquet"))
            elif name == SAMPLES:
                yield _File(s, name, "samples")


def _of_model(file: _File, rows: list[dict[str, Any]], seen: dict[str, Seen]) -> Suite:
    s = file.seen
    assert s.sealed
    stage = s.name.partition(".")[0]
    join = seen.get(stage)
    joined = join.report if join and join.report else {"baseline": "", "rows": []}
    ways = {"higher": 1, "more": 1, "lower": -1, "less": -1}
    better = {r["metric"]: ways[r["better"]] for r in joined["rows"] if r["suite"] == file.suite and r.get("better")}
    model = s.name.partition(".")[2]
    told_of = ((s.report or {}).get("suites", {}).get(file.suite) or {}).get("rows") or {}
    scores = _scores(told_of, len(rows)) or {"score": [r["score"] for r in rows]}
    told = Said(model, s.sealed.manifest.digest, [_text(r) for r in rows], scores)
    return Suite(stage, file.suite, joined["baseline"], *_asked(rows), [told], better, len(rows))


def _scores(rows: dict[str, Any], count: int) -> dict[str, list[float | None]]:
    """A number a row of each metric that has one; None where the metric does not apply, which a weight of 0 says."""
    found: dict[str, list[float | None]] = {}
    for metric, values in rows.get("values", {}).items():
        if len(values) == count:
            weights = rows.get("weights", {}).get(metric) or [1.0] * count
            found[metric] = [v if w else None for v, w in zip(values, weights, strict=True)]
    return found


def _along_the_way(file: _File, rows: list[dict[str, Any]]) -> Suite:
    """The answers of a policy to the same prompts as it learnt: each update is shown as a model."""
    assert file.seen.sealed
    by_update: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_update.setdefault(row.get("slice") or "", []).append(row)
    digest = file.seen.sealed.manifest.digest
    said = [
        Said(name.replace("-", " "), digest, [_text(r) for r in held], {"reward": [r["score"] for r in held]})
        for name, held in by_update.items()
    ]
    first = next(iter(by_update.values()), [])
    prompts, _ = _asked(first)
    whole = [s for s in said if len(s.texts) == len(first)]
    return Suite(
        file.seen.name, "samples", whole[0].model if whole else "", prompts, [None] * len(first), whole,
        {"reward": 1}, len(first),
    )  # fmt: skip


def _asked(rows: list[dict[str, Any]]) -> tuple[list[list[list[str]]], list[str | None]]:
    return [[[m["role"], m["content"]] for m in r["prompt"]] for r in rows], [r.get("slice") for r in rows]


def _text(row: dict[str, Any]) -> str:
    return row["completion"][0]["content"]


def _joined(found: list[Suite], new: Suite) -> list[Suite]:
    """Adds a suite, to the one with the same name and the very same prompts where there is one."""
    for number, old in enumerate(found):
        if (old.stage, old.name) == (new.stage, new.name) and old.prompts == new.prompts:
            return [*found[:number], replace(old, said=[*old.said, *new.said]), *found[number + 1 :]]
    return [*found, new]


def packed(recipe: str, suites: list[Suite], most: int = MOST_BYTES) -> str:
    """All suites as text for the page, at most `most` bytes: where there is more, an even share of every suite's rows."""
    text = _pack(recipe, suites)
    stride = 1.0
    while len(text) > most and any(s.prompts for s in suites):
        stride *= max(1.1, len(text) / most)
        text = _pack(recipe, [s.every(stride) for s in suites])
    return text


def _pack(recipe: str, suites: list[Suite]) -> str:
    told = {"recipe": recipe, "suites": [_plain(s) for s in suites]}
    raw = json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(deflate.compress(raw) + deflate.flush()).decode()


def _plain(suite: Suite) -> dict[str, Any]:
    named = dict.fromkeys(m for s in suite.said for m in s.scores)
    metrics = sorted(named, key=rank)
    nothing: list[float | None] = [None] * len(suite.prompts)
    return {
        "stage": suite.stage,
        "name": suite.name,
        "baseline": suite.baseline,
        "rows": suite.rows,
        "models": [s.model for s in suite.said],
        "digests": [s.digest for s in suite.said],
        "prompts": suite.prompts,
        "slices": suite.slices,
        "texts": [s.texts for s in suite.said],
        "metrics": [
            {
                "name": metric,
                "better": suite.better.get(metric, 0),
                "values": [[_short(v) for v in s.scores.get(metric, nothing)] for s in suite.said],
            }
            for metric in metrics
        ],
    }


def _short(value: float | None) -> float | None:
    """Four digits, which is what the page shows."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(f"{value:.4g}")
