from __future__ import annotations

from dataclasses import replace

import pytest

from align.data.overfitting import Diet, risk

SOUND = Diet("sft", 1000, 0, 100_000, 3, 1_000_000)


def test_passes_count_repeated_rows_once_and_capacity_is_in_bits() -> None:
    """1000 rows of which 500 stand there twice: 3 epochs are 6 passes. 1M parameters x 3.6 bits, 50k tokens x 4 bits."""
    diet = replace(SOUND, repeated=500)
    assert diet.passes == 6
    assert diet.held == pytest.approx(3.6e6 / 2e5)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "ok"),
        ({"epochs": 4}, "ok"),
        ({"epochs": 4.5}, "warning"),
        ({"repeated": 500}, "warning"),
        ({"epochs": 20, "trainable": 100_000}, "ok"),  # too small to hold the rows
        ({"epochs": 20, "trainable": 120_000}, "warning"),
        ({"epochs": 20, "evaluated": True, "keeps_best": True}, "ok"),
        ({"kind": "reward", "epochs": 3}, "warning"),
    ],
)
def test_a_stage_is_warned_of_where_rows_can_be_held_and_are_seen_too_often(change: dict, state: str) -> None:
    assert risk(replace(SOUND, **change), "stages.sft").state == state


def test_the_warning_says_what_to_set() -> None:
    found = risk(replace(SOUND, epochs=20, repeated=10), "stages.sft")
    assert "Set epochs: 4 or less" in found.remedy and "10 rows repeat an earlier one" in found.remedy
