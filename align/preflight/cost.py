"""What the whole plan takes: time, disk and memory, from the trials."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from align.artifact.store import free_bytes
from align.findings import Finding
from align.preflight.context import Context

ROWS_A_SECOND = 8000  # that prepare reads, converts and writes
TIGHT = 0.9  # of a device's memory


def totals(context: Context, to_run: set[str]) -> dict[str, Any]:
    """Seconds and bytes of each step that would run, and of all of them."""
    steps: dict[str, dict[str, float]] = {}
    for step, job in context.jobs.items():
        if step not in to_run:
            continue
        if job.kind == "prepare" and step in context.entries:
            steps[step] = {"seconds": sum(context.entries[step].total.values()) / ROWS_A_SECOND}
        elif step in context.costs and "seconds" in context.costs[step]:
            steps[step] = context.costs[step]
    kept = sum(numbers.get("bytes", 0.0) for numbers in steps.values())
    working = max((numbers.get("peak_bytes", 0.0) for numbers in steps.values()), default=0.0)
    return {
        "steps": steps,
        "seconds": sum(numbers["seconds"] for numbers in steps.values()),
        "bytes": kept + working,
        "memory": max((numbers.get("memory", 0.0) for numbers in steps.values()), default=0.0),
    }


def examine(context: Context, to_run: set[str]) -> dict[str, Any]:
    """The totals, with findings where disk or memory will not do."""
    told = totals(context, to_run)
    free = free_bytes(context.store.root)
    said = f"the plan writes up to {told['bytes'] / 1e9:.2g} GB, {free / 1e9:.3g} GB are free"
    if told["bytes"] > free:
        context.add(Finding("problem", "disk", said, "Free some space, or put the store elsewhere: store=FOLDER."))
    else:
        context.add(Finding("ok", "disk", said))
    cuda = torch.cuda.is_available()
    total = torch.cuda.get_device_properties(0).total_memory if cuda else psutil.virtual_memory().total
    said = f"{told['memory'] / 2**30:.2g} of {total / 2**30:.3g} GiB at most ({'GPU' if cuda else 'this process'})"
    tight = told["memory"] > TIGHT * total
    remedy = "Lower micro_batch_size, or set checkpoint_activations: true." if tight else ""
    context.add(Finding("warning" if tight else "ok", "memory", said, remedy))
    return told
