"""Looking for duplicates and leaks among synthetic chats, timed without the making of the rows."""

from __future__ import annotations

import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from align.data.leakage.references import QuestionIndex, Questions
from align.data.leakage.scan import Policy, Scan
from align.workloads.chats import chats, questions

BLOCK = 4096
CLOCKS = {"seconds": time.perf_counter, "cpu_seconds": time.process_time}


def dedup(plan: dict[str, Any]) -> dict[str, Any]:
    """One scan of `rows` chats, for exact and near duplicates and for leaks of `questions`."""
    asked = questions(plan["questions"])
    began = time.process_time()
    index = _index(asked)
    indexed = time.process_time() - began
    planted: Counter[str] = Counter()
    characters = 0
    with tempfile.TemporaryDirectory() as folder, _Timed(Policy(), index, ["eval"], Path(folder)) as scan:
        block: list[dict[str, Any]] = []
        for kind, row in chats(plan["rows"], asked=asked):
            planted[kind] += 1
            characters += sum(len(message["content"]) for message in row["messages"])
            block.append(row)
            if len(block) == BLOCK:
                scan.take(block)
                block.clear()
        scan.take(block)
        found = scan.end()
    return {
        "rows": plan["rows"], "questions": plan["questions"], "characters_per_row": characters / plan["rows"],
        "planted": planted, "found": found, "bytes_per_row": scan.held / plan["rows"],
        "duplicates": {name: scan.whole[name] - scan.looked_up[name] for name in CLOCKS}, "leaks": scan.looked_up,
        "index_seconds": indexed, "bytes_per_question": index.bytes / plan["questions"],
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


class _Timed(Scan):
    """A scan that knows what it cost, and what of it went into looking rows up in the index."""

    whole = looked_up = dict.fromkeys(CLOCKS, 0.0)
    held = 0

    def take(self, rows: list[dict[str, Any]]) -> None:
        began = _now()
        for row in rows:
            self.add(row, "chats", 0)
        self.whole = _since(began, self.whole)

    def end(self) -> dict[str, float]:
        began = _now()
        self._take()
        self.held = self.bytes
        found = self.finish().metrics
        self.whole = _since(began, self.whole)
        return found

    def _look_up(self, *batch: Any) -> None:
        began = _now()
        super()._look_up(*batch)
        self.looked_up = _since(began, self.looked_up)


def _now() -> dict[str, float]:
    return {name: clock() for name, clock in CLOCKS.items()}


def _since(began: dict[str, float], spent: dict[str, float]) -> dict[str, float]:
    return {name: spent[name] + clock() - began[name] for name, clock in CLOCKS.items()}


def _index(asked: list[str]) -> QuestionIndex:
    held = Questions()
    for number, text in enumerate(asked, 1):
        held.add("eval", number, text)
    return held.sealed()
