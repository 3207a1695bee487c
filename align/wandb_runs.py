"""W&B as a sink of a step's curves, one run a step.

<partial>/wandb.json        the W&B run this step goes on in when it is resumed
<store>/wandb/              W&B's own folders, for `wandb sync`
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb

from align import credentials
from align.artifact.digests import write_json
from align.tracking import Output

QUEUED = 20_000  # points that wait for W&B at most; those beyond are left to the local file
SECONDS_INIT = 30.0
SECONDS_END = 10.0  # what W&B may cost at the end of a step, at most
SECONDS_SHUN = 600.0  # after it was too slow, later steps work offline for so long


@dataclass(frozen=True)
class WandbRun:
    """What W&B is told about a step when its run begins."""

    mode: credentials.Mode
    project: str
    entity: str | None
    name: str
    group: str
    job_type: str
    config: dict[str, Any]
    inputs: tuple[tuple[str, str], ...] = ()  # (artifact name, kind) of the step's inputs
    root: Path = Path(".align")


class WandbSink:
    """W&B behind a bounded queue and a daemon thread: it may fail, hang or be slow, and the step never notices.

    W&B's own limits do not hold (an unreachable server blocks `init` for 100 s), so every call to it is made on the
    thread, and what it may cost is a wait of at most `patience` seconds at the end.
    """

    def __init__(self, run: WandbRun, folder: Path, key: str, patience: float = SECONDS_END) -> None:
        self._told, self._patience = run, patience
        self._shunned = run.root / "wandb-too-slow.json"
        shunned = run.mode == "online" and _recent(self._shunned)
        self.mode: credentials.Mode = "offline" if shunned else run.mode
        self.id = _run_id(folder, key)
        self._url: str | None = None
        self._queue: queue.Queue[Callable[[Any], object] | None] = queue.Queue(QUEUED)
        self._dropped = 0
        self._failure = "it did not answer a while ago" if shunned else ""
        self._given_up = False
        self._ended = threading.Event()
        threading.Thread(target=self._work, name="wandb", daemon=True).start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        point = dict(metrics)
        self._put(lambda run: run.log(point, step=step))

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        data: Any = [list(row) for row in rows]
        self._put(lambda run: run.log({name: wandb.Table(columns=list(columns), data=data)}, step=step))

    def image(self, step: int, name: str, path: Path) -> None:
        self._put(lambda run: run.log({name: wandb.Image(str(path))}, step=step))

    def flush(self) -> str | None:
        """Waits until everything so far is handed over, within patience; says what is wrong if anything is."""
        reached = threading.Event()
        self._put(lambda _: reached.set())
        began = time.monotonic()
        while not reached.wait(0.05) and not self._ended.is_set():
            if time.monotonic() - began > self._patience:
                self._give_up()
                break
        return self._complaint()

    def close(self, output: Output | None) -> str | None:
        """Logs the output as a reference (never the weights themselves), ends the run, and waits within patience."""
        told_before = bool(self._complaint())
        if self._given_up:
            return None
        if output:
            self._put(lambda run: self._log_output(run, output))
        self._put(lambda run: run.finish(exit_code=0 if output else 1))
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        if not self._ended.wait(self._patience):
            self._give_up()
        return None if told_before else self._complaint()

    def identity(self) -> dict[str, Any]:
        known = {"wandb": self.mode, "id": self.id, "project": self._told.project, "url": self._url}
        return {name: value for name, value in known.items() if value}

    def _put(self, call: Callable[[Any], object]) -> None:
        try:
            self._queue.put_nowait(call)
        except queue.Full:
            self._dropped += 1

    def _work(self) -> None:
        run = None
        try:
            run = self._open()
            self._url = getattr(run, "url", None)
            while (call := self._queue.get()) is not None:
                call(run)
        except Exception as error:  # W&B raises what it likes; a curve is not worth a run
            self._failure = _in_a_line(error)
            with contextlib.suppress(Exception):
                run.finish(exit_code=1)  # type: ignore[union-attr] - hands over what it took so far
        finally:
            self._ended.set()

    def _open(self) -> Any:
        """The run, online if it can be had in time, else offline under the same id, to be sent later."""
        if self.mode == "online":
            try:
                run = self._init("online")
                self._use_inputs(run)
                return run
            except Exception as error:
                self._failure = _in_a_line(error)
                self.mode = "offline"
                self._shun()
        return self._init("offline")

    def _init(self, mode: credentials.Mode) -> Any:
        told = self._told
        told.root.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            init_timeout=SECONDS_INIT,
            silent=True,
            console="off",
            disable_git=True,  # a remote's address may hold a token
            disable_code=True,
            x_disable_meta=True,  # command line, user and host
            x_save_requirements=False,
        )
        return wandb.init(
            project=told.project, entity=told.entity, name=told.name, group=told.group, job_type=told.job_type,
            config=credentials.hide_in(told.config), id=self.id, resume="allow", mode=mode, dir=str(told.root),
            settings=settings,
        )  # type: ignore[arg-type]  # fmt: skip

    def _use_inputs(self, run: Any) -> None:
        """Draws the lineage where W&B knows the inputs; they are in the config in any case."""
        for name, kind in self._told.inputs:
            with contextlib.suppress(Exception):  # made before W&B was used, or in another project
                run.use_artifact(f"{name}:latest", type=kind)

    def _log_output(self, run: Any, output: Output) -> None:
        try:
            run.log_artifact(_reference(output))
        except Exception as error:  # the curves are worth handing over all the same
            self._failure = _in_a_line(error)

    def _give_up(self) -> None:
        self._given_up = True
        self._failure = self._failure or f"no answer within {self._patience:.0f} s"
        if self.mode == "online":
            self._shun()

    def _shun(self) -> None:
        with contextlib.suppress(OSError):
            write_json(self._shunned, {"since": time.time()})

    def _complaint(self) -> str | None:
        """One sentence about what W&B did not get, or None."""
        kept = "every point is in metrics.jsonl"
        if self._failure and not self._given_up and self.mode == "offline" and not self._ended.is_set():
            return f"W&B could not be reached ({self._failure}); send the run later: wandb sync {self._told.root}/wandb"
        if self._failure:
            return f"W&B did not get all of this step ({self._failure}); {kept}"
        if self._dropped:
            return f"W&B was too slow and did not get {self._dropped:,} points; {kept}"
        return None


def _recent(marker: Path) -> bool:
    """Whether W&B was given up on a short while ago; a torn or strange marker counts for nothing."""
    try:
        return 0 <= time.time() - float(json.loads(marker.read_text())["since"]) < SECONDS_SHUN
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _run_id(folder: Path, key: str) -> str:
    """The W&B id of this building of this key: the same when resumed, another when built again from nothing."""
    path = folder / "wandb.json"
    try:
        known = json.loads(path.read_text())["id"]
        if isinstance(known, str) and known.startswith(key[:12]):
            return known
    except (OSError, ValueError, KeyError, TypeError):
        pass
    fresh = f"{key[:12]}-{int(time.time()):x}"
    with contextlib.suppress(OSError):
        write_json(path, {"id": fresh})
    return fresh


def _in_a_line(error: Exception) -> str:
    return credentials.hide(f"{type(error).__name__}: {error}").splitlines()[0][:200]


def _reference(output: Output) -> Any:
    """The sealed artifact as W&B's lineage shows it: by digest and place, without its files."""
    told = {"digest": output.digest, "path": output.path, **output.metrics}
    artifact = wandb.Artifact(output.name, type=output.kind, metadata=told)
    artifact.add_reference(Path(output.path).as_uri(), name="artifact", checksum=False)
    return artifact
