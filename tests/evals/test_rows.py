"""What suites need of their rows is told without a model."""

from __future__ import annotations

from typing import Any

import pytest

from align.errors import DataError
from align.evals.rows import check
from align.specs.contests import HealthSuite, PreferenceSuite
from align.specs.suites import (
    ConflictSuite,
    FormatSuite,
    GenerationSuite,
    InstructionSuite,
    RetentionSuite,
    SafetySuite,
    Suite,
    TransferSuite,
)
from tests.subjects import user

PLAIN = [{"prompt": user("what is a fox ?"), "slice": "near"}]
TRANSFER = TransferSuite(data="p", scorer="stops", in_domain="near", near=None, far="far", limit=5)


@pytest.mark.parametrize(
    ("suite", "told"),
    [
        (InstructionSuite(data="p"), "row 1: it asks for no instruction"),
        (ConflictSuite(data="p"), "row 1: its meta has no old fact"),
        (SafetySuite(data="p"), "no row has the axis or slice harmful or unsafe"),
        (TRANSFER, "no row of the first 5 .its limit. has the slice far"),
        (RetentionSuite(data="p"), "without a reference"),
        (GenerationSuite(data="p", scorers=["stops", "gsm8k"]), "without a number after ####"),
        (HealthSuite(data="p", against="m", gold="gsm8k"), "without a number after ####"),
        (PreferenceSuite(data="p", against="m", by="scorer:quickstart"), "fox"),
    ],
)
def test_rows_that_a_suite_cannot_ask_about_are_refused(suite: Suite, told: str) -> None:
    with pytest.raises(DataError, match=told):
        check(suite, PLAIN, "prompt", "suites.it")


def test_a_form_that_a_row_declares_must_be_known() -> None:
    with pytest.raises(DataError, match=r"suites.it.data, row 1: meta.structure is 'yaml'"):
        check(FormatSuite(data="p"), [{**PLAIN[0], "meta": {"structure": "yaml"}}], "prompt", "suites.it")


@pytest.mark.parametrize(
    ("suite", "more"),
    [
        (FormatSuite(data="p"), {}),
        (ConflictSuite(data="p"), {"meta": {"old": "a", "new": "b"}}),
        (SafetySuite(data="p", harmful=["near"]), {}),
        (RetentionSuite(data="p"), {"reference": "an animal"}),
        (GenerationSuite(data="p", scorers=["gsm8k"]), {"reference": "#### 4"}),
        (PreferenceSuite(data="p", against="m", by="gsm8k"), {}),  # a stage of that name
    ],
)
def test_rows_that_have_what_is_needed_pass(suite: Suite, more: dict[str, Any]) -> None:
    check(suite, [{**PLAIN[0], **more}], "prompt", "suites.it")
