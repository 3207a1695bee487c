"""Models and data by hub id, against a hub on the loopback: found and pinned, missing, slow, moved, and gone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from align.artifact.store import Store
from tests import tiny, warm
from tests.hub import Hub

RECIPE = """\
name: fromhub
base: someone/tiny
data:
  chat: {source: someone/chat, as: messages, split: train}
stages:
  sft: {kind: sft, model: base, data: chat, learning_rate: 1e-3, max_steps: 1, batch_size: 4, max_length: 64, drop_budget: 1.0}
"""


Align = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the libraries are told of the hub, once, while they are imported: its port, kept free for it, and their cache."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        cache = tmp_path_factory.mktemp("cache")
        yield {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(cache)}


@pytest.fixture
def hub(tmp_path: Path, place: dict[str, str]) -> Hub:
    made = Hub(int(place["HF_ENDPOINT"].rpartition(":")[2]))
    made.add("model", "someone/tiny", tiny.write_base(tmp_path / "model").path)
    _publish(made, tmp_path, tiny.chats(12))
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "fromhub.yaml").write_text(RECIPE)
    return folder


@pytest.fixture
def align(home: Path, place: dict[str, str]) -> Align:
    """The command line in `home`, at first with an empty cache."""
    shutil.rmtree(place["HF_HOME"], ignore_errors=True)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [warm.python(**place), "-m", "align", *arguments],
            cwd=home,
            env={**os.environ, **place, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


def _publish(hub: Hub, folder: Path, rows: list[dict]) -> None:
    files = folder / "chat"
    files.mkdir(exist_ok=True)
    (files / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hub.add("dataset", "someone/chat", files)


def pins(home: Path) -> dict[str, str]:
    return Store(home / ".align").pins()


def test_a_model_and_rows_are_found_pinned_and_used_from_then_on(
    hub: Hub, align: Align, home: Path, tmp_path: Path
) -> None:
    with hub.serving():
        planned = align("plan", "fromhub.yaml", "--json")
        reasons = {s["name"]: s["reason"] for s in json.loads(planned.stdout)["steps"]}
        assert reasons["chat"] == "someone/chat was never resolved" and not hub.seen  # a plan asks nobody
        done = align("run", "fromhub.yaml")
        assert done.returncode == 0, done.stderr
        commits = {hub.commit("model", "someone/tiny"), hub.commit("dataset", "someone/chat")}
        assert set(pins(home).values()) == commits
        _publish(hub, tmp_path, tiny.chats(14, seed=1))  # the hub moves on; what was pinned stays what it was
        again = json.loads(align("run", "fromhub.yaml", "--json").stdout)
    assert again["ran"] == []
    assert hub.commit("dataset", "someone/chat") not in pins(home).values()


def test_a_model_beside_the_base_is_pinned_too(hub: Hub, align: Align, home: Path) -> None:
    text = RECIPE.replace("base: someone/tiny", "models: {other: someone/tiny}").replace("model: base", "model: other")
    (home / "fromhub.yaml").write_text(text)
    with hub.serving():
        ran = align("run", "fromhub.yaml", "--only", "chat")
    assert ran.returncode == 0, ran.stderr
    assert any("someone/tiny" in name for name in pins(home))
    assert "someone/tiny was never resolved" not in align("plan", "fromhub.yaml").stdout


def test_an_id_that_does_not_exist_is_told_before_anything_runs(hub: Hub, align: Align, home: Path) -> None:
    with hub.serving():
        done = align("run", "fromhub.yaml", "base=someone/tinny")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "the hub has no model someone/tinny" in done.stderr and "hf auth login" in done.stderr
    assert not list((home / ".align").glob("*-*"))


@pytest.mark.slow
def test_a_split_that_does_not_exist_is_told_with_those_there_are(hub: Hub, align: Align) -> None:
    with hub.serving():
        done = align("run", "fromhub.yaml", "data.chat.split=trian", "--until", "chat")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "trian" in done.stderr and "train" in done.stderr.replace("trian", "")


@pytest.mark.slow
def test_a_moved_repository_is_followed(hub: Hub, align: Align) -> None:
    for kind, old in (("model", "someone/tiny"), ("dataset", "someone/chat")):
        new = old.replace("someone", "somebody")
        hub.repositories[kind, new] = hub.repositories.pop((kind, old))
        hub.moved[old] = new
    with hub.serving():
        done = align("run", "fromhub.yaml")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_slow_hub_is_waited_for(hub: Hub, align: Align) -> None:
    hub.delay = 0.1
    with hub.serving():
        assert align("run", "fromhub.yaml", "--until", "chat").returncode == 0


@pytest.mark.slow
def test_a_hub_that_hangs_is_given_up_with_advice(hub: Hub, align: Align) -> None:
    hub.delay = 30
    with hub.serving():
        done = align("run", "fromhub.yaml", "--until", "chat")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "the hub cannot be reached" in done.stderr and "local folder or file" in done.stderr


@pytest.mark.slow
def test_what_was_loaded_once_needs_no_hub_any_more(hub: Hub, align: Align) -> None:
    with hub.serving():
        assert align("run", "fromhub.yaml").returncode == 0
    done = align("run", "fromhub.yaml", "stages.sft.learning_rate=2e-3")
    assert done.returncode == 0, done.stderr
