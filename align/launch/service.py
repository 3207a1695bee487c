"""A child that answers: a module of ours run in a process of its own, spoken to in lines of JSON.

align/serving.py reads one request a line from standard input; the module answers each with lines of JSON, the last of which has
`"event": "done"`, or `"event": "failed"` with an error of ours. What libraries print goes to stderr, which is kept for
the case that the child dies without a word.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from align import errors
from align.errors import AlignError
from align.launch import devices
from align.launch.server import ENVIRONMENT

LAST = ("done", "failed")


class Service:
    """The asking side, a context."""

    def __init__(self, module: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when the context ends
        self._process = subprocess.Popen(
            [sys.executable, "-m", "align.serving", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**ENVIRONMENT, **os.environ, **devices.of_one(os.environ)},
            text=True,
            start_new_session=True,  # Ctrl-C is for the asking side, which then ends this one
        )

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Sends a request and yields what comes back, up to and with `done`. Raises the child's error."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "failed":
                kind = getattr(errors, event["class"], AlignError)
                raise kind(*event["args"])
            yield event
            if event["event"] in LAST:
                return
        raise self._death()

    def _death(self) -> AlignError:
        self._process.wait()
        self._log.seek(0)
        told = self._log.read()[-4000:]
        return AlignError(f"{told}\nthe process ended with exit code {self._process.returncode}")
