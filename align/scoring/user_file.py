"""A user's own reward: `def score(prompt, completion)` or `def score(prompt, completion, reference)` in a Python file.

prompt is a list of messages, completion the text without special tokens, reference the answer that came with the prompt
(the last turn of a conversation, the chosen answer of a pair; None for bare prompts). It runs in a process of its own that
is killed when it takes too long; it is started again for the next batch.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from align.errors import TrainingError
from align.scoring import user_worker
from align.scoring.episode import Episode


class UserFile:
    """Scores by a function of a file. `timeout`: seconds for loading it, and for one batch."""

    def __init__(self, path: Path, function: str, timeout: float) -> None:
        self.name = f"{path.name}:{function}"
        self._command = [sys.executable, user_worker.__file__, str(path.absolute()), function]
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, episodes: Sequence[Episode]) -> list[float]:
        """One score an episode. Raises TrainingError where the function raises, hangs, dies or returns no number."""
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
            raise self._failed(f"completion {answer['row'] + 1} ({said[:60]!r}): {answer['error'].strip()}")
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
                    f"{doing} took longer than {self._timeout:g} s", "Make it faster, or raise reward_timeout."
                )
            piece = os.read(file, 1 << 16)
            if not piece:
                raise self._failed(f"its process died while {doing}", "Look into log.txt for what it said.")
            line += piece
        return json.loads(line)

    def _failed(self, found: str, remedy: str = "Correct the file; training goes on from the last checkpoint.") -> Any:
        self.close()
        return TrainingError(f"reward {self.name}", found, "score(prompt, completion) -> a finite number", remedy)
