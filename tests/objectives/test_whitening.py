"""Whitening over real positions only, and over all processes."""

from __future__ import annotations

import torch

from align.objectives.whitening import masked_moments, whiten

NAN = float("nan")


def test_moments_count_real_positions_only() -> None:
    """1, 3, 5 with a NaN off the mask: mean 3, variance (4 + 0 + 4) / 3."""
    mean, variance = masked_moments(torch.tensor([[1.0, 3.0], [5.0, NAN]]), torch.tensor([[1, 1], [1, 0]]))
    assert mean == 3 and torch.isclose(variance, torch.tensor(8 / 3))


def test_whitened_values_have_mean_zero_and_deviation_one_and_zeros_off_the_mask() -> None:
    values, mask = torch.tensor([[1.0, 3.0], [5.0, NAN]]), torch.tensor([[1, 1], [1, 0]])
    white = whiten(values, mask)
    assert white[1, 1] == 0
    torch.testing.assert_close(white[mask.bool()], torch.tensor([-1.0, 0.0, 1.0]) * (3 / 2) ** 0.5)


def test_whitening_without_shifting_keeps_the_mean() -> None:
    values, mask = torch.tensor([[1.0, 3.0, 5.0, 99.0]]), torch.tensor([[1, 1, 1, 0]])
    white = whiten(values, mask, shift_mean=False)
    torch.testing.assert_close(white[0, :3], torch.tensor([-1.0, 0.0, 1.0]) * (3 / 2) ** 0.5 + 3)
    assert white[0, 3] == 0


def test_equal_values_whiten_to_zero_never_to_nan() -> None:
    assert whiten(torch.full((2, 2), 7.0), torch.ones(2, 2)).tolist() == [[0, 0], [0, 0]]
    assert whiten(torch.full((2, 2), NAN), torch.zeros(2, 2)).tolist() == [[0, 0], [0, 0]]


def test_parts_whitened_with_summed_statistics_equal_the_whole() -> None:
    torch.manual_seed(0)
    values, mask = torch.randn(4, 3) * 5 + 100, torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    whole = whiten(values, mask)
    sums: list[list[torch.Tensor]] = [[], []]
    for half, rows in enumerate((slice(0, 1), slice(1, 4))):  # what each process adds, in order of asking
        whiten(values[rows], mask[rows], summed=lambda x, half=half: sums[half].append(x) or x)
    count = sums[0][0] + sums[1][0]
    mean = (sums[0][1] + sums[1][1]) / count
    squares = [torch.where(mask[r].bool(), (values[r] - mean).square(), 0.0).sum() for r in (slice(0, 1), slice(1, 4))]
    totals = iter([count, sums[0][1] + sums[1][1], squares[0] + squares[1]])
    torch.testing.assert_close(whiten(values[1:], mask[1:], summed=lambda _: next(totals)), whole[1:])
