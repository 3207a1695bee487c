"""How far each step of a run is: what both displays, the live table and the plain lines, are drawn from."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from align import words
from align.errors import Stopped
from align.plan import Step

State = Literal["waiting", "reused", "running", "done", "failed"]
PERCENT = ("measure",)  # kinds that count shares of their work, not steps


@dataclass
class Progress:
    """One step. `anchor` is where its pace is measured from: the first word it gave, since a resumed one starts high."""

    step: Step
    state: State = "waiting"
    done: int = 0
    total: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    stopping: bool = False
    refused: bool = False  # it was not begun: a look ahead found that it would fail
    began: float = 0.0
    anchor: tuple[float, int] = (0.0, 0)
    heard: float = 0.0  # when it last said how far it is

    def start(self) -> None:
        self.state, self.began = "running", time.monotonic()

    def told(self, event: dict[str, Any]) -> None:
        """Takes in what the step's process said."""
        kind = event["event"]
        if kind == "progress":
            if event["total"] != self.total or event["done"] < self.done or not self.anchor[0]:
                self.anchor = time.monotonic(), event["done"]
            self.done, self.total, self.heard = event["done"], event["total"], time.monotonic()
            self.numbers |= event["telling"]
        elif kind == "metrics":
            self.numbers |= {k: v for k, v in event["metrics"].items() if k in words.LIVE or k not in self.numbers}
        elif kind == "note" and event["text"] not in self.notes:
            self.notes.append(event["text"])
        elif kind == "stopping":
            self.stopping = True

    def finish(self, metrics: dict[str, float], seconds: float) -> None:
        self.state, self.metrics, self.seconds = "done", metrics, seconds

    def fail(self, error: BaseException) -> None:
        self.state, self.stopping = "failed", isinstance(error, (Stopped, KeyboardInterrupt))

    def refuse(self) -> None:
        self.state, self.refused = "failed", True

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began if self.began else 0.0

    @property
    def finishing(self) -> bool:
        """Whether all was done that it counts, so that only writing and sealing are left."""
        return bool(self.total) and self.done >= self.total

    def share(self) -> float | None:
        return min(1.0, self.done / self.total) if self.total else None

    def left(self) -> float | None:
        """Seconds left as the step itself says, else by its pace, else by the last time; None when nothing is known."""
        when, where = self.anchor
        now = time.monotonic()
        if "seconds_left" in self.numbers:
            return max(0.0, self.numbers["seconds_left"] - (now - self.heard))
        if self.step.kind not in PERCENT and self.total and self.done > where and now > when + 0.5:
            return (self.total - self.done) * (now - when) / (self.done - where)
        if self.step.seconds is not None and self.step.seconds > self.elapsed:
            return self.step.seconds - self.elapsed
        return None

    def counted(self) -> str:
        if self.step.kind in PERCENT and self.total:
            suite, suites = (round(self.numbers.get(name, 0)) for name in ("suite", "suites"))
            return f"{self.done / self.total:.0%}" + (f", suite {suite} of {suites}" if suites > 1 else "")
        if self.total:
            return f"{self.done:,}/{self.total:,}"
        return f"{self.done:,}" if self.done else ""

    def watched(self) -> list[str]:
        """The numbers worth watching while it runs."""
        return [words.phrase(name, self.numbers[name]) for name in words.LIVE if name in self.numbers]

    def time_left(self) -> str:
        if self.stopping:
            return "stopping, saving"
        if self.finishing:
            return "finishing"
        left = self.left()
        return "" if left is None else f"{words.clock(round(left))} left"


def outlook(steps: list[Progress]) -> float | None:
    """Seconds until the run is over, when that can be said."""
    known = [p.left() if p.state == "running" else p.step.seconds for p in steps if p.state in ("running", "waiting")]
    return sum(k for k in known if k is not None) if all(k is not None for k in known) else None
