"""The named scorers, by hand."""

from __future__ import annotations

import pytest

from align import quickstart
from align.errors import DataError
from align.scoring.named import SCORERS, Answer, final_number
from align.specs.asking import METRICS_OF_SCORER, ScorerName
from tests.subjects import user


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 + 4 = 7\n#### 7", 7.0),
        ("#### 1,234,567", 1234567.0),
        ("####$ -3.50 dollars", -3.5),
        ("#### .5", 0.5),
        ("#### 1\nno: #### 2.", 2.0),
        ("the answer is 7", None),
        ("#### none", None),
        ("", None),
    ],
)
def test_the_final_number_is_the_one_after_the_last_four_hashes(text: str, number: float | None) -> None:
    assert final_number(text) == number


def test_gsm8k_is_right_when_the_final_number_is_the_references() -> None:
    score = SCORERS["gsm8k"]
    told = [
        score(Answer(user("?"), text, 3, True, "so\n#### 1,000"))["correct"]
        for text in ("#### 1000.0", "#### 100", "1000")
    ]
    assert told == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("reference", [None, "no number"])
def test_gsm8k_refuses_prompts_without_a_reference(reference: str | None) -> None:
    with pytest.raises(DataError, match="Give the prompts as messages rows"):
        SCORERS["gsm8k"](Answer(user("?"), "#### 1", 3, True, reference))


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_a_scorer_gives_the_metrics_that_its_settings_promise(name: ScorerName) -> None:
    """Gates are checked against these names before a run."""
    prompt = next(quickstart.rows("probes"))["prompt"]
    assert tuple(SCORERS[name](Answer(prompt, "#### 7", 3, True, "#### 7"))) == tuple(METRICS_OF_SCORER[name])
