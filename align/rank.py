"""One rank of a stage on several devices; see align/ranks.py."""

from __future__ import annotations

import json
import os
import signal
import traceback
from pathlib import Path

import torch

from align.artifact.digests import write_json
from align.artifact.store import Store
from align.errors import AlignError
from align.job import Job, spec_of
from align.ranks import RankTracker, end_with_the_step
from align.stages.all import RUN
from align.step import open_inputs


def main(folder: str) -> int:
    """Runs the stage whose partial artifact is in `folder` as this rank; rank 0 writes how it ended. Returns the exit code."""
    partial = Path(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's to answer
    end_with_the_step()
    rank = int(os.environ["RANK"])
    job = Job(**json.loads((partial / "ranks" / "job.json").read_text()))
    try:
        inputs, _ = open_inputs(job, Store(Path(job.store)))
        ended: dict[str, object] = {"metrics": RUN[job.kind](spec_of(job), inputs, partial, RankTracker(partial, rank))}
    except AlignError as error:
        ended = {"class": type(error).__name__, "args": list(error.args)}
    except Exception as error:
        traceback.print_exc()  # to the step's log
        lost = any(word in str(error) for word in ("gloo", "NCCL", "onnection"))
        ended = _lost(job.step) if lost else {"class": "", "args": [traceback.format_exc()]}
    if rank == 0:
        write_json(partial / "ranks" / "ended.json", ended)
    if "metrics" in ended and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 0 if "metrics" in ended else 1


def _lost(step: str) -> dict[str, object]:
    """What rank 0 says when a collective operation broke: another rank is gone, and that one cannot say why."""
    told = [
        "a rank was ended while the others waited for it",
        "",
        "run again to go on from the last checkpoint; see its log",
    ]
    return {"class": "ResourceError", "args": [step, *told]}
