"""What a step tells while it runs: curves to a local file always, progress to the runner, and both to sinks beside it.

<artifact>/metrics.jsonl    {"step": 10, "time": 1.2, "loss": 2.31, ...}   one line a logged point; the last line of a
                            step counts, since a resumed run logs the points after its checkpoint again
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from align import credentials


class Sink(Protocol):
    """Somewhere else that curves go. Nothing in it may raise, nor wait."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...
    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...
    def image(self, step: int, name: str, path: Path) -> None: ...
    def flush(self) -> str | None: ...
    def close(self, output: Output | None) -> str | None: ...
    def identity(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Output:
    """The sealed artifact a step ended in."""

    name: str
    kind: str
    digest: str
    path: str
    metrics: dict[str, float]


class Tracker:
    """The face that a stage sees. Nothing here may raise for a reason outside the run: telling never stops training."""

    def __init__(self, folder: Path, emit: Callable[[dict[str, Any]], None], sinks: tuple[Sink, ...] = ()) -> None:
        self.notes: list[str] = []
        self._stop = threading.Event()
        self._emit, self._sinks = emit, sinks
        self._start = time.monotonic()
        self._last_progress = 0.0
        self._folder = folder
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

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Rows worth reading, such as samples; the stage keeps them in a file of its own as well."""
        for sink in self._sinks:
            sink.table(step, name, columns, rows)

    def image(self, step: int, name: str, path: Path) -> None:
        """A picture that the stage wrote into its artifact."""
        for sink in self._sinks:
            sink.image(step, name, path)

    def progress(self, done: int, total: int, **telling: float) -> None:
        """How far the step is, with a few numbers worth watching. Cheap: at most ten a second are passed on."""
        now = time.monotonic()
        if now - self._last_progress > 0.1 or done >= total:
            self._last_progress = now
            self._emit({"event": "progress", "done": done, "total": total, "telling": telling})

    def note(self, sentence: str) -> None:
        """Something a person should know; told once and kept in the manifest."""
        sentence = credentials.hide(sentence)
        if sentence not in self.notes:
            self.notes.append(sentence)
            self._emit({"event": "note", "text": sentence})

    def identity(self) -> dict[str, Any]:
        """Where else the curves of this step are, for the manifest."""
        return {name: value for sink in self._sinks for name, value in sink.identity().items()}

    def close(self) -> None:
        """The stage is done: its curves are on disk, and handed over elsewhere as far as a short wait allows."""
        for complaint in [sink.flush() for sink in self._sinks]:
            if complaint:
                self.note(complaint)
        self._file.close()
        credentials.hide_in_file(self._folder / "log.txt")

    def finish(self, output: Output | None) -> None:
        """The step is over: sealed as `output`, or ended by an error or a stop (None)."""
        credentials.hide_in_file(self._folder / "log.txt")
        for complaint in [sink.close(output) for sink in self._sinks]:
            if complaint:
                self.note(complaint)
