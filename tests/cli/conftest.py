"""A small recipe, and stores in which some of its steps are done without any training."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from align import cli
from align import plan as plans
from align.artifact.store import Store
from align.plan import Plan
from align.recipe import load
from tests.sealing import seal_step

RECIPE = """\
# A small chain. It needs nothing.
name: small
data:
  chat: {source: quickstart:chat, as: messages}
  pairs: {source: quickstart:pairs, as: preference, holdout: 0.2}
  corpus: {source: quickstart:corpus, as: text}
stages:
  pretrain:
    kind: pretrain
    data: corpus
    architecture: {layers: 1, width: 16, heads: 2, vocab_size: 400}
    learning_rate: 1e-3
  sft: {kind: sft, model: pretrain, data: chat, learning_rate: 1e-3}
  dpo: {kind: dpo, policy: sft, data: pairs, learning_rate: 1e-5}
"""


class Told:
    """What one command line did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Align = Callable[..., Told]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with small.yaml in it, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "small.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def align() -> Align:
    """Runs a command line in this process; what it printed is not a terminal's."""

    def run(*arguments: str) -> Told:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(list(arguments))
        return Told(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def sealed(here: Path) -> Callable[..., Plan]:
    """Seals the named steps (all of them by default) in the default store and gives the plan made afterwards."""

    def seal(*names: str, content: str = "weights") -> Plan:
        recipe, store = load("small.yaml"), Store(Path(".align"))
        plan = plans.make(recipe, store)
        for name in names or tuple(plan.steps):
            metrics = {"rows/train": 1982.0} if plan.steps[name].kind == "prepare" else {"loss": 1.5}
            seal_step(store, plan, name, content=content, metrics=metrics)
        return plans.make(recipe, store)

    return seal
