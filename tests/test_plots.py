from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from align import plots, step
from align.artifact import manifest
from align.tracking import Tracker
from tests.tiny import Recorder

PNG = b"\x89PNG\r\n\x1a\n"


def estimate(value: float | None, half: float | None = 0.1) -> dict[str, Any]:
    told = {"value": value, "n": 9, "clusters": 9}
    return told | (
        {"low": None, "high": None} if half is None or value is None else {"low": value - half, "high": value + half}
    )


COMPARISON = {
    "baseline": "sft", "models": ["sft", "dpo"],
    "rows": [
        {"suite": "probes", "metric": m, "slice": part, "values": {"sft": estimate(0.4), "dpo": dpo}}
        for m, part, dpo in (
            ("gold", "all", estimate(0.6)), ("gold", "far", estimate(0.1)), ("tokens", "all", estimate(7.0, None))
        )
    ],
}  # fmt: skip
CALIBRATION = {"ece": 0.1, "bins": [{"low": 0.5, "high": 0.55, "confidence": 0.52, "accuracy": 0.6, "pairs": 9}]}


def artifact(folder: Path, logged: list[dict[str, float]], report: dict[str, Any] | None) -> Path:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(point) + "\n" for point in logged))
    if report:
        (folder / "report.json").write_text(json.dumps(report))
    return folder


@pytest.mark.parametrize(
    ("logged", "report", "names"),
    [
        ([{"step": i, "loss": 1 / i, "eval_loss": 2 / i} for i in (1, 2, 30)], None, ["curves"]),
        ([], COMPARISON, ["comparison"]),
        ([{"step": i, "loss": 1 / i} for i in (1, 2)], {"calibration": CALIBRATION}, ["curves", "reliability"]),
        ([{"step": 1, "loss": 1.0}], {"model": "sft", "suites": {}}, []),
    ],
)
def test_an_artifact_gets_the_pictures_that_its_files_allow(
    logged: list[dict[str, float]], report: dict[str, Any] | None, names: list[str], tmp_path: Path
) -> None:
    drawn = plots.draw(artifact(tmp_path / "a", logged, report))
    assert [path.stem for _, path in drawn] == names
    for last, path in drawn:
        data = path.read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        assert data.startswith(PNG) and width > 300 and height > 100
        assert last == (logged[-1]["step"] if logged else 0)


def test_pictures_are_drawn_the_same_again_and_stay_out_of_the_digest(tmp_path: Path) -> None:
    logged = [{"step": i, "loss": 1 / i} for i in (1, 2, 3)]
    first, again = (plots.draw(artifact(tmp_path / name, logged, None))[0][1].read_bytes() for name in "ab")
    assert first == again
    assert not manifest.is_content("plots/curves.png")


def test_curves_show_every_value_of_training_and_held_out_rows() -> None:
    figure = plots.curves([{"step": 1, "loss": 3.0, "eval_loss": 4.0}, {"step": 5, "loss": 1.0, "eval_loss": 2.0}])
    (axes,) = figure.axes
    assert [(str(line.get_label()), list(np.asarray(line.get_ydata()))) for line in axes.lines] == [
        ("training", [3.0, 1.0]),
        ("held out", [4.0, 2.0]),
    ]


def test_a_comparison_draws_each_interval_and_no_slices() -> None:
    figure = plots.comparison(COMPARISON)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["probes: gold", "probes: tokens"]
    drawn = [list(np.asarray(line.get_xdata())) for line in figure.axes[0].lines]
    assert drawn[0] == pytest.approx([0.3, 0.5]) and drawn[2] == pytest.approx([0.5, 0.7])
    assert len(figure.axes[1].lines) == 3  # an interval and two dots: one estimate has no bounds


def test_a_picture_that_fails_is_told_and_stops_nothing(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "a", [], {"calibration": {"ece": "no number", "bins": []}})
    tracker = Recorder()
    step._draw(folder, tracker)  # type: ignore[arg-type]
    assert tracker.notes and tracker.notes[0].startswith("no plots were drawn")


def test_pictures_go_to_the_tracking_service(tmp_path: Path) -> None:
    class Sink:
        def __init__(self) -> None:
            self.seen: list[tuple[int, str]] = []

        def image(self, at: int, name: str, path: Path) -> None:
            assert path.read_bytes().startswith(PNG)
            self.seen.append((at, name))

    folder, sink = artifact(tmp_path / "a", [{"step": i, "loss": 1.0} for i in (1, 7)], None), Sink()
    step._draw(folder, Tracker(tmp_path, lambda _: None, (sink,)))  # type: ignore[arg-type]
    assert sink.seen == [(7, "curves")]
