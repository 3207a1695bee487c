"""What the parts of a preflight share: the recipe's jobs, the rows and models found so far, and whom to tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.artifact.inputs import AnyInput, ModelInput, RowsInput, SourceInput
from align.artifact.store import Store
from align.data.split import TRAIN
from align.data.store_rows import RowWriter, part_file
from align.errors import UserError
from align.findings import Finding
from align.inspection.measures import Repetitions, texts_of
from align.job import Job
from align.models.inputs import input_of, outside_model
from align.specs import STEPS

Row = dict[str, Any]
Tell = Callable[[dict[str, Any]], None]

TRIAL_ROWS = 256  # the longest ones of an entry's sample; where they are measured one of each slice and axis first


@dataclass
class Entry:
    """A data entry as far as it was read. `total`: rows of each part, estimated where the source was not read to its end."""

    name: str
    row_type: str
    rows: dict[str, list[Row]]
    total: dict[str, int]
    repetitions: Repetitions = field(default_factory=Repetitions)
    whole: bool = True
    quarantines: frozenset[str] = frozenset()  # entries whose questions its `against` takes out of it


def trained_input(job: Job) -> str:
    """The input of a step whose weights its model grows from; empty where it begins from random ones."""
    name = STEPS[job.kind].trains
    return name if name in job.edges else ""


@dataclass
class Context:
    """One preflight. `models` and `rewards`: what a step's trial wrote, which stands in for what it will write."""

    recipe: str
    jobs: dict[str, Job]
    store: Store
    scratch: Path
    tell: Tell
    entries: dict[str, Entry] = field(default_factory=dict)
    models: dict[str, ModelInput] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # step -> why nothing that rests on it can be tried
    findings: list[Finding] = field(default_factory=list)
    costs: dict[str, dict[str, float]] = field(default_factory=dict)
    checkpoints: dict[str, float] = field(default_factory=dict)  # bytes of those written and read back
    said: list[tuple[str, float]] = field(default_factory=list)  # what was done, and when it began
    static: bool = False  # nothing is tried: a model that is not trained yet is stood in for by the one it begins with

    def add(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings.append(finding)
            self.tell({"event": "finding", "finding": finding.to_json()})

    def say(self, what: str) -> None:
        self.said.append((what, time.monotonic()))
        self.tell({"event": "progress", "what": what, "done": 0, "total": 0})

    def say_more(self, done: int, total: int) -> None:
        """How far what was said last has come."""
        if self.said:
            self.tell({"event": "progress", "what": self.said[-1][0], "done": done, "total": total})

    def times(self) -> dict[str, float]:
        """Seconds of each part so far."""
        ends = [began for _, began in self.said[1:]] + [time.monotonic()]
        return {what: round(end - began, 2) for (what, began), end in zip(self.said, ends, strict=True)}

    def edge(self, step: str, name: str) -> dict[str, Any]:
        return self.jobs[step].edges[name]

    def sources_of(self, name: str, part: str) -> set[tuple[str, str]]:
        """The entries and parts whose rows a part holds: itself, or those that it is a mixture or a selection of."""
        if name not in self.entries:
            return set()
        edges = self.jobs[name].edges.items()
        made_of = [edge for field, edge in edges if field.partition(".")[0] in ("mix", "select")]
        found = [self.sources_of(edge["name"], edge["part"] or TRAIN) for edge in made_of]
        return set().union(*found) if made_of else {(name, part)}

    def asks(self, step: str, field: str) -> bool:
        """Whether a stage reads this input without learning from it."""
        return self.jobs[step].kind == "measure" or field == "eval_data"

    def only_asked(self, name: str) -> bool:
        """Whether an entry is read, and by nothing that trains on it: by suites, as eval_data, to hold others against."""
        readers = [(s, f) for s, job in self.jobs.items() for f, edge in job.edges.items() if edge.get("name") == name]
        return bool(readers) and not any(self._is_trained_by(*reader) for reader in readers)

    def _is_trained_by(self, step: str, field: str) -> bool:
        if STEPS[self.jobs[step].kind].writes != "rows":
            return not self.asks(step, field)
        return field.partition(".")[0] in ("mix", "select") and not self.only_asked(step)

    def entry_of(self, step: str, name: str) -> tuple[Entry, str] | None:
        """The entry and part that an input of a step reads; None where it was not read."""
        edge = self.jobs[step].edges.get(name, {})
        entry = self.entries.get(edge.get("name", ""))
        return (entry, edge["part"] or "train") if entry else None

    def input(self, step: str, name: str, rows: int = TRIAL_ROWS) -> AnyInput:
        """What a step's input is, or what stands in for it: the longest `rows` of the sample, a trial's model.

        Raises UserError where there is nothing.
        """
        edge = self.edge(step, name)
        if "source" in edge:
            return outside_model(SourceInput(**edge["source"]))
        parent = edge["name"]
        if parent in self.entries:
            measured = self.jobs[step].kind == "measure"
            return self._sample_of(self.entries[parent], edge["part"] or "train", rows, measured)
        sealed = self.store.find(edge["kind"], edge["key"])
        if sealed:
            return input_of(parent, sealed, edge["part"], self.store)
        if parent in self.models:
            return self.models[parent]
        if self.static and (begins := trained_input(self.jobs[parent])):
            return self.input(parent, begins)
        raise UserError(step, f"not tried: it rests on {parent}, {self.failed.get(parent, 'which was not tried')}")

    def _sample_of(self, entry: Entry, part: str, most: int, measured: bool) -> RowsInput:
        """The longest rows of a part as a stage reads them, longest first, written once."""
        folder = self.scratch / "rows" / entry.name / f"{most}{' of every kind' if measured else ''}"
        path = part_file(folder, part)
        rows = longest(entry.rows.get(part) or [])
        if not rows:
            raise UserError(f"data.{entry.name}", f"no row of part {part} was found in the sample")
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with RowWriter(folder, entry.row_type, (part,)) as writer:
                for row in (_of_every_kind(rows) if measured else rows)[:most]:
                    writer.write(part, row)
        count = min(len(rows), most)
        return RowsInput(f"{entry.name}.{part}", (path,), entry.row_type, count, f"sample of {path}")


def longest(rows: Sequence[Row]) -> list[Row]:
    """The rows with the most text first."""
    return sorted(rows, key=lambda row: -sum(map(len, texts_of(row).values())))


def _of_every_kind(rows: list[Row]) -> list[Row]:
    """The rows with the first of each slice and axis before the others, so that few of them hold all."""
    first: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        for kind in ("slice", "axis"):
            if row.get(kind):
                first.setdefault((kind, row[kind]), number)
    ahead = dict.fromkeys(sorted(first.values()))
    return [rows[number] for number in ahead] + [row for number, row in enumerate(rows) if number not in ahead]
