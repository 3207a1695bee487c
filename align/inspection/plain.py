"""The process behind `align inspect` where no model is asked for: no torch is imported.

{"do": "inspect", "source": {...}, "name", "as", "columns", "format", "filters", "limit", "samples"}
    -> {"event": "progress", "what", "done", "total"} ..., {"event": "inspected", "report": {...}}, {"event": "done"}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from align.artifact.inputs import SourceInput
from align.data import filters
from align.inspection import report
from align.inspection.survey import Asked, Survey, survey
from align.serving import Tell
from align.specs.filters import Filters


def asked_of(request: dict[str, Any]) -> Asked:
    """What a request wants read."""
    return Asked(
        SourceInput(**request["source"]), request["name"], request.get("as"), request.get("columns") or {},
        request.get("format"), request.get("limit"), request.get("seconds"),
        filters.asked(Filters.model_validate(request.get("filters") or {})),
    )  # fmt: skip


def progress_of(tell: Tell, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell({"event": "progress", "what": what, "done": done, "total": total})


def inspect(request: dict[str, Any], tell: Tell) -> tuple[Survey, dict[str, Any]]:
    """The survey of a source, and its report."""
    found = survey(asked_of(request), progress_of(tell, "reading rows"))
    told = report.of_survey(found)
    told["findings"] = [f.to_json() for f in report.findings(found, "rows", request.get("drop_budget", 0.001))]
    told["samples"] = [{"row": number, "values": row} for number, row in found.sample.items[: request["samples"]]]
    return found, told


def answer(request: dict[str, Any], tell: Tell) -> None:
    _, told = inspect(request, tell)
    tell({"event": "inspected", "report": told})
