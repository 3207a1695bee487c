"""The whole bench at its smallest, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from align.bench import measure
from align.bench.plans import Contender, Options, contenders
from align.cli.app import app
from align.errors import UserError

pytestmark = pytest.mark.usefixtures("warm_python")  # each contender is a process of its own


def bench(*arguments: str) -> Any:
    done = CliRunner().invoke(app, ["bench", *arguments, "--size", "tiny", "--json"], catch_exceptions=False)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("work", ["sft", "reward", "dpo", "generate"])
def test_ours_and_the_peer_are_measured_on_the_same_tokens(work: str) -> None:
    told = bench(work)
    assert [r["error"] for r in told["results"]] == [""] * len(told["results"])
    assert all(told["ratios"].values())
    if work != "sft":  # packed rows hold more or fewer documents
        assert len({r["tokens_per_step"] for r in told["results"]}) == 1
    assert all(r["phases"] for r in told["results"])


def test_ppo_is_measured_without_a_peer() -> None:
    told = bench("ppo")
    (ours,) = told["results"]
    assert not ours["error"] and ours["items_per_second"] > 0
    assert set(ours["phases"]) == {"rollout", "scoring", "update", "other"}


def test_a_child_that_fails_is_told_by_its_last_line() -> None:
    result = measure.measure(Contender("align", "generate", "ours", {"size": "unheard-of"}), "generate")
    assert result.error == "KeyError: 'unheard-of'"
    with pytest.raises(UserError, match="unheard-of"):
        measure.require_figures([result])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options("sleep"), "sft, reward, dpo, ppo, generate"),  # type: ignore[arg-type]
        (Options("sft", "9b"), "135m"),  # type: ignore[arg-type]
        (Options("ppo", peer_path=Path("nowhere")), "--target"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(options: Options, told: str) -> None:
    with pytest.raises(UserError, match=told):
        contenders(options)


def test_ppo_has_a_peer_only_where_an_older_trl_is_given(tmp_path: Path) -> None:
    (tmp_path / "trl").mkdir()
    assert [c.name for c in contenders(Options("ppo"))] == ["align"]
    assert [c.name for c in contenders(Options("ppo", peer_path=tmp_path))] == ["align", "trl"]
    assert [c.name for c in contenders(Options("sft", alone=True))] == ["align"]


@pytest.mark.slow
def test_preparing_is_measured_at_two_sizes() -> None:
    done = CliRunner().invoke(app, ["bench", "prepare", "--rows", "2000", "--json"], catch_exceptions=False)
    smaller, larger = json.loads(done.stdout)["results"]
    assert (smaller["rows"], larger["rows"]) == (400, 2000)
    assert larger["seconds"] > 0 and 1000 < larger["bytes"] / larger["rows"] < 1300


@pytest.mark.slow
def test_looking_for_duplicates_and_leaks_is_measured_at_two_sizes_and_finds_what_was_planted() -> None:
    done = CliRunner().invoke(app, ["bench", "dedup", "--rows", "4000", "--json"], catch_exceptions=False)
    smaller, larger = json.loads(done.stdout)["results"]
    assert (smaller["rows"], larger["rows"]) == (1000, 4000)
    planted, found = larger["planted"], larger["found"]
    assert found["duplicates/exact"] == planted["same"] > 20
    assert found["leakage/rows"] == planted["leaked"] > 5
    assert larger["duplicates"]["cpu_seconds"] > 0 and larger["leaks"]["cpu_seconds"] > 0
