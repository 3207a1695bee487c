"""Checkpoints that are whole or not there: staged, hashed, flushed to disk, marked, renamed.

    checkpoints/checkpoint-120/   parameters.safetensors  optimizer.safetensors  optimizer.json  trainer_state.json
                                  rank-0.safetensors  rank-0.json  checkpoint.json
    checkpoints/.staging          one that is being written

`checkpoint.json` lists every file with its size and sha256; it is written last. A folder without it, or whose files differ
from it, is never resumed from. Nothing is pickled.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from align.artifact import digests

MANIFEST = "checkpoint.json"
STAGING = ".staging"
KEPT = 2  # the newest, and one to fall back on where the disk damaged it
_NAME = re.compile(r"checkpoint-(\d+)")


def begin(root: Path) -> Path:
    """An empty folder to write the files of a checkpoint to."""
    staging = root / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def seal(staging: Path, step: int) -> Path:
    """Make what was written to `staging` the checkpoint of `step`."""
    paths = sorted(staging.iterdir())
    digests.sync_each(paths)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": digest}
        for path, digest in zip(paths, digests.of_each(paths), strict=True)
    }
    (staging / MANIFEST).write_text(json.dumps({"step": step, "files": files}, indent=1))
    digests.sync(staging / MANIFEST)
    digests.sync(staging)
    final = staging.parent / f"checkpoint-{step}"
    shutil.rmtree(final, ignore_errors=True)  # only ever one that failed to verify
    staging.rename(final)
    digests.sync(final.parent)
    return final


def last_good(root: Path) -> Path | None:
    """The newest checkpoint whose files are all as they were written; those found damaged are deleted."""
    for path in reversed(_found(root)):
        if verify(path):
            return path
        shutil.rmtree(path)
    return None


def verify(path: Path) -> bool:
    """Whether a checkpoint is marked, holds just the files it should, and each has its size and hash."""
    try:
        files = json.loads((path / MANIFEST).read_text())["files"]
        present = {file.name for file in path.iterdir()} - {MANIFEST}
        if present != set(files) or any((path / name).stat().st_size != files[name]["bytes"] for name in files):
            return False
        return digests.of_each([path / name for name in files]) == [told["sha256"] for told in files.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def rotate(root: Path, best_step: int | None) -> None:
    """Delete all but the newest checkpoints and the best one. Called when a new one has been sealed."""
    for path in _found(root)[:-KEPT]:
        if step_of(path) != best_step:
            shutil.rmtree(path)


def step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _found(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted((p for p in root.iterdir() if _NAME.fullmatch(p.name)), key=step_of)


def write_optimizer(folder: Path, optimizer: Any, scheduler: Any) -> None:
    """An optimizer's tensors as safetensors, its numbers and the scheduler's as JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if torch.is_tensor(value):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                numbers[f"{index}.{name}"] = value
    save_file(tensors, folder / "optimizer.safetensors")
    settings = {"groups": state["param_groups"], "numbers": numbers, "scheduler": scheduler.state_dict()}
    (folder / "optimizer.json").write_text(json.dumps(settings))


def read_optimizer(folder: Path, optimizer: Any, scheduler: Any) -> None:
    settings = json.loads((folder / "optimizer.json").read_text())
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**load_file(folder / "optimizer.safetensors"), **settings["numbers"]}.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    for group in settings["groups"]:
        group.update({name: tuple(value) for name, value in group.items() if name == "betas"})
    optimizer.load_state_dict({"state": state, "param_groups": settings["groups"]})
    scheduler.load_state_dict(settings["scheduler"])


def write_parameters(folder: Path, model: torch.nn.Module) -> None:
    """What is trained: the parameters that take gradients, each once."""
    trained = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    save_file(trained, folder / "parameters.safetensors")


@torch.no_grad()
def read_parameters(folder: Path, model: torch.nn.Module) -> None:
    saved = load_file(folder / "parameters.safetensors")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if saved.keys() != trained.keys():
        raise ValueError(f"{folder.name} holds other parameters than the model has")
    for name, parameter in trained.items():
        parameter.copy_(saved[name])


def write_rank(folder: Path, rank: int, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
    """What each process has of its own: its random states and its running averages."""
    save_file(dict(tensors), folder / f"rank-{rank}.safetensors")
    (folder / f"rank-{rank}.json").write_text(json.dumps(values))


def read_rank(folder: Path, rank: int) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    return load_file(folder / f"rank-{rank}.safetensors"), json.loads((folder / f"rank-{rank}.json").read_text())
