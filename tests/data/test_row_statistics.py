import random

import numpy as np
import pytest

from align.data.row_statistics import RowStatistics, copies, spread, texts_of
from align.schema import ROW_TYPES, load_schema


def test_percentiles_are_within_the_width_of_a_bin():
    draw = random.Random(0)
    values = sorted(draw.randrange(1, 20_000) for _ in range(5000))
    told = spread(np.array(draw.sample(values, 5000)))
    assert told["mean"] == pytest.approx(sum(values) / 5000, abs=0.06) and told["longest"] == values[-1]
    for share, name in ((0.05, "p5"), (0.5, "p50"), (0.95, "p95")):
        assert told[name] == pytest.approx(values[int(share * 5000)], rel=0.07)


def test_copies_are_counted_with_the_row_they_repeat():
    found = copies(np.array((7, 8, 7, 9, 7, 8)), np.arange(1, 7))
    assert found == {"copies": 3, "examples": [[3, 1], [5, 1], [6, 2]]}
    assert copies(np.array([], int), np.array([], int)) == {"copies": 0, "examples": []}


@pytest.mark.parametrize("row_type", ROW_TYPES)
def test_the_texts_of_every_row_type_are_found(row_type):
    for row in load_schema(row_type)["examples"]:
        texts = texts_of(row_type)(row)
        assert bool(texts.prompt) == (row_type not in ("text", "tokens"))
        assert len(texts.answers) == {"prompt": 0, "preference": 2, "ranking": 3}.get(row_type, 1)


def test_sources_beyond_the_first_ones_are_told_together():
    statistics = RowStatistics("text")
    for n in range(200):
        row = {"text": "abcd", "source": f"s{n}"}
        statistics.add(row, texts_of("text")(row), n)
    sources = statistics.report()["sources"]
    assert sources["(others)"]["rows"] == 150 and len(sources) == 51
    assert sum(each["rows"] for each in sources.values()) == 200


@pytest.mark.parametrize("row_type", ["preference", "ranking", "messages", "text"])
def test_a_report_of_the_rows_kept_is_that_of_rows_of_which_the_others_never_were(row_type):
    draw, examples = random.Random(1), load_schema(row_type)["examples"]
    rows = [
        {
            **draw.choice(examples),
            "source": draw.choice("abc"),
            **({"id": draw.choice("xyz")} if draw.random() < 0.6 else {}),
        }
        for _ in range(200)
    ]
    kept = np.array([draw.random() < 0.7 for _ in rows])
    every, some = RowStatistics(row_type), RowStatistics(row_type)
    for number, row in enumerate(rows, 1):
        texts = texts_of(row_type)(row)
        size = every.add(row, texts, number)
        assert size == len(texts.prompt) + sum(map(len, texts.answers))
        if kept[number - 1]:
            some.add(row, texts, number)
    assert every.report(kept) == some.report() != every.report()
    assert every.report(~kept)["copies"]["rows"]["copies"] > 0
