"""A person's own file as scorer, gold and proxy of suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from align.errors import TrainingError
from align.evals.asking import Subject
from align.evals.measured import summarize
from align.specs.suites import FrontierSuite, GenerationSuite, HealthSuite, PreferenceSuite, TransferSuite
from tests.subjects import asked, saying, user

LENGTH = "def letters(prompt, completion):\n    return len(completion) - 100.0\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(LENGTH)
    return f"file:{tmp_path}/own.py:letters"


def test_a_file_scores_in_every_place_that_a_scorer_has(subject: Subject, file: str) -> None:
    """The answers have 5, 9 and 3 letters; those of the other model 3 each. Its score may be any number, as intervals have it."""
    prompts = [{"prompt": user(t), "slice": s} for t, s in (("fox", "in_domain"), ("a dog", "near"), ("cat ?", "far"))]
    ours, theirs = saying(subject, "a dog", "a cat sat", "fox"), saying(subject, "fox", "cat", "dog")
    told = [-95.0, -91.0, -97.0]
    found = asked(GenerationSuite(data="p", scorers=["length", file], max_new_tokens=8), ours, prompts)
    assert found.values["letters"] == told and found.scales["letters"] == "real" and "tokens" in found.values
    assert asked(TransferSuite(data="p", scorer=file, max_new_tokens=8), ours, prompts).values["score"] == told
    health = asked(
        HealthSuite(data="p", against="m", proxy=file, gold=file, max_new_tokens=8), ours, prompts, against=theirs
    )
    assert health.values["gold"] == health.values["proxy"] == told
    assert health.values["gold_gain"] == [2, 6, 0] and health.scales["gold_gain"] == "real"
    contest = asked(
        PreferenceSuite(data="p", against="m", by=file, gold=file, max_new_tokens=8), ours, prompts, against=theirs
    )
    assert contest.values["win_rate"] == [1, 1, 0.5] and summarize(contest)["gold_agreement"]["all"]["value"] == 1
    frontier = asked(
        FrontierSuite(data="p", against="m", proxy=file, gold=file, max_new_tokens=8), ours, prompts, against=subject
    )
    assert frontier.values["gold"] == frontier.values["proxy"] == told


def test_a_file_that_fails_is_told_with_its_suite_and_what_is_kept(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def letters(prompt, completion):\n    return None\n")
    suite = GenerationSuite(data="p", scorers=[f"file:{tmp_path}/own.py:letters"], max_new_tokens=8)
    said = r"suites\.it: scorer own\.py:letters: completion 1 \('a cat'\): it returned None.*answers that were given are kept"
    with pytest.raises(TrainingError, match=f"(?s){said}"):
        asked(suite, saying(subject, "a cat"), [{"prompt": user("fox")}])
