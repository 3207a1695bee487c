"""One step, carried out in a process of its own: open and verify the inputs, run the stage, seal what it wrote."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from align import credentials, plots, ranks
from align.artifact import crash, digests, lock
from align.artifact.inputs import AnyInput, Inputs, SourceInput
from align.artifact.manifest import Manifest, Parent
from align.artifact.store import Sealed, Store, free_bytes
from align.errors import ResourceError
from align.job import Job, spec_of
from align.models.inputs import input_of, outside_model
from align.stages.all import RUN
from align.tracking import Output, Tracker
from align.wandb_runs import WandbRun, WandbSink

OPTIONAL = ("lm-eval",)  # told where they are installed
LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "pyarrow", "numpy")
NEEDED_BYTES = 200 << 20  # below this nothing is started: a manifest, a log and a small model must fit


def carry_out(job: Job, tracker_of: Callable[[Path], Tracker]) -> Sealed:
    """Runs and seals one step. Raises BusyError when another runner holds it, and whatever its stage raises."""
    store = Store(Path(job.store))
    with lock.held(store.lock(job.key), job.step):
        done = store.find(job.kind, job.key)
        if done and not job.rebuild:
            return done  # another runner sealed it while this one waited its turn
        partial = store.partial(job.kind, job.key)
        _check_disk(store, job)
        _open_partial(partial, job)
        crash.point("after-partial")
        inputs, parents = open_inputs(job, store)
        spec = spec_of(job)
        tracker = tracker_of(partial)
        started, clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()
        try:
            with _logged_to(partial / "log.txt"):
                devices = getattr(spec, "devices", 1)
                if devices > 1:
                    metrics = ranks.run(job, partial, devices, tracker)
                else:
                    metrics = RUN[job.kind](spec, inputs, partial, tracker)
        except BaseException:
            tracker.finish(None)
            raise
        seconds = round(time.monotonic() - clock, 3)
        _draw(partial, tracker)
        tracker.close()
        digests.write_json(partial / "metrics.json", metrics)
        draft = Manifest(
            kind=job.kind,
            name=f"{job.recipe}:{job.step}",
            key=job.key,
            stage_version=spec.version,
            spec=spec.identity(),
            seed=job.seed,
            parents=parents,
            files={},
            digest="",
            row_type=job.row_type,
            rows=_row_counts(partial, metrics),
            base=parents.get(spec.trains) if (partial / "model" / "adapter_config.json").exists() else None,
            metrics=metrics,
            notes=tracker.notes,
            versions=versions(),
            code=digests.of_code(),
            git=_git_commit(),
            tracking=tracker.identity(),
            started=started,
            seconds=seconds,
        )
        sealed = store.seal(draft)
        name, digest = sealed.path.name, sealed.manifest.digest
        tracker.finish(Output(name, job.kind, digest, str(sealed.path), metrics))
        return sealed


def _draw(partial: Path, tracker: Tracker) -> None:
    """Pictures of what was logged and found, beside the result. They are no part of it: without them the step is whole."""
    try:
        for step, path in plots.draw(partial):
            tracker.image(step, path.stem, path)
    except Exception as error:
        tracker.note(f"no plots were drawn ({type(error).__name__}: {error})")


def open_tracker(job: Job, folder: Path, emit: Callable[[dict[str, Any]], None]) -> Tracker:
    """The step's tracker, with W&B behind it where the recipe and the environment want it."""
    mode = credentials.wandb_mode(job.tracking["wandb"])
    if mode == "disabled":
        return Tracker(folder, emit)
    told = {"recipe": job.recipe, "step": job.step, "key": job.key, "inputs": job.edges}
    run = WandbRun(
        mode=mode,
        project=job.tracking["project"],
        entity=job.tracking["entity"],
        name=f"{job.recipe}:{job.step}",
        group=job.group,
        job_type=job.kind,
        config={**job.spec, "seed": job.seed, "align": told},
        inputs=tuple((f"{e['kind']}-{e['key'][:12]}", e["kind"]) for e in job.edges.values() if "key" in e),
        root=Path(job.store),
    )
    return Tracker(folder, emit, (WandbSink(run, folder, job.key),))


def open_inputs(job: Job, store: Store) -> tuple[Inputs, dict[str, Parent]]:
    """Opens every input, verified by hash, and says what each held."""
    named: dict[str, AnyInput] = {}
    parents: dict[str, Parent] = {}
    for name, edge in job.edges.items():
        if "source" in edge:
            source = SourceInput(**edge["source"])
            named[name] = source if name == "source" else outside_model(source)
            kind = source.kind
            parents[name] = Parent(source.digest, kind, source=source.location, revision=source.revision)
        else:
            sealed = store.open(edge["kind"], edge["key"])
            named[name] = input_of(edge["name"], sealed, edge["part"], store)
            parents[name] = Parent(sealed.manifest.digest, edge["kind"], key=edge["key"], part=edge["part"])
    return Inputs(named, store.cache), parents


def _check_disk(store: Store, job: Job) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    free = free_bytes(store.root)
    if free < NEEDED_BYTES:
        raise ResourceError(
            job.step,
            f"{free / 1e6:.0f} MB are free where the store lies ({store.root})",
            f"at least {NEEDED_BYTES / 1e6:.0f} MB are needed to begin",
            "free some space, or put the store elsewhere with store=FOLDER",
        )


def _open_partial(partial: Path, job: Job) -> None:
    """Goes on with a partial folder of the very same job, else begins an empty one."""
    mark = partial / "job.json"
    told = {"key": job.key, "edges": job.edges, "versions": versions()}
    try:
        same = json.loads(mark.read_text()) == json.loads(json.dumps(told))
    except (OSError, ValueError):
        same = False
    if not same:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        digests.write_json(mark, told)
    for path in partial.iterdir():  # half-written results of the run before; only its checkpoints are whole
        if (
            path.name.startswith(("model", "rows-", "report.json", "metrics.json", "quarantine.jsonl"))
            and path.name != "metrics.jsonl"
        ):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _row_counts(partial: Path, metrics: dict[str, float]) -> dict[str, int]:
    """Rows by part, for the parts that there are files of."""
    parts = [path.stem.removeprefix("rows-") for path in sorted(partial.glob("rows-*.parquet"))]
    return {part: int(metrics[f"rows/{part}"]) for part in parts if f"rows/{part}" in metrics}


def versions() -> dict[str, str]:
    there = [name for name in OPTIONAL if next(iter(metadata.distributions(name=name)), None)]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in (*LIBRARIES, *there)}}


def _git_commit() -> str | None:
    """The commit of the folder the run was started in, with + when it has changes; None outside a repository."""
    try:
        ask = ["git", "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*"]
        return subprocess.run(ask, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@contextmanager
def _logged_to(path: Path) -> Any:
    """Sends everything printed, by Python or below it, to the step's log for the body."""
    saved = os.dup(1), os.dup(2)
    with path.open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])
