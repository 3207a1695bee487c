import torch

from align.objectives.masked import masked_mean, masked_sum

values_BT = torch.tensor([[1.0, 2.0, 4.0], [8.0, float("nan"), 16.0]])
mask_BT = torch.tensor([[1, 1, 0], [1, 0, 1]])


def test_sums_and_means_are_over_what_counts_alone() -> None:
    """(1 + 2 + 8 + 16) = 27 over 4 positions; by row 3 / 2 and 24 / 2."""
    assert masked_sum(values_BT, mask_BT).item() == 27
    assert masked_mean(values_BT, mask_BT).item() == 27 / 4
    assert masked_mean(values_BT, mask_BT, dim=1).tolist() == [1.5, 12]


def test_nothing_that_counts_gives_zero() -> None:
    assert masked_mean(values_BT, torch.zeros(2, 3)).item() == 0
