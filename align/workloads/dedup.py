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


def dedup(plan: dict[str, Any]) -> dict[str, Any]:
    """Of `rows` chats: exact and near duplicates first, then, in a second pass, leaks of `questions`."""
    asked = questions(plan["questions"])
    duplicates = _pass(plan["rows"], asked, Policy(duplicates="count"), None)
    began = time.perf_counter()
    held = Questions()
    for number, text in enumerate(asked, 1):
        held.add("eval", number, text)
    index = held.sealed()
    indexed = time.perf_counter() - began
    leaks = _pass(plan["rows"], asked, Policy(duplicates="ignore"), index)
    planted = Counter(duplicates.pop("planted"))
    leaks.pop("planted")
    return {
        "rows": plan["rows"], "questions": plan["questions"], "planted": planted, "duplicates": duplicates,
        "leaks": leaks | {"index_seconds": indexed, "bytes_per_question": index.bytes / plan["questions"]},
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


def _pass(count: int, asked: list[str], policy: Policy, index: QuestionIndex | None) -> dict[str, Any]:
    """Seconds of wall and processor that one scan takes, what it found, and what it held."""
    clocks, spent = (time.perf_counter, time.process_time), [0.0, 0.0]
    planted: Counter[str] = Counter()
    characters = 0
    block: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, Scan(policy, index, ["eval"] if index else [], Path(folder)) as scan:

        def timed(last: bool) -> dict[str, float]:
            before = [clock() for clock in clocks]
            for row in block:
                scan.add(row, "chats", 0)
            found = {"bytes": scan.bytes, **scan.finish().metrics} if last else {}
            for place, clock in enumerate(clocks):
                spent[place] += clock() - before[place]
            block.clear()
            return found

        for kind, row in chats(count, asked=asked):
            planted[kind or "plain"] += 1
            characters += sum(len(message["content"]) for message in row["messages"])
            block.append(row)
            if len(block) == 4096:
                timed(last=False)
        found = timed(last=True)
    held = found.pop("bytes") / count
    return {
        "seconds": spent[0], "cpu_seconds": spent[1], "found": found, "bytes_per_row": held, "planted": planted,
        "characters_per_row": characters / count,
    }  # fmt: skip
