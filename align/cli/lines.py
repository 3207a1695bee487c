"""A run told in plain lines, for logs and pipes: one a logging interval and step, at most one every two seconds."""

from __future__ import annotations

import os
import time
from typing import Any, TextIO

from align import words
from align.cli.plan_table import headline
from align.cli.progress import Progress
from align.plan import Plan, Step
from align.runner import Listener

SECONDS_BETWEEN = 2.0


class Lines(Listener):
    """A listener of the runner."""

    def __init__(self, stream: TextIO) -> None:
        self.steps: dict[str, Progress] = {}
        self._stream = stream
        self._last = 0.0
        self._told: set[tuple[str, str]] = set()
        self._finishing = ""  # the step of which that was said

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None: ...

    def planned(self, plan: Plan, chosen: list[Step]) -> None:
        self.steps = {s.name: Progress(s) for s in chosen}
        if any(s.action == "run" for s in chosen):
            self._print(headline(plan, chosen))

    def reused(self, step: Step) -> None:
        self.steps[step.name].step = step
        self.steps[step.name].state = "reused"
        if any(p.step.action == "run" for p in self.steps.values()):
            self._print(f"{step.name}: reused, {step.reason}")

    def started(self, step: Step) -> None:
        progress = self.steps[step.name]
        progress.step = step
        progress.start()
        about = f", about {words.clock(round(step.seconds))}" if step.seconds else ""
        self._print(f"{step.name}: started ({step.reason}){about}")
        self._last = time.monotonic()

    def told(self, step: Step, event: dict[str, Any]) -> None:
        progress = self.steps[step.name]
        progress.told(event)
        if event["event"] == "note" and (note := _note(step, event["text"])) not in self._told:
            self._told.add(note)
            self._print(f"{step.name}: note: {event['text']}")
        elif event["event"] == "stopping":  # comes from a signal handler, which must not enter the stream
            os.write(2, f"{step.name}: stopping, saving; this may take a moment\n".encode())
        elif event["event"] in ("metrics", "progress") and self._due(progress, event["event"]):
            self._last = time.monotonic()
            self._finishing = step.name if progress.finishing else ""
            self._print(f"{step.name}: {_so_far(progress)}")

    def sealed(self, step: Step, metrics: dict[str, float], seconds: float) -> None:
        self.steps[step.name].finish(metrics, seconds)
        told = ", ".join(words.telling(step.kind, metrics))
        self._print(f"{step.name}: sealed after {words.clock(seconds)}{': ' if told else ''}{told}")

    def failed(self, step: Step, error: BaseException) -> None:
        self.steps[step.name].fail(error)
        self._print(f"{step.name}: {'stopped' if self.steps[step.name].stopping else 'failed'}")

    def refused(self, step: Step, waiting: Step) -> None:
        self.steps[step.name].refuse()
        self._print(f"{step.name}: would fail as it is; stopped before {waiting.name} trains")

    def _due(self, progress: Progress, event: str) -> bool:
        """Points of a curve every two seconds; mere progress ever more rarely, the longer the step lasts; its end once."""
        if progress.finishing and self._finishing == progress.step.name:
            return False
        wait = SECONDS_BETWEEN if event == "metrics" else max(SECONDS_BETWEEN, progress.elapsed / 10)
        return time.monotonic() - self._last >= wait

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def _note(step: Step, text: str) -> tuple[str, str]:
    """What makes a note a new one: of rows each entry's own, of models, which share a tokenizer, its words alone."""
    return (step.name if step.spec.writes == "rows" else "", text)


def _so_far(progress: Progress) -> str:
    share = progress.share()
    counted = progress.counted()
    percent = f"({share:.0%})" if share is not None and "%" not in counted else ""
    head = " ".join(filter(None, [counted, percent]))
    return ", ".join(filter(None, [head, *progress.watched(), progress.time_left()]))
