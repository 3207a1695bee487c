"""Preparing chats: the whole stage, from a file of JSON lines to checked rows in parquet."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from align.artifact.inputs import Inputs, SourceInput
from align.specs.prepare import PrepareSpec
from align.stages import prepare
from align.workloads import chats as invented
from align.workloads.chats import Planted

MEBI = 1 << 20


def chats(plan: dict[str, Any]) -> dict[str, Any]:
    """Seconds for `plan["rows"]` chats of about 1 KB, without the time it takes to invent them."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "chats.jsonl"), Path(folder, "out")
        out.mkdir()
        size = write_chats(path, plan["rows"])
        usual = {"source": str(path), "as": "messages", "near_duplicates": "ignore"}  # which `dedup` measures
        spec = PrepareSpec.model_validate({**usual, **plan.get("settings", {})})
        source = SourceInput("file", str(path), None, None, "")
        tracker: Any = SimpleNamespace(
            note=lambda text: None, notes=[], progress=lambda *done, **told: None, stop_requested=False
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, processor = time.perf_counter(), time.process_time()
        metrics = prepare.run(spec, Inputs({"source": source}, Path(folder)), out, tracker)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert metrics["rows/kept"] == plan["rows"]
        return {
            "rows": plan["rows"], "bytes": size, "seconds": wall, "processor_seconds": processor,
            "peak_mb": peak / 1024, "before_mb": before / 1024,
        }  # fmt: skip


def write_chats(path: Path, rows: int) -> int:
    """Invented chats, none like another; returns the file's size in bytes."""
    with path.open("wb", buffering=MEBI) as file:
        for number, (_, row) in enumerate(invented.chats(rows, planted=Planted(same=0.0, nearly=0.0, leaked=0.0))):
            file.write(orjson.dumps({**row, "id": str(number), "source": f"s{number % 5}"}) + b"\n")
    return path.stat().st_size
