"""Batches of whole rankings: every row once a pass, no ranking in two batches, the same loss however a batch is cut up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align.artifact.inputs import RowsInput
from align.data.comparisons import Judged, pairs_of
from align.data.store_rows import read_rows
from align.loop.rankings import RankedBatches, dealt, shared, whole
from align.specs import DpoSpec, RewardSpec
from align.stages import dpo, reward
from tests.tiny import Recorder, inputs, pairs, rankings, write_base, write_rows

Groups = st.lists(st.integers(1, 12), min_size=1, max_size=60)


def grouped(sizes: list[int]) -> list[list[int]]:
    """Consecutive row numbers in groups of these sizes."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


@settings(deadline=None, max_examples=60)
@given(Groups, st.integers(1, 40), st.integers(1, 8), st.integers(0, 5))
def test_every_row_stands_in_one_batch_of_a_pass_with_its_whole_ranking(
    sizes: list[int], batch_size: int, micro_batches: int, seed: int
) -> None:
    groups = grouped(sizes)
    ranked = RankedBatches(groups, batch_size, micro_batches, seed)
    for number in range(3):
        batches = ranked.of_pass(number)
        assert sorted(row for batch in batches for row in batch) == list(range(sum(sizes)))
        assert all(0 < len(batch) <= batch_size for batch in batches)
        assert len(batches) * micro_batches == len(ranked)
        of_row = {row: place for place, batch in enumerate(batches) for row in batch}
        spread = [len({of_row[row] for row in group}) for group in groups]
        assert all(places == 1 for places, group in zip(spread, groups, strict=True) if len(group) <= batch_size)
        assert sum(len(group) > batch_size for group in groups) == ranked.cut


@settings(deadline=None, max_examples=30)
@given(Groups, st.integers(12, 40), st.integers(1, 8))
def test_micro_batches_are_the_batch_in_equal_pieces(sizes: list[int], batch_size: int, micro_batches: int) -> None:
    ranked = RankedBatches(grouped(sizes), batch_size, micro_batches, seed=0)
    told = list(ranked)
    for place, batch in enumerate(ranked.of_pass(0)):
        pieces = told[place * micro_batches : (place + 1) * micro_batches]
        assert [row for piece in pieces for row in piece] == batch
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_the_order_is_the_seeds_and_another_in_each_pass() -> None:
    sizes = [1, 3, 6] * 20
    one, same, other = (RankedBatches(grouped(sizes), 16, 2, seed) for seed in (7, 7, 8))
    assert one.of_pass(1) == same.of_pass(1)
    assert one.of_pass(1) != one.of_pass(2) and one.of_pass(1) != other.of_pass(1)
    met = [{frozenset(batch) for batch in one.of_pass(number)} for number in range(2)]
    assert len(met[0] & met[1]) < len(met[0]) / 2  # other rankings meet, not the same ones in another order


def test_batches_are_as_few_and_as_equal_as_their_rankings_allow() -> None:
    """100 rankings of 6 pairs, 64 to a batch: 10 whole ones fit, so that 10 batches of 60 do."""
    ranked = RankedBatches(grouped([6] * 100), 64, 4, seed=0)
    assert [len(batch) for batch in ranked.of_pass(0)] == [60] * 10
    assert dealt([5, 4, 3, 3, 3], 2) == [[0, 3], [1, 2, 4]]
    assert shared([1, 2, 3, 4, 5], 3) == [[1, 2], [3, 4], [5]] and shared([1], 3) == [[1], [], []]


def test_pairs_of_one_ranking_are_marked_and_a_lone_pair_is_not() -> None:
    prompt, answers = [{"role": "user", "content": "?"}], [[{"role": "assistant", "content": c}] for c in "abc"]
    three = pairs_of(Judged(prompt, answers, [3.0, 2.0, 1.0])).rows
    assert len({row["ranking"] for row in three}) == 1 and len(three) == 3
    other = pairs_of(Judged(prompt, answers, [1.0, 2.0, 3.0])).rows
    assert other[0]["ranking"] != three[0]["ranking"]
    assert "ranking" not in pairs_of(Judged(prompt, answers[:2], [2.0, 1.0])).rows[0]
    assert whole(["a", None, "b", "a", None]) == [[0, 3], [1], [2], [4]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("world")
    return {
        "base": write_base(folder / "base"),
        "rankings": write_rows(folder / "rankings", "ranking", rankings(22)),
        "pairs": write_rows(folder / "pairs", "preference", pairs(24)),
    }


def dpo_run(world: dict[str, Any], out: Path, rows: RowsInput, **more: Any) -> tuple[Recorder, dict[str, float]]:
    settings: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 8, "max_length": 64, "log_every": 1, "seed": 3}
    spec = DpoSpec(kind="dpo", policy="base", data="rows", **(settings | more))
    recorder = Recorder()
    return recorder, dpo.run(spec, inputs(out, policy=world["base"], data=rows), out, recorder)  # type: ignore[arg-type]


