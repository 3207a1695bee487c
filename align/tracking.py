"""What a step tells while it runs: curves to a local file always, progress to the runner, and both to W&B where asked.

<artifact>/metrics.jsonl    {"step": 10, "time": 1.2, "loss": 2.31, ...}   one line a logged point; the last line of a
                            step counts, since a resumed run logs the points after its checkpoint again
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol


class Sink(Protocol):
    """Somewhere else that curves go."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...


class Tracker:
    """The face that a stage sees. Nothing here may raise for a reason outside the run: telling never stops training."""

    def __init__(self, folder: Path, emit: Callable[[dict[str, Any]], None], sinks: tuple[Sink, ...] = ()) -> None:
        self.notes: list[str] = []
        self._stop = threading.Event()
        self._emit, self._sinks = emit, sinks
        self._start = time.monotonic()
        self._last_progress = 0.0
        self._file = (folder / "metrics.jsonl").open("a", buffering=1)

    @property
    def stop_requested(self) -> bool:
        """Whether somebody asked this step to save and end."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        self._stop.set()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A point on the curves, at an optimizer step (or row) of this stage."""
        plain = {name: float(value) for name, value in metrics.items()}
        line = {"step": step, "time": round(time.monotonic() - self._start, 3)}
        finite = {name: value if math.isfinite(value) else str(value) for name, value in plain.items()}
        self._file.write(json.dumps({**line, **finite}) + "\n")
        self._emit({"event": "metrics", "step": step, "metrics": plain})
        for sink in self._sinks:
            sink.log(step, plain)

    def progress(self, done: int, total: int, **telling: float) -> None:
        """How far the step is, with a few numbers worth watching. Cheap: at most ten a second are passed on."""
        now = time.monotonic()
        if now - self._last_progress > 0.1 or done >= total:
            self._last_progress = now
            self._emit({"event": "progress", "done": done, "total": total, "telling": telling})

    def note(self, sentence: str) -> None:
        """Something a person should know; told once and kept in the manifest."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self._emit({"event": "note", "text": sentence})

    def identity(self) -> dict[str, Any]:
        """Where else the curves of this step are, for the manifest."""
        return {}

    def close(self) -> None:
        self._file.close()
