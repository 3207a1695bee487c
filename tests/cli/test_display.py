"""A run as it is shown: plain lines, the live table, and the comparison at its end."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from align import words
from align.cli import comparison, lines, live, progress
from align.cli.lines import Lines
from align.cli.live import LiveTable
from align.cli.progress import Progress
from align.errors import Stopped
from align.plan import Plan
from align.specs import MeasureSpec
from align.specs.suites import FormatSuite

MEASURED = MeasureSpec(model="sft", suites={"format": FormatSuite(data="p")})


class Clock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (progress, lines, live):
        monkeypatch.setattr(module, "time", made)
    return made


def train(display: Lines | LiveTable, plan: Plan, clock: Clock, seconds: int = 20) -> None:
    """What the runner tells of one training step: ten progress reports a second, a point of the curve every second."""
    step = plan.steps["sft"]
    display.started(step)
    total = seconds * 10
    for done in range(1, total + 1):
        clock.now += 0.1
        display.told(
            step, {"event": "progress", "done": done, "total": total, "telling": {"tokens_per_second": 12300.0}}
        )
        if done % 10 == 0:
            display.told(step, {"event": "metrics", "step": done, "metrics": {"loss": 2.0 - done / total, "lr": 0.1}})
    display.told(step, {"event": "note", "text": "padding is now <|pad|>"})


def test_a_note_on_rows_is_told_of_each_entry_and_one_on_a_tokenizer_once(sealed: Callable[..., Plan]) -> None:
    plan, stream = sealed(), io.StringIO()
    display = Lines(stream)
    display.planned(plan, list(plan.steps.values()))
    for name in ("chat", "pairs", "sft", "dpo"):
        display.told(
            plan.steps[name], {"event": "note", "text": f"of {'rows' if name in ('chat', 'pairs') else 'a model'}"}
        )
    assert [line for line in stream.getvalue().splitlines() if "note" in line] == [
        "chat: note: of rows", "pairs: note: of rows", "sft: note: of a model",
    ]  # fmt: skip


def test_plain_lines_come_every_two_seconds_with_time_left(
    here: Path, sealed: Callable[..., Plan], clock: Clock
) -> None:
    plan = sealed("chat", "pairs", "corpus", "pretrain")
    stream = io.StringIO()
    display = Lines(stream)
    display.planned(plan, list(plan.steps.values()))
    display.reused(plan.steps["chat"])
    train(display, plan, clock)
    display.sealed(plan.steps["sft"], {"loss": 1.0, "tokens_per_second": 12300.0}, 20.0)
    told = stream.getvalue().splitlines()
    curve = [line for line in told if "/200" in line]
    assert 8 <= len(curve) <= 11
    assert re.search(r"sft: 1\d\d/200 \(\d\d%\), loss 1\.\d+, 12\.3k tokens/s, \d+ s left", curve[5])
    assert "sft: note: padding is now <|pad|>" in told
    assert told[-1] == "sft: sealed after 20 s: loss 1, 12.3k tokens/s"
    assert max(map(len, told)) <= 80


def test_that_a_step_is_finishing_is_told_once(here: Path, sealed: Callable[..., Plan], clock: Clock) -> None:
    plan, stream = sealed("chat", "pairs", "corpus", "pretrain"), io.StringIO()
    display = Lines(stream)
    display.planned(plan, list(plan.steps.values()))
    display.started(plan.steps["sft"])
    for done in (12, 24, 24):
        clock.now += 5
        display.told(plan.steps["sft"], {"event": "progress", "done": done, "total": 24, "telling": {}})
        display.told(plan.steps["sft"], {"event": "metrics", "step": done, "metrics": {"loss": done / 24}})
    assert [line for line in stream.getvalue().splitlines() if "finishing" in line] == [
        "sft: 24/24 (100%), loss 0.5, finishing"
    ]


def test_a_step_that_a_look_ahead_refuses_is_named_and_the_one_about_to_train_has_not_failed(
    here: Path, sealed: Callable[..., Plan], clock: Clock
) -> None:
    plan, stream = sealed("chat", "pairs"), io.StringIO()
    display, table = Lines(stream), LiveTable(Console(file=io.StringIO()))
    for shown in (display, table):
        shown.planned(plan, list(plan.steps.values()))
        shown.started(plan.steps["sft"])
        shown.refused(plan.steps["dpo"], plan.steps["sft"])
    assert stream.getvalue().splitlines()[-1] == "dpo: would fail as it is; stopped before sft trains"
    assert table.steps["sft"].state == "waiting" and table.steps["dpo"].state == "failed"
    table.__exit__()


def test_time_left_is_measured_from_where_a_resumed_step_began(
    here: Path, sealed: Callable[..., Plan], clock: Clock
) -> None:
    told = Progress(sealed("chat").steps["sft"])
    told.start()
    for done in (900, 901, 902, 910):
        told.told({"event": "progress", "done": done, "total": 1000, "telling": {}})
        clock.now += 1
    assert told.left() == pytest.approx(90 / (10 / 4))  # ten steps in four seconds, ninety to go


def test_a_step_that_knows_its_time_left_is_believed_and_says_which_suite_is_asked(
    here: Path, sealed: Callable[..., Plan], clock: Clock
) -> None:
    plan = sealed("chat")
    measured = Progress(replace(plan.steps["sft"], spec=MEASURED, seconds=99.0))
    measured.start()
    clock.now += 9
    measured.told({"event": "progress", "done": 10, "total": 1000, "telling": {"suite": 1, "suites": 3}})
    assert measured.left() == 90  # no pace yet: as the last time
    measured.told(
        {"event": "progress", "done": 500, "total": 1000, "telling": {"suite": 2, "suites": 3, "seconds_left": 40.0}}
    )
    clock.now += 3
    assert measured.left() == 37 and measured.counted() == "50%, suite 2 of 3"


def test_without_a_pace_the_last_time_is_the_guess_and_without_either_there_is_none(
    here: Path, sealed: Callable[..., Plan], clock: Clock
) -> None:
    known, unknown = Progress(sealed("corpus").steps["corpus"]), Progress(sealed("corpus").steps["sft"])
    for told in (known, unknown):
        told.start()
    clock.now += 0.25
    assert known.left() == pytest.approx(0.75) and unknown.left() is None
    clock.now += 9
    assert known.left() is None  # longer than the last time: no guess is left


def frame(display: LiveTable, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(display)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80])
def test_the_live_table_has_one_line_a_step_and_fits(
    width: int, here: Path, sealed: Callable[..., Plan], clock: Clock
) -> None:
    plan = sealed("chat", "pairs", "corpus", "pretrain")
    display = LiveTable(Console(file=io.StringIO(), width=width, force_terminal=True))
    with display:
        display.planned(plan, list(plan.steps.values()))
        for name in ("corpus", "chat", "pairs"):
            display.reused(plan.steps[name])
        display.started(plan.steps["pretrain"])
        display.sealed(plan.steps["pretrain"], {"eval_loss": 1.2, "loss": 1.5, "tokens_per_second": 9000.0}, 61.0)
        train(display, plan, clock, 3)
        shown = frame(display, width)
    by_name = {line.split()[1]: line for line in shown if len(line.split()) > 1}
    assert max(map(len, shown)) <= width
    assert "reused" in by_name["chat"] and "waiting" in by_name["dpo"]
    assert "1 min 1 s" in by_name["pretrain"] and "held-out loss 1.2" in by_name["pretrain"]
    assert "30/30" in by_name["sft"] and "█" in by_name["sft"]
    assert "loss 1" in by_name["sft"] or width < 80


def test_many_waiting_steps_share_a_line(here: Path, sealed: Callable[..., Plan], clock: Clock) -> None:
    plan = sealed("chat")
    display = LiveTable(Console(file=io.StringIO(), width=80, force_terminal=True))
    with display:
        display.planned(plan, list(plan.steps.values()))
        assert sum("waiting" in line for line in frame(display)) == 1


def test_a_stop_is_shown_as_a_stop_and_not_as_a_failure(here: Path, sealed: Callable[..., Plan], clock: Clock) -> None:
    plan = sealed("chat")
    display = LiveTable(Console(file=io.StringIO(), width=80, force_terminal=True))
    with display:
        display.planned(plan, list(plan.steps.values()))
        display.started(plan.steps["sft"])
        display.told(plan.steps["sft"], {"event": "stopping"})
        assert any("stopping, saving" in line for line in frame(display))
        display.failed(plan.steps["sft"], Stopped(2))
        assert any("stopped" in line for line in frame(display)) and not any(
            "failed" in line for line in frame(display)
        )


def value(
    middle: float, half: float = 0.02, n: int = 500, difference: tuple[float, float] | None = None
) -> dict[str, Any]:
    told: dict[str, Any] = {"value": middle, "low": middle - half, "high": middle + half, "n": n}
    if difference:
        told["difference"] = {"value": sum(difference) / 2, "low": difference[0], "high": difference[1]}
    return told


def report(models: int = 3, n: int = 500) -> dict[str, Any]:
    names = ["base", *(f"model{i}" for i in range(1, models))]
    later = {name: value(0.7, difference=(0.1, 0.2)) for name in names[1:]}
    rows = [
        {"suite": "instruction", "metric": "gold", "slice": "all", "better": "higher",
         "values": {"base": value(0.12), **later}},
        {"suite": "instruction", "metric": "gold", "slice": "far_domain", "better": "higher",
         "values": {"base": value(0.08, n=n), **{name: value(0.09, n=n, difference=(-0.1, 0.1)) for name in names[1:]}}},
        {"suite": "retention", "metric": "bits_per_byte", "slice": "all", "better": "lower",
         "values": {"base": value(1.234, 0.0031)}},
    ]  # fmt: skip
    return {"baseline": "base", "models": names, "rows": rows}


def drawn(told: dict[str, Any], width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    comparison.show(console, told, "evaluate")
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_comparison_shows_intervals_marks_and_the_common_n() -> None:
    lines_ = drawn(report())
    assert "n = 500" in lines_[0]
    gold = next(line for line in lines_ if line.strip().startswith("gold  "))
    assert "0.12 ± 0.02" in gold and "0.70 ± 0.02*" in gold
    far = next(line for line in lines_ if "gold, far domain" in line)
    assert "0.09 ± 0.02" in far and "*" not in far
    bits = next(line for line in lines_ if "bits per byte" in line)
    assert "1.234 ± 0.003" in bits and bits.split()[-1] == "-"
    assert any("differs from base" in line for line in lines_)


def test_n_is_a_column_where_rows_differ() -> None:
    lines_ = drawn(report(n=120))
    assert lines_[0].split()[-1] == "n"
    assert next(line for line in lines_ if "far" in line).split()[-1] == "120"


@pytest.mark.parametrize("models", [2, 4, 7])
def test_a_comparison_of_many_models_fits_eighty_columns_with_the_baseline_in_each_part(models: int) -> None:
    lines_ = drawn(report(models))
    assert max(map(len, lines_)) <= 80
    heads = [line for line in lines_ if line.strip().startswith("evaluate")]
    assert all("base" in head for head in heads)
    assert {m for head in heads for m in head.split()} >= set(report(models)["models"])


def test_a_long_table_keeps_every_metric_and_leaves_out_slices_and_axes_by_number() -> None:
    parts = ["all", *(f"slice{i}" for i in range(9)), "axis_safe"]
    rows = [
        {"suite": "probes", "metric": m, "slice": part, "better": None, "values": {"base": value(0.5)}}
        for m in ("format", "gold", "facts", "stops")
        for part in parts
    ]
    lines_ = drawn({"baseline": "base", "models": ["base"], "rows": rows})
    assert [sum(line.strip().startswith(m) for line in lines_) for m in ("format", "gold", "facts", "stops")] == [
        1,
        10,
        1,
        1,
    ]
    assert any("31 more rows" in line for line in lines_) and not any("safe" in line for line in lines_)


def test_the_ledger_tells_what_each_step_forgot() -> None:
    step, total = value(0.031, 0.004), value(0.05, 0.06)
    about = {"suite": "general", "metric": "bits_per_byte", "root": "base"}
    entries = [
        {**about, "model": "sft", "parent": "base", "step": step, "total": step},
        {**about, "model": "dpo", "parent": "sft", "step": total, "total": step},
    ]
    lines_ = drawn({**report(), "ledger": entries})
    sft, dpo = (next(line for line in lines_ if line.strip().startswith(f"{m} from")) for m in ("sft", "dpo"))
    assert sft.split()[-3:] == ["+0.031", "±", "0.004*"]
    assert dpo.split()[3:] == ["+0.050", "±", "0.060", "+0.031", "±", "0.004*"]


TIMES = [(0.42, "0.4 s"), (7, "7 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (90000, "1 day 1 h")]


@pytest.mark.parametrize(("seconds", "said"), TIMES)
def test_times_are_as_people_say_them(seconds: float, said: str) -> None:
    assert words.clock(seconds) == said


def test_numbers_are_as_people_say_them() -> None:
    assert words.phrase("loss", 1.2149) == "loss 1.21"
    assert words.phrase("tokens_per_second", 12345.0) == "12.3k tokens/s"
    assert words.phrase("rows/train", 207865.0) == "207,865 rows"
    assert words.number(2e-05) == "2e-05" and words.number(float("nan")) == "nan"
    assert words.size(1.34e9) == "1.3 GB" and words.size(12345) == "12 kB"


def test_a_finished_step_is_told_by_its_held_out_numbers() -> None:
    metrics = {"eval_loss": 1.0, "loss": 2.0, "tokens_per_second": 10.0}
    assert words.telling("sft", metrics) == ["held-out loss 1", "10 tokens/s"]
    assert words.telling("measure", {"general/bits_per_byte": 1.0, "probes/format": 0.5, "probes/gold": 0.4}) == [
        "general bits per byte 1",
        "probes gold 0.4",
    ]
