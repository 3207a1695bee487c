"""A step's process: what happens before and after the step itself. Light, so that the runner can name it without torch."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from align.errors import AlignError, of_place
from align.job import Job
from align.launch import devices

GLANCE = "align.preflight.glance"
HEAVY = "align.step"  # imported here by name: this module must stay importable without torch


def enter(job: dict[str, Any], wire: Connection) -> None:
    """Carries out a job and reports over the wire: events while it runs, at last `sealed` or `failed`.

    Ctrl-C reaches the whole process group, so SIGINT is left to the runner, which asks for a stop by SIGTERM. When the
    runner dies the wire closes and this process ends at once; its checkpoints stay.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sending = threading.Lock()

    def emit(event: dict[str, Any]) -> None:
        try:
            with sending:
                wire.send(event)
        except OSError:
            os._exit(1)  # nobody listens any more

    threading.Thread(target=_watch, args=(wire,), daemon=True).start()
    if job["spec"].get("devices", 1) == 1:
        os.environ |= devices.of_one(os.environ)  # before anything asks for a GPU
    try:
        step = importlib.import_module(HEAVY)
        sealed = step.carry_out(Job(**job), lambda folder: _tracker(step, Job(**job), folder, emit))
        emit(
            {
                "event": "sealed",
                "path": str(sealed.path),
                "metrics": sealed.manifest.metrics,
                "seconds": sealed.manifest.seconds,
            }
        )
        code = 0
    except BaseException as caught:
        error = of_place(caught) if isinstance(caught, OSError) else caught
        known = isinstance(error, AlignError)
        code = error.exit_code if isinstance(error, AlignError) else 1
        args = list(error.args) if known else [traceback.format_exc()]
        emit({"event": "failed", "class": type(error).__name__ if known else "", "args": args, "exit_code": code})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not through exit handlers: a tracking service that hangs must not hold the step


def look_ahead(request: dict[str, Any], wire: Connection) -> None:
    """Looks at the stages still to train and sends a finding each, at last `done`. What fails here stops no run: it is told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(wire,), daemon=True).start()
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    try:
        importlib.import_module(GLANCE).look(request, wire.send)
    except Exception as error:
        told = {"state": "warning", "subject": "", "found": f"the look ahead ended early: {error!r}", "remedy": ""}
        wire.send({"event": "finding", "finding": told})
    wire.send({"event": "done"})
    os._exit(0)


def _tracker(step: Any, job: Job, folder: Path, emit: Any) -> Any:
    tracker = step.open_tracker(job, folder, emit)
    signal.signal(signal.SIGTERM, lambda *_: tracker.request_stop())
    return tracker


def _watch(wire: Connection) -> None:
    """The runner never sends anything: the wire becomes readable only when its end is gone."""
    try:
        wire.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
