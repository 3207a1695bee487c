from __future__ import annotations

import re
from pathlib import Path

from align import plan as plans
from align.artifact.store import Store
from align.recipe import load
from align.report import graph

ROOT = Path(__file__).parents[2]


def drawing() -> graph.Drawing:
    return graph.draw(plans.make(load(ROOT / "recipes" / "quickstart.yaml"), Store(Path("nowhere"))))


def test_every_step_has_a_box_of_its_own_inside_the_drawing() -> None:
    found = drawing()
    for box in found.boxes:
        assert box.x >= 0 and box.x + graph.WIDTH <= found.width
        assert box.y >= 0 and box.y + graph.HEIGHT <= found.height
        for other in found.boxes:
            apart = abs(box.x - other.x) >= graph.WIDTH or abs(box.y - other.y) >= graph.HEIGHT
            assert box is other or apart, (box, other)


def test_every_input_is_a_line_from_left_to_right() -> None:
    found = drawing()
    place = {box.name: box for box in found.boxes}
    assert {("sft", "dpo"), ("pairs", "dpo"), ("pairs", "evaluate.sft"), ("evaluate.dpo", "evaluate")} <= {
        (line.start, line.end) for line in found.lines
    }
    for line in found.lines:
        assert place[line.start].x + graph.WIDTH < place[line.end].x


def test_no_line_runs_behind_the_box_of_another_step() -> None:
    """A line is level where it passes a layer: those stretches are the H commands of its path."""
    found = drawing()
    passed = 0
    for line in found.lines:
        for y, x in re.findall(r" (-?[\d.]+)H([\d.]+)", line.path):
            passed += 1
            assert not [
                b.name for b in found.boxes if b.x < float(x) <= b.x + graph.WIDTH and b.y < float(y) < b.y + 46
            ]
    assert passed  # chat -> sft passes the layer of pretrain
