"""Curves always land in a local file; W&B gets them when it can, and can never stop or slow a step."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import wandb

from align import credentials, wandb_runs
from align.tracking import Output, Tracker
from align.wandb_runs import WandbRun, WandbSink

KEY = "0123456789ab" + "c" * 52
OUTPUT = Output("sft-0123456789ab", "sft", "d" * 64, str(Path(__file__).parent), {"loss": 0.5})


class FakeRun:
    """What wandb.init gives back; `slow` and `broken` name the calls that hang or raise."""

    url = "https://wandb.example/run"

    def __init__(self, broken: str = "") -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **named: Any) -> None:
            if name == self._broken:
                raise RuntimeError(f"{name} is broken")
            self.calls.append((name, args, named))

        return call

    def named(self, name: str) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        return [c for c in self.calls if c[0] == name]


def run_in(root: Path, mode: credentials.Mode = "online", **more: Any) -> WandbRun:
    config = {"learning_rate": 1e-3, **more.pop("config", {})}
    return WandbRun(mode, "project", None, "r:sft", "r-1234", "sft", config, root=root, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "store" / "sft-0123456789ab.partial"
    made.mkdir(parents=True)
    return made


def fake_init(monkeypatch: pytest.MonkeyPatch, run: FakeRun) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def init(**named: Any) -> FakeRun:
        asked.append(named)
        return run

    monkeypatch.setattr(wandb, "init", init)
    return asked


def one_step(run: WandbRun, folder: Path, patience: float = 5.0) -> tuple[Tracker, WandbSink]:
    sink = WandbSink(run, folder, KEY, patience)
    tracker = Tracker(folder, lambda _: None, (sink,))
    tracker.log(10, {"loss": 0.5})
    tracker.close()
    tracker.finish(OUTPUT)
    return tracker, sink


def test_every_point_is_in_the_local_file_also_without_a_number(folder: Path) -> None:
    tracker = Tracker(folder, lambda _: None)
    tracker.log(1, {"loss": 2.0})
    tracker.log(2, {"loss": float("nan")})
    tracker.close()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 2.0), (2, "nan")]


def test_a_step_is_one_run_with_its_group_kind_settings_steps_and_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FakeRun()
    asked = fake_init(monkeypatch, run)
    monkeypatch.setattr(wandb, "Artifact", lambda *a, **k: FakeArtifact(a, k))
    tracker, sink = one_step(run_in(folder.parent, inputs=(("prepare-abc", "prepare"),)), folder)
    told = asked[0]
    assert (told["group"], told["job_type"], told["name"], told["resume"]) == ("r-1234", "sft", "r:sft", "allow")
    assert told["config"]["learning_rate"] == 1e-3 and told["id"] == sink.id and told["id"].startswith(KEY[:12])
    assert told["settings"].disable_git and told["settings"].x_disable_meta  # addresses with tokens, command lines
    assert run.named("log") == [("log", ({"loss": 0.5},), {"step": 10})]
    assert run.named("use_artifact") == [("use_artifact", ("prepare-abc:latest",), {"type": "prepare"})]
    artifact = run.named("log_artifact")[0][1][0]
    assert artifact.named["metadata"]["digest"] == OUTPUT.digest and not artifact.uploaded
    assert run.named("finish") == [("finish", (), {"exit_code": 0})]
    assert tracker.identity()["url"] == FakeRun.url and tracker.notes == []


def test_tables_go_where_curves_go_at_their_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = FakeRun()
    fake_init(monkeypatch, run)
    tracker = Tracker(folder, lambda _: None, (WandbSink(run_in(folder.parent), folder, KEY),))
    tracker.table(3, "samples", ("prompt", "reward"), [("why?", 0.5)])
    tracker.close()
    tracker.finish(OUTPUT)
    ((_, (told,), named),) = run.named("log")
    assert (
        named == {"step": 3}
        and told["samples"].columns == ["prompt", "reward"]
        and told["samples"].data == [["why?", 0.5]]
    )


class FakeArtifact:
    def __init__(self, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.args, self.named, self.uploaded = args, named, False

    def add_reference(self, *_: Any, **named: Any) -> None:
        assert named["checksum"] is False  # else W&B reads the whole artifact

    def __getattr__(self, name: str) -> Any:
        self.uploaded = name.startswith("add_")
        raise AttributeError(name)


def test_a_resumed_step_goes_on_in_the_same_run_and_a_rebuilt_one_does_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_init(monkeypatch, FakeRun())
    first = WandbSink(run_in(folder.parent), folder, KEY).id
    assert WandbSink(run_in(folder.parent), folder, KEY).id == first
    monkeypatch.setattr(time, "time", lambda: 1e9)
    (tmp_path / "other").mkdir()
    assert WandbSink(run_in(folder.parent), tmp_path / "other", KEY).id != first


def test_a_hanging_service_costs_its_patience_once_and_later_steps_work_offline(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb, "init", lambda **_: time.sleep(100))
    began = time.monotonic()
    tracker, _ = one_step(run_in(folder.parent), folder, patience=0.3)
    assert time.monotonic() - began < 1.5
    assert len(tracker.notes) == 1 and "metrics.jsonl" in tracker.notes[0]
    asked = fake_init(monkeypatch, FakeRun())
    tracker, sink = one_step(run_in(folder.parent), folder)
    assert sink.mode == "offline" and asked[0]["mode"] == "offline" and "wandb sync" in tracker.notes[0]


def test_telling_a_slow_service_takes_no_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb, "init", lambda **_: time.sleep(100))
    monkeypatch.setattr(wandb_runs, "QUEUED", 50)
    sink = WandbSink(run_in(folder.parent), folder, KEY, 0.2)
    began = time.monotonic()
    for step in range(5000):
        sink.log(step, {"loss": 0.0})
    assert time.monotonic() - began < 0.5
    assert sink.flush() is not None


@pytest.mark.parametrize("broken", ["log", "log_artifact", "finish"])
def test_a_service_that_raises_stops_nothing_and_is_told(
    broken: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_init(monkeypatch, FakeRun(broken))
    tracker, _ = one_step(run_in(folder.parent), folder)
    assert len(tracker.notes) == 1 and f"{broken} is broken" in tracker.notes[0]


def test_without_a_line_the_run_is_kept_to_be_sent_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = FakeRun()

    def init(mode: str, **_: Any) -> FakeRun:
        if mode == "online":
            raise ConnectionError("no line")
        return run

    monkeypatch.setattr(wandb, "init", init)
    tracker, sink = one_step(run_in(folder.parent), folder)
    assert sink.identity()["wandb"] == "offline" and run.named("log")
    assert "no line" in tracker.notes[0] and "wandb sync" in tracker.notes[0]


def test_a_failed_step_ends_its_run_as_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = FakeRun()
    fake_init(monkeypatch, run)
    Tracker(folder, lambda _: None, (WandbSink(run_in(folder.parent), folder, KEY),)).finish(None)
    assert run.named("finish") == [("finish", (), {"exit_code": 1})] and not run.named("log_artifact")


def test_offline_the_real_library_writes_a_run_under_our_id_and_no_secret_anywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = "canary-5f0c2a77d1"
    for name in ("WANDB_API_KEY", "HF_TOKEN", "MY_PASSWORD"):
        monkeypatch.setenv(name, canary)
    monkeypatch.setenv("WANDB_MODE", "offline")
    (folder / "log.txt").write_text(f"asked https://user:{canary}@host\n")
    sink = WandbSink(run_in(folder.parent, "offline", config={"source": f"https://{canary}@host"}), folder, KEY)
    tracker = Tracker(folder, lambda _: None, (sink,))
    tracker.note(f"the server said {canary}")
    tracker.log(1, {"loss": 0.25})
    tracker.close()
    tracker.finish(OUTPUT)
    deadline = time.monotonic() + 5  # W&B's own process writes the last bytes after finish() returned
    while not (found := [p for p in folder.parent.rglob("*.wandb") if p.stat().st_size > 1000]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [p.name for p in found] == [f"run-{sink.id}.wandb"] and b"learning_rate" in found[0].read_bytes()
    files = [p for p in folder.parent.rglob("*") if p.is_file()]
    assert not [p for p in files if canary.encode() in p.read_bytes()]
    assert tracker.notes == [f"the server said {credentials.HIDDEN}"]


def test_auto_is_online_given_a_key_in_the_environment_or_where_a_login_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC", "WANDB_BASE_URL", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert credentials.wandb_mode("auto") == "disabled"
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password 0123456789\n")
    assert credentials.wandb_mode("auto") == "online"
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    assert credentials.wandb_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert credentials.wandb_mode("auto") == "offline"
    assert credentials.wandb_mode("disabled") == "disabled"
