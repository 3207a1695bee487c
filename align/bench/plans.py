"""What is measured: per kind of work, the contenders and the amount of work that each of them is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from align.errors import UserError, did_you_mean

Work = Literal["sft", "reward", "dpo", "ppo", "generate"]
Size = Literal["tiny", "135m", "360m", "1.5b"]
WORKS, SIZES = get_args(Work), get_args(Size)
OF_ROWS = ("prepare", "dedup")  # works without a model, which are measured elsewhere in this room


@dataclass(frozen=True)
class Options:
    """`peer_path`: a folder with the TRL to compare with (pip install --no-deps --target), else the one installed."""

    work: Work
    size: Size = "360m"
    peer_path: Path | None = None
    compile: bool = True
    batch: int | None = None
    peer_dtype: str = "float32"
    alone: bool = False


@dataclass(frozen=True)
class Contender:
    """One child process: `module` and `function` of align.workloads, called with `plan`."""

    name: str
    module: str
    function: str
    plan: dict[str, Any]
    path: Path | None = None
    trains: bool = True


def contenders(options: Options) -> list[Contender]:
    """Ours first. Raises UserError for a work or size that is not known."""
    for name, value, known in (("work", options.work, WORKS), ("--size", options.size, SIZES)):
        if value not in known:
            every = (*known, *OF_ROWS) if known is WORKS else known
            raise UserError("bench", f"there is no {name} {value}", "", did_you_mean(value, every))
    if options.peer_path and not (options.peer_path / "trl").is_dir():
        raise UserError(
            "--peer-path", f"{options.peer_path} has no trl in it", "A folder that python packages were installed to",
            "pip install --no-deps --target DIR trl==VERSION",
        )  # fmt: skip
    found = list(_contenders(options, _plan(options)))
    return found[:1] if options.alone else found


def _contenders(options: Options, plan: dict[str, Any]) -> Iterator[Contender]:
    if options.work == "generate":
        yield Contender("align", "generate", "ours", plan, trains=False)
        yield Contender("transformers", "generate", "peer", plan, trains=False)
    elif options.work == "ppo":
        yield Contender("align", "ppo", "ours", plan)
        if options.peer_path:  # the TRL installed has no PPO any more
            yield Contender("trl", "trl_ppo", "peer", plan, options.peer_path)
    else:
        yield Contender("align", "training", options.work, plan)
        for name, tuned in (("trl, tuned", True), ("trl, defaults", False)):
            yield Contender(name, "trl_training", options.work, plan | {"tuned": tuned}, options.peer_path)


def _plan(options: Options) -> dict[str, Any]:
    tiny = options.size == "tiny"
    plan: dict[str, Any] = {
        "size": options.size, "compile": options.compile and not tiny, "peer_dtype": options.peer_dtype,
        "schedule": [1, 5, 1] if tiny else [3, 7, 2],
    }  # fmt: skip
    if options.work == "sft":
        return plan | {"rows": options.batch or (2 if tiny else 8), "max_length": 128 if tiny else 2048}
    if options.work in ("reward", "dpo"):
        usual = 2 if tiny else 8 if options.size == "1.5b" else 16
        return plan | {"pairs": options.batch or usual}
    if options.work == "generate":
        lengths = {"prompt_tokens": 16, "new_tokens": 8} if tiny else {"prompt_tokens": 128, "new_tokens": 256}
        return plan | lengths | {"batch": options.batch or (4 if tiny else 64), "schedule": [1, 5, 1]}
    episodes = options.batch or {"tiny": 4, "1.5b": 64}.get(options.size, 128)
    lengths = {"prompt_tokens": 8, "new_tokens": 8} if tiny else {"prompt_tokens": 128, "new_tokens": 128}
    micro = {"tiny": 2, "1.5b": 4}.get(options.size, 16)
    return plan | lengths | {"episodes": episodes, "epochs": 4, "peer_micro_batch": micro, "schedule": [1, 5, 0]}
