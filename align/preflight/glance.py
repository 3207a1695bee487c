"""What a run looks at by itself before its first stage trains: the first prepared rows under each tokenizer and template.

And every suite's rows. Nothing is tried and no weights are read, so that it costs about a second; `align check` does the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from align.artifact.store import Store
from align.job import Job
from align.models.quiet import quiet
from align.preflight import entries, stages, suites
from align.preflight.context import Context, Tell


def look(request: dict[str, Any], tell: Tell) -> None:
    """Tells a finding of each stage among `to_run` that reads what is prepared already."""
    jobs = {job["step"]: Job(**job) for job in request["jobs"]}
    store = Store(Path(request["store"]))
    with quiet():
        context = Context(request["recipe"], jobs, store, store.root / "nothing is written", tell, static=True)
        entries.glance(context)
        stages.examine(context, set(request["to_run"]))
        suites.examine(context, set(request["to_run"]))
