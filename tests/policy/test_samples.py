"""When samples are taken."""

from __future__ import annotations

import pytest

from align.policy.samples import POINTS, due


@pytest.mark.parametrize("updates", [1, 9, 15, 19, 50, 101])
def test_samples_are_taken_before_after_and_about_ten_times_between(updates: int) -> None:
    taken = [update for update in range(updates + 1) if due(update, updates)]
    assert taken[0] == 0 and taken[-1] == updates
    assert min(updates, POINTS / 2) < len(taken) <= POINTS + 2
