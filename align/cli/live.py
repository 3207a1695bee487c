"""The table of a run on a terminal: one line a step, redrawn in place."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.text import Text

from align import words
from align.cli.progress import Progress, outlook
from align.plan import Plan, Step
from align.runner import Listener

BAR = 12
CROWD = 5  # more waiting or reused steps in a row than this share one line
MARKS = {"waiting": ("·", "dim"), "reused": ("=", "dim"), "done": ("✓", "green"), "failed": ("✗", "red")}


class LiveTable(Listener):
    """A listener of the runner, and a context in which the table is on the screen."""

    def __init__(self, console: Console) -> None:
        self.steps: dict[str, Progress] = {}
        self._console = console
        self._live = Live(self, console=console, refresh_per_second=5, vertical_overflow="crop")
        self._spinner = Spinner("dots")
        self._began = time.monotonic()
        self._stopping = False

    def __enter__(self) -> LiveTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.vertical_overflow = "visible"
        self._live.stop()

    def planned(self, plan: Plan, chosen: list[Step]) -> None:
        self.steps = {s.name: Progress(s) for s in chosen}
        if any(s.action == "run" for s in chosen):
            from align.cli.plan_table import headline

            self._console.print(f"  {headline(plan, chosen)}\n")
            self._live.start()

    def reused(self, step: Step) -> None:
        self.steps[step.name].step = step
        self.steps[step.name].state = "reused"

    def started(self, step: Step) -> None:
        self.steps[step.name].step = step
        self.steps[step.name].start()

    def told(self, step: Step, event: dict[str, Any]) -> None:
        self.steps[step.name].told(event)

    def sealed(self, step: Step, metrics: dict[str, float], seconds: float) -> None:
        self.steps[step.name].finish(metrics, seconds)

    def failed(self, step: Step, error: BaseException) -> None:
        self.steps[step.name].fail(error)

    def refused(self, step: Step, waiting: Step) -> None:
        self.steps[waiting.name].state = "waiting"
        self.steps[step.name].refuse()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max((len(n) for n in self.steps), default=0)
        lines: list[RenderableType] = []
        for group in _groups(list(self.steps.values())):
            if len(group) > CROWD:
                lines.append(_crowd(group, width))
            else:
                lines += [self._line(p, width, options.max_width) for p in group]
        notes = dict.fromkeys(
            f"{p.step.name}: {n}" for p in self.steps.values() for n in p.notes if p.state == "running"
        )
        lines += [Padding(Text(note, "dim", overflow="fold"), (0, 0, 0, 6)) for note in list(notes)[-3:]]
        lines.append(self._footer())
        yield Group(*lines)

    def _line(self, progress: Progress, width: int, room: int) -> Text:
        name = f"{progress.step.name:<{width}}"
        if progress.state == "running":
            line = Text.assemble("  ", self._spin(), " ", (name, "bold"), "  ", self._running(progress))
        else:
            mark, style = MARKS[progress.state]
            rest = _rest(progress, room - width - 6)
            line = Text.assemble("  ", (mark, style), " ", (name, "dim" if style == "dim" else ""), "  ", rest)
        line.truncate(room, overflow="ellipsis")
        line.no_wrap = True
        return line

    def _spin(self) -> Text:
        drawn = self._spinner.render(time.monotonic())
        return drawn if isinstance(drawn, Text) else Text(" ")

    def _running(self, progress: Progress) -> Text:
        if not progress.done and not progress.numbers and not progress.stopping:
            waited = words.clock(round(progress.elapsed))
            left = f", {progress.time_left()}" if progress.time_left() else ""
            return Text(f"starting, {waited}{left}", "dim")
        share = progress.share()
        told = [progress.counted(), *progress.watched()]
        left = progress.time_left() or f"{words.clock(round(progress.elapsed))} so far"
        text = Text.assemble(*([_bar(share), " "] if share is not None else []))
        text.append("  ".join(filter(None, [*told[:1], left, *told[1:]])))
        return text

    def _footer(self) -> Text:
        left = outlook(list(self.steps.values()))
        told = f"\n  {words.clock(round(time.monotonic() - self._began))} so far"
        running = any(p.state in ("running", "waiting") for p in self.steps.values())
        if not running or any(p.state == "failed" for p in self.steps.values()):
            return Text(f"\n  {words.clock(round(time.monotonic() - self._began))} in all", "dim")
        told += f", about {words.clock(round(left))} left in all" if left is not None else ""
        return Text(f"{told}. Ctrl-C saves and stops.", "dim")


def _groups(steps: list[Progress]) -> list[list[Progress]]:
    """Neighbours that are all waiting, or all reused, together; everything else alone."""
    groups: list[list[Progress]] = []
    for progress in steps:
        quiet = progress.state in ("waiting", "reused")
        if groups and quiet and groups[-1][0].state == progress.state:
            groups[-1].append(progress)
        else:
            groups.append([progress])
    return groups


def _crowd(group: list[Progress], width: int) -> Text:
    mark, style = MARKS[group[0].state]
    names = f"{group[0].step.name} … {group[-1].step.name}"
    return Text(f"  {mark} {len(group)} steps {group[0].state}: {names}", style)


def _rest(progress: Progress, room: int) -> Text:
    """What stands behind the name of a step that is not running."""
    if progress.state == "done":
        told = words.telling(progress.step.kind, progress.metrics)
        while len(told) > 1 and len(", ".join(told)) > room - 12:
            told.pop()  # a whole number less rather than half a one
        return Text(f"{words.clock(progress.seconds):>10}  {', '.join(told)}")
    if progress.state == "reused":
        return Text(f"reused, {progress.step.reason}", "dim")
    if progress.state == "failed":
        if progress.refused:
            return Text("would fail as it is; nothing was trained", "red")
        return Text("stopped" if progress.stopping else "failed", "" if progress.stopping else "red")
    about = f", about {words.clock(round(progress.step.seconds))}" if progress.step.seconds else ""
    return Text(f"waiting{about}", "dim")


def _bar(share: float) -> Text:
    full = int(share * BAR + 0.5)
    return Text.assemble(("█" * full, "cyan"), ("░" * (BAR - full), "dim"))
