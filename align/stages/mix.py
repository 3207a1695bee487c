"""mix: rows of several data entries, in the shares or counts that the recipe sets, shuffled together.

Reads     rows of one type (or cast to it). Writes rows-train.parquet and README.md.
Shares    of rows, exact up to rounding by the largest remainders. Without `rows`, as many as there are without taking one twice:
          the smallest of rows / share. Where an entry has too few the stage refuses, unless `repeat` lets it take rows again.
Choice    by selection sampling (Knuth, TAOCP 2, 3.4.2 S): each entry is read once, in order, and every row is as likely as any
          other; then the entries are laid together at random, in proportion to what is left of each. `mix_seed` alone
          decides. Memory does not grow with the rows.
Split     a prompt set aside in an entry's holdout does not come back: only the parts named are read.
Metrics   rows/train; mixed/ENTRY, rows taken of each; repeated/ENTRY, how many of them a second time or more;
          slices/train and axes/train, with the rows of each.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from align.artifact.inputs import Inputs, RowsInput
from align.data import card, slices
from align.data.store_rows import Row, RowWriter, read_rows
from align.errors import DataError, Stopped
from align.specs.mix import MixSpec
from align.tracking import Tracker

ROWS_BETWEEN_TELLING = 2000


def run(spec: MixSpec, inputs: Inputs, out: Path, tracker: Tracker) -> dict[str, float]:
    """Choose and interleave the rows; see the top of this file."""
    sources = [inputs.rows(f"mix.{index}") for index in range(len(spec.mix))]
    there = [_count(source, spec) for source in sources]
    wanted = rows_of_each(spec, there, [source.name for source in sources])
    draws = [random.Random(f"{spec.mix_seed} {index}") for index in range(len(sources))]
    chosen = [_chosen(*each, spec) for each in zip(sources, there, wanted, draws, strict=True)]
    with RowWriter(out, spec.as_) as writer:
        for done, row in enumerate(_interleaved(chosen, wanted, random.Random(f"{spec.mix_seed} order"))):
            writer.add("train", row)
            if done % ROWS_BETWEEN_TELLING == 0:
                tracker.progress(done, sum(wanted))
                if tracker.stop_requested:
                    raise Stopped
    tracker.progress(sum(wanted), sum(wanted))
    metrics: dict[str, float] = {"rows/train": sum(wanted)} | slices.counted(out, ["train"])
    for source, have, took in zip(sources, there, wanted, strict=True):
        again = max(0, took - have)
        told = f"{source.name}: {took:,} of {have:,} rows, {took / sum(wanted):.1%} of the mixture"
        tracker.note(told + (f"; {again:,} of them taken again" if again else ""))
        metrics |= {f"mixed/{source.name}": took} | ({f"repeated/{source.name}": again} if again else {})
    lines = [
        *card.head(["train"]),
        f"# {sum(wanted):,} {spec.as_} rows, mixed",
        "",
        *(f"- {note}" for note in tracker.notes),
    ]
    (out / card.CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return metrics


def rows_of_each(spec: MixSpec, there: Sequence[int], names: Sequence[str]) -> list[int]:
    """How many rows are taken of each entry. Raises DataError where one has too few and may not repeat any."""
    if spec.counted:
        wanted = [int(amount) for amount in spec.amounts]
    else:
        total = spec.rows or math.floor(
            min(rows / share for rows, share in zip(there, spec.amounts, strict=True)) + 1e-9
        )
        wanted = _by_largest_remainder(spec.amounts, total)
    for name, have, want in zip(names, there, wanted, strict=True):
        if have == 0 or (want > have and not spec.repeat):
            raise DataError(
                name, f"the mixture wants {want:,} of its rows, and it has {have:,}", "No more than there are",
                "Lower its share, count or rows; or say repeat: true to take rows more than once.",
            )  # fmt: skip
    return wanted


def _by_largest_remainder(shares: Sequence[float], total: int) -> list[int]:
    exact = [share * total for share in shares]
    rows = [math.floor(each + 1e-9) for each in exact]
    for index in sorted(range(len(shares)), key=lambda i: (rows[i] - exact[i], i))[: total - sum(rows)]:
        rows[index] += 1
    return rows


def _count(source: RowsInput, spec: MixSpec) -> int:
    """Its rows once they are cast: a ranking gives several pairs."""
    return source.rows if source.type == spec.as_ else sum(1 for _ in read_rows(source.files, source.type, spec.as_))


def _chosen(source: RowsInput, there: int, wanted: int, draw: random.Random, spec: MixSpec) -> Iterator[Row]:
    """Whole passes while more rows are wanted than there are, then a sample of the last one, in the order they stand."""
    while wanted > 0:
        take = min(wanted, there)
        for position, row in enumerate(read_rows(source.files, source.type, spec.as_)):
            if draw.random() * (there - position) < take:
                take -= 1
                wanted -= 1
                yield row


def _interleaved(chosen: list[Iterator[Row]], wanted: Sequence[int], draw: random.Random) -> Iterator[Row]:
    left = list(wanted)
    for _ in range(sum(left)):
        (index,) = draw.choices(range(len(left)), left)
        left[index] -= 1
        yield next(chosen[index])
