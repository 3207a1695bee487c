"""A user's own reward: `def score(prompt, completion)` or `def score(prompt, completion, reference)` in a Python file.

prompt is a list of messages, completion the text without special tokens, reference the answer that came with the prompt
(the last turn of a conversation, the chosen answer of a pair; None for bare prompts). It runs in a process of its own that
is killed when it takes too long; it is started again for the next batch.
"""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.errors import TrainingError
from align.scoring import user_worker
from align.scoring.episode import Episode
from align.specs.user_functions import split_file

BATCH = 64  # answers that a suite asks at once


@dataclass(frozen=True)
class Role:
    """What a user's file is asked for, as errors have it: where it is named, the setting of its timeout, what comes after."""

    where: str = "reward"
    timeout: str = "reward_timeout"
    after: str = "training goes on from the last checkpoint."


class UserFile:
    """Scores by a function of a file. `timeout`: seconds for loading it, and for one batch."""

    def __init__(self, path: Path, function: str, timeout: float, role: Role = Role()) -> None:
        self.name = f"{path.name}:{function}"
        self._role = role
        self._command = [sys.executable, user_worker.__file__, str(path.absolute()), function]
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, episodes: Sequence[Episode], before: int = 0) -> list[float]:
        """One score an episode; `before`: how many were scored earlier, as errors count.

        Raises TrainingError where the function raises, hangs, dies or returns no number.
        """
        process = self._process or self._start()
        rows = [[e.answer.prompt, e.answer.text, e.reference] for e in episodes]
        assert process.stdin
        try:
            process.stdin.write(json.dumps(rows).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise self._failed("its process has died", "Look into log.txt for what it said.") from error
        answer = self._read(process, f"scoring {len(rows)} completions")
        if "error" in answer:
            said = episodes[answer["row"]].answer.text
            raise self._failed(f"completion {before + answer['row'] + 1} ({said[:60]!r}): {answer['error'].strip()}")
        return [float(value) for value in answer["scores"]]

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer = self._read(self._process, "being loaded")
        if "error" in answer:
            raise self._failed(f"it cannot be loaded: {answer['error'].strip()}")
        if answer["ready"] not in (2, 3):
            raise self._failed(f"it takes {answer['ready']} arguments")
        return self._process

    def _read(self, process: subprocess.Popen[bytes], doing: str) -> dict[str, Any]:
        """The process's next line, waited for no longer than the timeout."""
        assert process.stdout
        file, deadline, line = process.stdout.fileno(), time.monotonic() + self._timeout, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([file], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._failed(
                    f"{doing} took longer than {self._timeout:g} s", f"Make it faster, or raise {self._role.timeout}."
                )
            piece = os.read(file, 1 << 16)
            if not piece:
                raise self._failed(f"its process died while {doing}", "Look into log.txt for what it said.")
            line += piece
        return json.loads(line)

    def _failed(self, found: str, remedy: str = "") -> Any:
        self.close()
        remedy = remedy or f"Correct the file; {self._role.after}"
        return TrainingError(
            f"{self._role.where} {self.name}", found, "score(prompt, completion) -> a finite number", remedy
        )


def scores_of(
    use: str, episodes: Sequence[Episode], timeout: float, role: Role, progress: Callable[[int, int], None]
) -> list[float]:
    """All scores by `file:PATH.py:FUNCTION`, in batches. Raises TrainingError also where one is not finite."""
    file, found = UserFile(*split_file(use), timeout, role), []
    try:
        for start in range(0, len(episodes), BATCH):
            found += file(episodes[start : start + BATCH], start)
            progress(len(found), len(episodes))
    finally:
        file.close()
    for number, (value, episode) in enumerate(zip(found, episodes, strict=True), 1):
        if not math.isfinite(value):
            raise TrainingError(
                f"{role.where} {file.name}", f"the score of completion {number} ({episode.answer.text[:60]!r}) is {value}",
                "A finite number", f"Correct the file; {role.after}",
            )  # fmt: skip
    return found
