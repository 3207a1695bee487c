"""The stages sft and dpo on tiny data; also a program that runs one of them as a process of several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from align.artifact.inputs import ModelInput, RowsInput
from align.models.load import load_model
from align.specs import DpoSpec, SftSpec
from align.stages import dpo, sft
from tests import warm
from tests.tiny import Recorder, inputs


def sft_run(world: dict[str, Any], out: Path, tracker: Any = None, **more: Any) -> dict[str, float]:
    settings: dict[str, Any] = {
        "learning_rate": 1e-2, "batch_size": 8, "max_length": 64, "seed": 0, "eval_data": "held", "drop_budget": 0.0,
    }  # fmt: skip
    spec = SftSpec(kind="sft", model="base", data="chats", **(settings | more))
    named = inputs(out, model=world["base"], data=world["chats"], eval_data=world["held"])
    return sft.run(spec, named, out, tracker or Recorder())


def dpo_run(world: dict[str, Any], out: Path, tracker: Any = None, **more: Any) -> dict[str, float]:
    settings: dict[str, Any] = {
        "learning_rate": 1e-3, "batch_size": 16, "max_length": 64, "seed": 0, "eval_data": "held", "log_every": 1,
    }  # fmt: skip
    spec = DpoSpec(kind="dpo", policy="sft", data="pairs", **(settings | more))
    named = inputs(out, policy=world["sft"], data=world["pairs"], eval_data=world["held pairs"])
    return dpo.run(spec, named, out, tracker or Recorder())


def assert_two_processes_train_as_one(
    kind: str, tuned: dict[str, Any], folder: Path, micro_batch_size: int = 4
) -> None:
    run = {"sft": sft_run, "dpo": dpo_run}[kind]
    alone = run(tuned, folder / "alone", max_steps=4, micro_batch_size=micro_batch_size, batch_size=8)
    command = [warm.python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    names = ("chats", "held") if kind == "sft" else ("pairs", "held pairs")
    folders = [tuned["base" if kind == "sft" else "sft"].path, *(tuned[name].files[0] for name in names)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*command, kind, *map(str, folders), str(folder / "both"), str(micro_batch_size)], env=environment, check=True
    )
    both = json.loads((folder / "both" / "told.json").read_text())
    assert both["loss"] == pytest.approx(alone["loss"], abs=2e-3)
    assert both["eval_loss"] == pytest.approx(alone["eval_loss"], abs=1e-2)  # the last rows are evaluated twice
    assert both["tokens"] == alone["tokens"]
    mine, theirs = (load_model(ModelInput("m", folder / name / "model", "")) for name in ("alone", "both"))
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3)


def _main(kind: str, base: str, data: str, held: str, out: str, micro_batch_size: str) -> None:
    row_type = "messages" if kind == "sft" else "preference"
    rows = [RowsInput("data", (Path(path),), row_type, count, "") for path, count in ((data, 300), (held, 40))]
    model = ModelInput("model", Path(base), "digest")
    world = {"base": model, "sft": model, "chats": rows[0], "held": rows[1], "pairs": rows[0], "held pairs": rows[1]}
    run = {"sft": sft_run, "dpo": dpo_run}[kind]
    metrics = run(world, Path(out), max_steps=4, micro_batch_size=int(micro_batch_size), batch_size=8)
    if os.environ["RANK"] == "0":
        (Path(out) / "told.json").write_text(json.dumps(metrics))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _main(*sys.argv[1:])
