"""The server that forks children: it imports the heavy libraries once, and never computes nor touches a GPU."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from align.job import Job
from align.launch import child

# Children keep the server's environment, so it is set before the server starts.
ENVIRONMENT = {
    "PYTHONSAFEPATH": "1",  # a datasets.py that lies where a command is given is not the library
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "GOMP_SPINCOUNT": "10000",  # idle threads wait briefly, then sleep: on shared cores long spinning trained 3 times slower
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}


class Server:
    """Starts children that have torch, transformers and TRL imported already: 0.04 s where a fresh process costs 4 s."""

    def __init__(self) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["align.launch.heavy"])

    def start(self, job: Job) -> AbstractContextManager[tuple[BaseProcess, Connection]]:
        """A child carrying out `job`, and the wire its events come over. The child ends when the wire is closed."""
        return self._child(child.enter, job.to_json(), f"align {job.step}")

    def look_ahead(self, request: dict[str, Any]) -> AbstractContextManager[tuple[BaseProcess, Connection]]:
        """A child that looks at the stages still to train (align/preflight/glance.py)."""
        return self._child(child.look_ahead, request, "align look ahead")

    @contextmanager
    def _child(self, target: Any, told: dict[str, Any], name: str) -> Iterator[tuple[BaseProcess, Connection]]:
        with _interrupts_ignored():
            forkserver.ensure_running()
        ours, theirs = self._context.Pipe(duplex=True)
        process = self._context.Process(target=target, args=(told, theirs), name=name)
        process.start()
        theirs.close()
        try:
            yield process, ours
        finally:
            ours.close()
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started in here never hears of Ctrl-C, which goes to the whole group: the runner alone decides."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set it; then Ctrl-C while the server imports leaves a traceback
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
