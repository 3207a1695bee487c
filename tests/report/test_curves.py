from __future__ import annotations

from align.artifact.points import points
from align.report import curves


def test_a_step_logged_again_after_a_resume_counts_once_and_a_torn_line_not_at_all() -> None:
    lines = ['{"step": 1, "loss": 3.0}', '{"step": 2, "loss": 9.0}', '{"step": 2, "loss": 2.0}', '{"step": 3, "lo']
    assert points(lines) == [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}]


def test_training_and_held_out_values_of_a_metric_share_a_chart() -> None:
    told = [{"step": i, "loss": 4.0 - i, "learning_rate": 0.1 * i} for i in range(1, 4)]
    told += [{"step": i, "eval_loss": 4.5 - i} for i in (1, 3)]
    found = curves.charts(told)
    assert [c.title for c in found] == ["loss", "rate"] and found[0].first and not found[1].first
    assert [s.name for s in found[0].series] == ["training", "held out"]
    assert found[0].series[1].values == [(1, 3.5), (3, 1.5)]
    assert "3 at step 1, 1 at step 3" in found[0].told


def test_not_a_number_and_single_points_make_no_curve() -> None:
    assert curves.charts([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 2.0}]) == []


def test_thinning_keeps_both_ends_and_every_spike() -> None:
    values = [(float(i), 1.0) for i in range(10_000)]
    values[7777] = (7777.0, 99.0)
    kept = curves.thinned(values)
    assert len(kept) <= curves.MOST_POINTS + 2
    assert kept[0] == values[0] and kept[-1] == values[-1] and (7777.0, 99.0) in kept
    assert kept == sorted(kept)


def test_ticks_are_round_and_span_the_values() -> None:
    assert curves.ticks(0.03, 0.97) == [0.0, 0.5, 1.0]
    assert curves.ticks(1.1, 6.8) == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert curves.ticks(2.0, 2.0) == [2.0]
    assert curves.ticks(-0.004, 0.004)[0] <= -0.004


def test_ticks_of_a_narrow_range_are_told_apart() -> None:
    assert curves.labels([5.9906, 5.9908, 5.991]) == ["5.9906", "5.9908", "5.991"]
    assert curves.labels([0.0, 10_000.0, 20_000.0]) == ["0", "10k", "20k"]
    assert curves.labels([2.0]) == ["2"]
