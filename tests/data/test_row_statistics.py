import random
from array import array

import pytest

from align.data.row_statistics import Lengths, RowStatistics, copies, texts_of
from align.schema import ROW_TYPES, load_schema


def test_percentiles_are_within_the_width_of_a_bin():
    draw, lengths = random.Random(0), Lengths()
    values = sorted(draw.randrange(1, 20_000) for _ in range(5000))
    for value in values:
        lengths.add(value)
    told = lengths.told()
    assert told["mean"] == pytest.approx(sum(values) / 5000, abs=0.06) and told["longest"] == values[-1]
    for share, name in ((0.05, "p5"), (0.5, "p50"), (0.95, "p95")):
        assert told[name] == pytest.approx(values[int(share * 5000)], rel=0.07)


def test_copies_are_counted_with_the_row_they_repeat():
    found = copies(array("q", (7, 8, 7, 9, 7, 8)), array("q", range(1, 7)))
    assert found == {"copies": 3, "examples": [[3, 1], [5, 1], [6, 2]]}
    assert copies(array("q"), array("q")) == {"copies": 0, "examples": []}


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_the_texts_of_every_row_type_are_found(row_type):
    for row in load_schema(row_type)["examples"]:
        texts = texts_of(row_type)(row)
        assert bool(texts.prompt) == (row_type != "text")
        assert len(texts.answers) == {"prompt": 0, "preference": 2, "ranking": 3}.get(row_type, 1)


def test_sources_beyond_the_first_ones_are_told_together():
    statistics = RowStatistics("text")
    for n in range(200):
        row = {"text": "abcd", "source": f"s{n}"}
        statistics.add(row, texts_of("text")(row), n)
    sources = statistics.report()["sources"]
    assert sources["(others)"]["rows"] == 150 and len(sources) == 51
    assert sum(each["rows"] for each in sources.values()) == 200
