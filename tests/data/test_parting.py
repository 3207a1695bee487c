import numpy as np
import pyarrow.parquet as pq
import pytest

from align.data.parting import LEFT_OUT, part_rows
from align.data.store_rows import RowWriter, part_file, read_rows


def staged(folder, count):
    with RowWriter(folder, "text", ["staged"]) as writer:
        for n in range(count):
            writer.write("staged", {"text": f"row {n}", "source": "s"})
    return part_file(folder, "staged")


@pytest.mark.parametrize("count", [10, 4096, 9001])
def test_rows_go_to_their_parts_in_order_and_none_is_lost(tmp_path, count):
    chosen = np.arange(count) % 5 % 3 - 1  # LEFT_OUT, 0, 1
    counts = part_rows(staged(tmp_path, count), tmp_path, ["train", "holdout"], chosen)
    for place, part in enumerate(("train", "holdout")):
        wanted = [f"row {n}" for n in range(count) if chosen[n] == place]
        assert [row["text"] for row in read_rows([part_file(tmp_path, part)], "text")] == wanted
        assert counts[part] == len(wanted)
    assert (chosen == LEFT_OUT).any() and not part_file(tmp_path, "staged").exists()


def test_what_is_left_is_written_as_if_nothing_had_been_left_out(tmp_path):
    chosen = np.where(np.arange(9000) % 7 == 0, LEFT_OUT, 0)
    part_rows(staged(tmp_path, 9000), tmp_path, ["train"], chosen)
    groups = pq.ParquetFile(part_file(tmp_path, "train")).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [4096, 7714 - 4096]


def test_one_part_that_keeps_all_is_the_staged_file_itself(tmp_path):
    path = staged(tmp_path, 30)
    content = path.read_bytes()
    assert part_rows(path, tmp_path, ["train"], np.zeros(30, np.int8)) == {"train": 30}
    assert part_file(tmp_path, "train").read_bytes() == content


def test_an_empty_part_is_a_file_without_rows(tmp_path):
    assert part_rows(staged(tmp_path, 3), tmp_path, ["train", "holdout"], np.zeros(3, int)) == {
        "train": 3,
        "holdout": 0,
    }
    assert list(read_rows([part_file(tmp_path, "holdout")], "text")) == []
