"""The errors a person can meet, and the exit code each ends in.

AlignError              1   our fault: shown with its traceback
├── UserError           2   the person can fix it: shown as one paragraph, never a traceback
│   ├── RecipeError         the recipe does not say something runnable (carries every problem found)
│   ├── DataError           rows, files or sources are not what the recipe promises
│   ├── ModelError          a model folder, tokenizer or template cannot do what a stage needs
│   ├── ArtifactError       a sealed artifact is missing, corrupt or of the wrong kind
│   ├── BusyError           another runner holds the step
│   ├── ResourceError       disk or memory does not suffice
│   └── TrainingError       training left the road (loss not finite, step-0 margin not 0)
├── GateError           3   a gate failed or is inconclusive (2: one could not be judged)
└── Stopped         130/143 a person or the machine asked us to stop; saved and resumable
"""

from __future__ import annotations

import difflib
import errno
import re
import signal
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

INDENT = " " * 12
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAKEN = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip
_THING = re.compile(r"(A|An|One|At most|At least) ")  # what was expected, as a thing and not as a sentence
_VERB = re.compile(r" (needs?|has|is|are|can|reads?|asks|begins|holds)\b")


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """`Did you mean beta?`, all that is known where nothing is near, and nothing where nothing is known."""
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, known, 1, likeness)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}." if known else ""


def wrapped(text: str, columns: int, indent: str = "") -> str:
    """Text broken between words into lines of so many columns; paths and commands stay whole."""
    return textwrap.fill(
        text, columns, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


class AlignError(Exception):
    exit_code = 1


class UserError(AlignError):
    """A mistake a person can mend. The message answers where, what was found, what was expected, what to do."""

    exit_code = 2

    def __init__(self, where: str, found: str, expected: str = "", remedy: str = "") -> None:
        self.where, self.found, self.expected, self.remedy = where, found, expected, remedy
        super().__init__(where, found, expected, remedy)  # all of them, so that the error survives a process border

    def __str__(self) -> str:
        expected = self.expected
        if _THING.match(expected) and not _VERB.search(expected):
            expected = f"expected {expected[0].lower()}{expected[1:]}"
        parts = [s for s in (self.found, expected, self.remedy) if s]
        sentences = [s if s[-1] in ".?!:" else s + "." for s in parts]
        sentences[1:] = [s[0].upper() + s[1:] if s.split()[0].rstrip(",").isalpha() else s for s in sentences[1:]]
        return f"{self.where}: " + " ".join(sentences) if self.where else " ".join(sentences)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe: the line it stands on (0 = not in the file), its dotted key, and what to do."""

    line: int
    key: str
    message: str


class RecipeError(UserError):
    def __init__(self, path: str, problems: list[Problem], outcome: str = "nothing was run") -> None:
        self.path, self.problems, self.outcome = path, problems, outcome
        AlignError.__init__(self, path, problems, outcome)

    def __str__(self) -> str:
        return self.told()

    def told(self, columns: int | None = None) -> str:
        """A line for each problem; within so many columns its message stands below its key where it does not fit beside it."""
        count = len(self.problems)
        width = max(len(p.key) for p in self.problems)
        lines = [f"{self.path} has {count} problem{'s' if count > 1 else ''}; {self.outcome}.", ""]
        for p in sorted(self.problems, key=lambda p: p.line):
            place = f"line {p.line}" if p.line else "override"
            line = f"  {place:<9} {p.key:<{width}}   {p.message}"
            if columns and len(line) > columns:
                line = f"  {place:<9} {p.key}\n" + wrapped(p.message, columns, INDENT)
            lines.append(line)
        return "\n".join(lines)


class DataError(UserError):
    pass


class ModelError(UserError):
    pass


class ArtifactError(UserError):
    pass


class BusyError(UserError):
    pass


class ResourceError(UserError):
    pass


class TrainingError(UserError):
    pass


def of_place(error: OSError) -> Exception:
    """The error itself; or, where a file or folder cannot be written, what a person can change of that."""
    place = str(error.filename or "disk")
    if error.errno in _FULL:
        return ResourceError(
            place, "there is no space left", "", "free some, or put the store elsewhere with --store FOLDER"
        )
    if error.errno not in _TAKEN or not error.filename:
        return error
    found = f"it cannot be used ({(error.strerror or str(error)).lower()})"
    return UserError(place, found, "", "name another place, or change who may write there")


class GateError(AlignError):
    """Gates were judged, and shown, and did not all pass; `exit_code` is 2 where one could not be judged at all."""

    def __init__(self, message: str, exit_code: int = 3) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Stopped(AlignError):
    """Training was asked to stop, has saved, and can be resumed."""

    def __init__(self, signal_number: int = signal.SIGTERM) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(signal_number)
