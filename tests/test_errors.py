"""Errors as sentences."""

from __future__ import annotations

import errno

import pytest

from align.errors import ResourceError, UserError, did_you_mean, of_place, wrapped


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        ("At most 1 %", "Expected at most 1 %."),
        ("A whole file", "Expected a whole file."),
        ("At least one row is needed", "At least one row is needed."),
        ("The window of m is 128", "The window of m is 128."),
        ("expected a file", "Expected a file."),
    ],
)
def test_what_was_expected_is_said_as_such_unless_it_is_a_sentence(expected: str, told: str) -> None:
    assert str(UserError("f", "found 3", expected, "do this")) == f"f: found 3. {told} Do this."


def test_a_word_that_is_near_is_meant_and_otherwise_all_are_told() -> None:
    assert did_you_mean("bta", ["beta", "seed"]) == "Did you mean beta?"
    assert did_you_mean("x", ["beta", "seed"]) == "Known: beta, seed." and did_you_mean("x", []) == ""


def test_lines_are_broken_between_words_and_commands_stay_whole() -> None:
    assert wrapped("run it: align-run-with-a-very-long-name now", 20).splitlines() == [
        "run it:",
        "align-run-with-a-very-long-name",
        "now",
    ]


def test_a_disk_that_is_full_is_the_persons_to_empty_and_a_missing_file_ours() -> None:
    full = of_place(OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(full, ResourceError) and str(full).startswith("disk: there is no space left. Free some")
    taken = of_place(PermissionError(errno.EACCES, "Permission denied", "/x/y"))
    assert isinstance(taken, UserError) and str(taken).startswith("/x/y: it cannot be used (permission denied).")
    missing = FileNotFoundError(errno.ENOENT, "No such file", "/x/y")
    assert of_place(missing) is missing
