"""Runs contenders one after another, each in a process of its own, and says what came of it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from align.bench import floors
from align.bench.plans import Contender, Options, contenders
from align.errors import UserError
from align.launch import devices

LIMIT_SECONDS = 1800


@dataclass(frozen=True)
class Result:
    """`error`: why there is no figure, or why it does not count. `items_per_second`: pairs or episodes."""

    name: str
    error: str = ""
    tokens_per_second: float = 0.0
    items_per_second: float | None = None
    step_seconds: float = 0.0
    spread: float = 0.0  # of the steps timed, (slowest - fastest) / median
    first_seconds: float = 0.0
    mfu: float | None = None
    floor_share: float | None = None
    peak_gb: float = 0.0
    tokens_per_step: float = 0.0
    phases: dict[str, float] | None = None  # seconds a step
    device: str = ""
    versions: dict[str, str] | None = None


def bench(options: Options, starting: Callable[[str], None]) -> list[Result]:
    """A result a contender, ours first; `starting` is told each one's name."""
    found = []
    for contender in contenders(options):
        starting(contender.name)
        found.append(measure(contender, options.work))
    return found


def measure(contender: Contender, work: str) -> Result:
    told = child(contender)
    return Result(contender.name, told) if isinstance(told, str) else judged(contender, work, told)


def child(contender: Contender) -> dict[str, Any] | str:
    """What a contender measured in a process of its own, or why it did not."""
    with tempfile.TemporaryDirectory() as folder:
        plan, result = Path(folder, "plan.json"), Path(folder, "result.json")
        plan.write_text(json.dumps(contender.plan))
        command = [
            sys.executable,
            "-m",
            "align.workloads",
            contender.module,
            contender.function,
            str(plan),
            str(result),
        ]
        environment = _environment(contender.path)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return f"not done after {LIMIT_SECONDS / 60:.0f} minutes"
        if not result.is_file():
            last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            return (last or [f"ended with code {done.returncode}"])[0].strip()
        return json.loads(result.read_text())


def judged(contender: Contender, work: str, told: dict[str, Any]) -> Result:
    """The figures; with an error where nothing was learnt, for then they are of another work."""
    plan = contender.plan
    step, tokens = statistics.median(told["seconds"]), statistics.median(told["tokens"])
    items = plan.get("pairs") or plan.get("episodes")
    per_second = statistics.median(n / s for n, s in zip(told["tokens"], told["seconds"], strict=True))
    limits, floor = floors.machine(told["device"]), floors.seconds(work, told, plan, tokens)
    learnt = not contender.trains or (told["moved"] and told["grad_norm"] > 0)
    return Result(
        name=contender.name,
        error="" if learnt else "nothing was learnt: no gradient, or no weight moved",
        tokens_per_second=per_second,
        items_per_second=items / step if items else None,
        step_seconds=step,
        spread=(max(told["seconds"]) - min(told["seconds"])) / step,
        first_seconds=told["first_s"],
        mfu=floors.flops(work, told, plan) * per_second / limits.flops if limits else None,
        floor_share=floor / step if floor else None,
        peak_gb=told["peak_gb"],
        tokens_per_step=tokens,
        phases=told["phases"],
        device=told["device"],
        versions=told["versions"],
    )


def ratio(ours: Result, peer: Result) -> float | None:
    """How many times as many tokens a second; None where one of them does not count."""
    if ours.error or peer.error:
        return None
    return ours.tokens_per_second / peer.tokens_per_second


def as_json(options: Options, results: list[Result]) -> dict[str, Any]:
    ratios = {peer.name: ratio(results[0], peer) for peer in results[1:]}
    return {"work": options.work, "size": options.size, "results": [asdict(r) for r in results], "ratios": ratios}


def require_figures(results: list[Result]) -> None:
    """UserError where ours has none."""
    if results[0].error:
        raise UserError("bench", f"align: {results[0].error}", "", "Try a smaller --size or --batch.")


def _environment(path: Path | None) -> dict[str, str]:
    root = Path(__file__).parents[2]
    known = [str(p) for p in (path and path.absolute(), root) if p] + [os.environ.get("PYTHONPATH", "")]
    quiet = {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    return os.environ | devices.of_one(os.environ) | quiet | {"PYTHONPATH": os.pathsep.join(filter(None, known))}
