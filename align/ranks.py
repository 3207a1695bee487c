"""A stage on several devices: one process a device under torchrun, started and watched by the step's own process.

    <partial>/ranks/job.json      what each rank runs
    <partial>/ranks/told.jsonl    what rank 0 told, passed on to the step's tracker as it comes
    <partial>/ranks/stop          there when the ranks are to save and end; they agree on the step at which they do
    <partial>/ranks/ended.json    rank 0's metrics, or the error it ended in

The step seals only after every rank has ended. When one dies, torchrun ends the others and the step fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from align import errors
from align.artifact.digests import write_json
from align.errors import AlignError, ResourceError
from align.job import Job
from align.tracking import Tracker

SECONDS_BETWEEN_LOOKS = 0.2
ENTRY = "align.importing", "align.rank"
STEP_PID = "ALIGN_STEP_PID"


def run(job: Job, partial: Path, devices: int, tracker: Tracker) -> dict[str, float]:
    """Runs a job's stage on `devices` processes; returns rank 0's metrics. Raises what rank 0 raised."""
    folder = partial / "ranks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_json(folder / "job.json", job.to_json())
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={devices}",
        "-m",
        *ENTRY,
    ]
    environment = os.environ | {STEP_PID: str(os.getpid())}
    started = subprocess.Popen([*command, str(partial)], start_new_session=True, env=environment)
    with _ended_with_us(started) as process, (folder / "told.jsonl").open("a+") as told:
        while process.poll() is None:
            if tracker.stop_requested:
                (folder / "stop").touch()
            _pass_on(told, tracker)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        _pass_on(told, tracker)
    return _result(folder, job, process.returncode)


@contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def _pass_on(told: Any, tracker: Tracker) -> None:
    while line := told.readline():
        if not line.endswith("\n"):
            told.seek(told.tell() - len(line.encode()))  # half a line: the rest comes with the next look
            return
        event = json.loads(line)
        if event["event"] == "metrics":
            tracker.log(event["step"], event["metrics"])
        elif event["event"] == "progress":
            tracker.progress(event["done"], event["total"], **event["telling"])
        elif event["event"] == "note":
            tracker.note(event["text"])


def _result(folder: Path, job: Job, code: int) -> dict[str, float]:
    path = folder / "ended.json"
    if not path.is_file():
        raise ResourceError(
            job.step, f"a rank was ended (exit code {code}) before it could say why; see {folder.parent / 'log.txt'}", "",
            "run again to go on from its last checkpoint; if memory ran out, lower micro_batch_size",
        )  # fmt: skip
    ended = json.loads(path.read_text())
    if "class" in ended:
        kind = getattr(errors, ended["class"], None)
        raise kind(*ended["args"]) if kind else AlignError(ended["args"][0])
    return ended["metrics"]


class RankTracker(Tracker):
    """What a rank's stage sees: rank 0 tells the step's process through a file, the others keep silent."""

    def __init__(self, partial: Path, rank: int) -> None:
        self._stop_file = partial / "ranks" / "stop"
        self._told = (partial / "ranks" / "told.jsonl").open("a", buffering=1) if rank == 0 else None
        scratch = partial / "ranks" / str(rank)  # the step's tracker alone writes the curves that are kept
        scratch.mkdir()
        super().__init__(scratch, self._write)

    @property
    def stop_requested(self) -> bool:
        return self._stop_file.exists()

    def _write(self, event: dict[str, Any]) -> None:
        if self._told:
            self._told.write(json.dumps(event) + "\n")


def end_with_the_step() -> None:
    """Ends this process when the step's own process is gone: no rank outlives a killed step."""
    step = int(os.environ[STEP_PID])

    def watch() -> None:
        while True:
            time.sleep(1)
            try:
                os.kill(step, 0)
            except ProcessLookupError:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
