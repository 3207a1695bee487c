import random

import pytest

from align.loop.batches import IGNORED, Document, PackedCollator, best_fit_decreasing, packed_dataset


def test_bins_hold_every_document_once_and_none_too_many() -> None:
    rng = random.Random(0)
    lengths = [min(64, max(1, int(rng.lognormvariate(2.5, 0.8)))) for _ in range(3000)]
    bins = best_fit_decreasing(lengths, 64)
    assert sorted(i for row in bins for i in row) == list(range(3000))
    assert max(sum(lengths[i] for i in row) for row in bins) <= 64
    assert len(bins) <= -(-sum(lengths) // 64) * 1.01


def test_best_fit_by_hand() -> None:
    """Longest first, each into the fullest bin with room: 7 | 6 | 3 goes to 7 (room 3), 3 to 6, 1 to 6 + 3."""
    assert best_fit_decreasing([3, 7, 3, 6, 1], 10) == [[1, 0], [3, 2, 4]]


def test_a_document_longer_than_a_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="11 tokens"):
        best_fit_decreasing([11], 10)


def test_batch_marks_borders_and_predicts_no_first_token() -> None:
    data = packed_dataset([Document([5, 6, 7], [IGNORED, 6, 7]), Document([8, 9], [8, 9])], 10)
    batch = PackedCollator(pad_token_id=0, longest=4, fixed_length=12)([data[0]])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, 9] + [-100] * 7]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1, 2, 3, 0, 1, 2]]
    assert batch["cu_seq_lens_q"].tolist() == [0, 3, 5, 9, 12]
    assert batch["real_tokens"] == 5
