"""The process behind `align check`: a recipe's jobs examined on samples, its steps tried in small.

{"do": "check", "recipe", "jobs": [...], "to_run": [...], "store", "target": [...], "static": false}
    -> {"event": "progress", "what"} ..., {"event": "finding", "finding": {...}} ..., {"event": "coverage", "table"},
       {"event": "checked", "state", "cost": {...}, "seconds", "parts": {WHAT: seconds}},
       {"event": "done"}
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from align.artifact.store import Store
from align.findings import worst
from align.job import Job
from align.models.quiet import quiet
from align.preflight import across, bases, cost, entries, stages, suites
from align.preflight.context import Context, Tell


def answer(request: dict[str, Any], tell: Tell) -> None:
    began = time.monotonic()
    store = Store(Path(request["store"]))
    store.root.mkdir(parents=True, exist_ok=True)
    jobs = {job["step"]: Job(**job) for job in request["jobs"]}
    _remove_leftovers(store.root)
    with tempfile.TemporaryDirectory(prefix=f"check-{os.getpid()}-", dir=store.root) as scratch, quiet():
        context = Context(request["recipe"], jobs, store, Path(scratch), tell, static=bool(request.get("static")))
        entries.examine(context)
        across.examine(context, request.get("target"))
        if not context.static:
            bases.examine(context)
        stages.examine(context)
        suites.examine(context)
        told = {"steps": {}} if context.static else cost.examine(context, set(request["to_run"]))  # measured on trials
    seconds = time.monotonic() - began
    done = {"event": "checked", "state": worst(context.findings), "cost": told, "seconds": seconds}
    tell({**done, "parts": context.times()})


def _remove_leftovers(root: Path) -> None:
    """Folders of trials whose process was killed."""
    for folder in root.glob("check-*-*"):
        process = folder.name.split("-")[1]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)
