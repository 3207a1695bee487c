"""What a run looks at by itself: a later stage's fault stops it before an earlier one trains."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from align import runner
from align.artifact.store import Store
from align.errors import UserError
from align.recipe import load
from align.runner import Choice
from tests.preflight.conftest import write
from tests.tiny import chats, pairs

RECIPE = """\
name: tiny
base: model
data:
  chat: {source: chat.jsonl, as: messages}
  pairs: {source: pairs.jsonl, as: preference}
stages:
  sft: {kind: sft, model: base, data: chat, learning_rate: 1e-3, max_length: 64, max_steps: 1}
  dpo: {kind: dpo, policy: sft, data: pairs, learning_rate: 1e-4, max_length: 64, batch_size: 8, epochs: 9}
"""


class Listener:
    """What a run told: steps as they end, notes by step."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.notes: dict[str, list[str]] = {}

    def planned(self, plan: Any, chosen: Any) -> None: ...
    def reused(self, step: Any) -> None: ...
    def started(self, step: Any) -> None: ...

    def told(self, step: Any, event: dict[str, Any]) -> None:
        if event["event"] == "note":
            self.notes.setdefault(step.name, []).append(event["text"])

    def sealed(self, step: Any, metrics: dict[str, float], seconds: float) -> None:
        self.done.append(step.name)

    def failed(self, step: Any, error: BaseException) -> None:
        self.done.append(f"{step.name} failed")

    def refused(self, step: Any, waiting: Any) -> None:
        self.done.append(f"{step.name} refused before {waiting.name}")


def run(base: Path, answer: str) -> Listener:
    shutil.copytree(base, "model")
    write(Path("chat.jsonl"), chats(40))
    write(Path("pairs.jsonl"), [*pairs(40), {"prompt": "red", "chosen": answer, "rejected": "cold"}])
    Path("recipe.yaml").write_text(RECIPE)
    listener = Listener()
    try:
        runner.run(load("recipe.yaml"), Store(Path("store")), Choice(), listener)
    except UserError as error:
        listener.notes["error"] = [str(error)]
    return listener


@pytest.mark.slow
@pytest.mark.usefixtures("warm_python")
def test_a_later_stages_fault_stops_a_run_before_anything_trains(base: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    told = run(base, "warm<|end|>dog")
    assert told.done == ["chat", "pairs", "dpo refused before sft"]
    (said,) = told.notes["error"]
    assert "stages.dpo" in said and "the answer holds the stop token <|end|> in its text" in said


@pytest.mark.slow
@pytest.mark.usefixtures("warm_python")
def test_a_sound_run_goes_on_and_is_told_what_may_be_learnt_by_heart(
    base: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    told = run(base, "warm")
    assert told.done == ["chat", "pairs", "sft", "dpo"], told.notes
    assert any("may be learnt by heart" in note and "Set epochs: 3 or less" in note for note in told.notes["dpo"])
