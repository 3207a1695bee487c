from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from align.artifact.store import Store
from align.errors import DataError
from align.plan import Plan
from align.report import generations, votes
from align.report.collect import collect
from align.report.generations import Suite
from align.schema import check_rows
from tests.report.conftest import SAID

CHOICES = {0: "dpo", 1: "dpo", 2: "sft", 3: "tie", 4: "skip"}


@pytest.fixture(scope="module")
def suites(finished: tuple[Plan, Store]) -> list[Suite]:
    plan, store = finished
    return generations.read(collect(plan, store))


def line(suite: Suite, row: int, preferred: str, **changed: Any) -> str:
    """A vote as the page exports it, the models on sides that change with the row."""
    sides = [{"model": s.model, "digest": s.digest, "text": s.texts[row]} for s in suite.said]
    left, right = sides if row % 2 else sides[::-1]
    choice = {left["model"]: "left", right["model"]: "right"}.get(preferred, preferred)
    prompt = [{"role": role, "content": content} for role, content in suite.prompts[row]]
    vote = {"format": "align/vote", "version": 1, "recipe": "small", "suite": suite.name, "row": row, "slice": "far"}
    return json.dumps({**vote, "prompt": prompt, "left": left, "right": right, "choice": choice, **changed}) + "\n"


@pytest.fixture
def path(suites: list[Suite], tmp_path: Path) -> Path:
    found = tmp_path / "v.jsonl"
    found.write_text("".join(line(suites[0], row, who) for row, who in CHOICES.items()), encoding="utf-8")
    return found


def test_votes_are_counted_whatever_side_a_model_stood_on(path: Path) -> None:
    (tally,) = votes.tallies(votes.read(path))
    assert (tally.model, tally.against) == ("dpo", "sft")
    assert (tally.won, tally.lost, tally.tied, tally.skipped) == (2, 1, 1, 1)
    assert tally.win_rate and tally.win_rate.value == 2.5 / 4 and tally.win_rate.n == 4
    assert 0 < tally.win_rate.low < 0.5 < tally.win_rate.high < 1  # four votes decide nothing, and a share is a share


def test_votes_on_one_prompt_are_one_piece_of_evidence(suites: list[Suite], tmp_path: Path) -> None:
    many, few = tmp_path / "many.jsonl", tmp_path / "few.jsonl"
    once = [line(suites[0], row, "dpo" if row < 3 else "sft") for row in range(4)]
    few.write_text("".join(once))
    many.write_text("".join(once * 10))
    (alone,), (repeated,) = votes.tallies(votes.read(few)), votes.tallies(votes.read(many))
    assert alone.win_rate and repeated.win_rate and repeated.win_rate.n == 40
    assert repeated.win_rate.high - repeated.win_rate.low > 0.8 * (alone.win_rate.high - alone.win_rate.low)


def test_preference_rows_are_sound_and_every_other_vote_is_counted(path: Path) -> None:
    found = votes.preferences(votes.read(path))
    assert found.left_out == {"tie": 1, "skip": 1, "empty answer": 1}  # sft's answer to row 1 is empty
    assert [(r["chosen"][0]["content"], r["rejected"][0]["content"]) for r in found.rows] == [
        (SAID["dpo"][0], SAID["sft"][0]),
        (SAID["sft"][2], SAID["dpo"][2]),
    ]
    assert list(check_rows("preference", found.rows, "votes")) == []
    assert len(votes.lines(found).split("\n")) == 3  # one line a row, whatever line separators are in an answer


def test_a_voter_who_always_takes_the_left_is_seen(suites: list[Suite], tmp_path: Path) -> None:
    path = tmp_path / "left.jsonl"
    path.write_text("".join(line(suites[0], row, "left") for row in range(5)))
    share = votes.left_share(votes.read(path))
    assert share and share.value == 1 and share.low > 0.5


def test_votes_are_checked_against_what_the_models_said(path: Path, suites: list[Suite]) -> None:
    votes.check(votes.read(path), suites, "small.yaml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(SAID["dpo"][0], "something better"), encoding="utf-8")
    with pytest.raises(DataError, match="line 1: The answer of dpo is not what it said to row 1".replace("The", "the")):
        votes.check(votes.read(path), suites, "small.yaml")
    path.write_text(text.replace(suites[0].said[1].digest, "0" * 64), encoding="utf-8")
    with pytest.raises(DataError, match=f"digest 000000000000.*has {suites[0].said[1].digest[:12]} now"):
        votes.check(votes.read(path), suites, "small.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no votes"),
        ("not json\n", "line 1: it is not JSON"),
        ('{"prompt": "x"}\n', "line 1: it is not a vote"),
        ('{"format": "align/vote", "version": 9}\n', "its version is 9"),
        ('{"format": "align/vote", "version": 1, "choice": "up"}\n', "choice is 'up'"),
        ('\n{"format": "align/vote", "version": 1, "choice": "tie"}\n', "line 2: something of the vote is missing"),
    ],
)
def test_a_file_that_holds_no_votes_says_so_by_line(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=re.escape(said)):
        votes.read(path)


def test_a_vote_between_a_model_and_itself_is_refused(suites: list[Suite], tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    side = {"model": "sft", "digest": "0", "text": "a"}
    path.write_text(line(suites[0], 0, "left", left=side, right=side))
    with pytest.raises(DataError, match="both answers are of sft"):
        votes.read(path)
