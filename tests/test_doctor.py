"""The doctor: every check ends in time, and a failing one never hides the others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from align import doctor
from align.cli import checking
from align.doctor import Finding


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without importing torch in a process of its own."""
    monkeypatch.setattr(doctor, "_torch", lambda: [Finding("torch", "ok", "2.13.0")])
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    return (yield)


def test_every_check_is_there_and_an_unreachable_hub_is_a_note(tmp_path: Path) -> None:
    findings = {f.check: f for f in doctor.examine(tmp_path / "store")}
    assert list(findings) == ["python", "libraries", "torch", "memory", "disk", "hub", "wandb"]
    assert findings["hub"].state == "note" and "cannot be reached" in findings["hub"].found
    assert findings["libraries"].state == "ok", findings["libraries"].found
    assert not (tmp_path / "store").exists()


def test_a_check_that_hangs_or_breaks_is_a_finding_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> list[Finding]:
        raise OSError("a strange disk")

    monkeypatch.setattr(doctor, "SECONDS_ALL", 0.5)
    monkeypatch.setattr(doctor, "_hub", lambda: time.sleep(60))
    monkeypatch.setattr(doctor, "_disk", broken)
    began = time.monotonic()
    findings = {f.check: f for f in doctor.examine(tmp_path)}
    assert time.monotonic() - began < 3
    assert "no answer" in findings["hub"].found and "a strange disk" in findings["disk"].found
    assert findings["python"].state == "ok"


def test_a_problem_is_the_verdict_and_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_torch", lambda: [Finding("torch", "problem", "cannot be imported", "install it")])
    assert checking.doctor(str(tmp_path), as_json=True) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "problem" and "torch" in told["verdict"]
    assert checking.doctor(str(tmp_path), as_json=False) == 2
    assert "install it" in capsys.readouterr().out


def test_a_missing_or_too_old_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["pydantic>=900", "no-such-library>=1", "pytest>=1; extra == 'dev'", "rich>=1"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: wanted)
    (found,) = doctor._libraries()
    assert found.state == "problem" and "no-such-library is missing" in found.found and "pydantic" in found.found
    assert "rich" not in found.found and "pytest" not in found.found