def reward_run(world: dict[str, Any], out: Path, rows: RowsInput, **more: Any) -> tuple[Recorder, dict[str, float]]:
    settings: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 8, "max_length": 64, "log_every": 1, "seed": 3}
    spec = RewardSpec(kind="reward", model="base", data="rows", **(settings | more))
    recorder = Recorder()
    return recorder, reward.run(spec, inputs(out, model=world["base"], data=rows), out, recorder)  # type: ignore[arg-type]


@pytest.mark.parametrize("run", [dpo_run, reward_run], ids=["dpo", "reward"])
def test_a_ragged_batch_weighs_every_pair_the_same_however_it_is_cut_up(
    world: dict[str, Any], tmp_path: Path, run: Any
) -> None:
    """In micro batches of one pair, some of which are empty, and in one micro batch, whose mean needs no weights.

    73 pairs in 10 batches of 8 at most: 7 of these have 7, the second and third among them.
    """
    told = {
        size: run(world, tmp_path / str(size), world["rankings"], micro_batch_size=size, max_steps=3) for size in (8, 1)
    }
    (whole_batches, whole_metrics) = told.pop(8)
    for recorder, metrics in told.values():
        for (_, ours), (_, theirs) in zip(recorder.logged, whole_batches.logged, strict=True):
            same = [n for n in theirs if not n.startswith(("min_", "max_", "logits", "entropy", "num_tokens"))]
            same = [n for n in same if "per_second" not in n and n != "mean_token_accuracy"]
            assert {"loss", "grad_norm"} < set(same) and len(same) > 5
            assert {n: ours[n] for n in same} == pytest.approx({n: theirs[n] for n in same}, abs=2e-4, rel=2e-4)
        assert metrics["tokens"] == whole_metrics["tokens"]


@pytest.mark.parametrize("run", [dpo_run, reward_run], ids=["dpo", "reward"])
def test_what_is_trained_on_is_whole_rankings(
    world: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    """As the collator gets them, over two passes: 8 rows a step in 4 micro batches."""
    from align.loop import trl_private

    seen: list[list[str]] = []

    class Watched(trl_private.CountedPairs):
        def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
            seen.append([str(row["chosen_ids"]) + str(row["rejected_ids"]) for row in rows])
            return super().__call__(rows)

    monkeypatch.setattr(trl_private, "CountedPairs", Watched)
    recorder, metrics = run(world, tmp_path, world["rankings"], micro_batch_size=2, epochs=2.0)
    rows = list(read_rows(world["rankings"].files, "ranking", "preference"))
    sizes = Counter(row.get("ranking", index) for index, row in enumerate(rows))
    several = [size for size in sizes.values() if size > 1]
    assert metrics["rankings"] == len(several) and metrics["rankings/largest"] == max(several) == 6
    assert metrics["pairs"] == len(rows) and metrics["rankings/cut"] == 0
    assert any(f"come of {len(several)} rankings" in note for note in recorder.notes)
    assert len(seen) == 4 * metrics["steps"]
    steps = [[row for micro in seen[at : at + 4] for row in micro] for at in range(0, len(seen), 4)]
    for half in (steps[: len(steps) // 2], steps[len(steps) // 2 :]):
        assert sum(map(len, half)) == len(rows) == len({row for step in half for row in step})
    met = [{frozenset(step) for step in half} for half in (steps[: len(steps) // 2], steps[len(steps) // 2 :])]
    assert met[0] != met[1]


def test_rankings_larger_than_a_batch_are_spread_and_it_is_said(world: dict[str, Any], tmp_path: Path) -> None:
    recorder, metrics = dpo_run(world, tmp_path, world["rankings"], batch_size=4, max_steps=1)
    assert metrics["rankings/cut"] > 0
    assert any("batch_size: 6 would keep them whole" in note for note in recorder.notes)


def test_pairs_of_no_ranking_are_drawn_as_ever(world: dict[str, Any], tmp_path: Path) -> None:
    recorder, metrics = dpo_run(world, tmp_path, world["pairs"], max_steps=1)
    assert "rankings" not in metrics and recorder.notes == []


def test_an_order_of_the_persons_own_is_kept_and_its_price_told(world: dict[str, Any], tmp_path: Path) -> None:
    order = {"trainer": {"train_sampling_strategy": "sequential"}}
    recorder, metrics = dpo_run(world, tmp_path, world["rankings"], max_steps=1, **order)
    assert "rankings/cut" not in metrics and "may spread the pairs of a ranking" in recorder.notes[-1]
