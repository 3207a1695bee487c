"""The answering side of a child process that is asked in lines of JSON; launch/service.py is the asking one.

`python -m align.serving MODULE` answers with the module's `answer(request, tell)`. Light, so that a child that needs no torch
starts without it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from align.errors import AlignError, of_place
from align.importing import load

Tell = Callable[[dict[str, Any]], None]


def serve(module: str) -> None:
    """Answers each request on standard input by `module`, until nobody asks any more."""
    wire = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not enter the wire
    threading.Thread(target=_end_with_the_asking_side, args=(os.getppid(),), daemon=True).start()

    answer: Callable[[dict[str, Any], Tell], None] = load(module).answer

    def tell(event: dict[str, Any]) -> None:
        wire.write(json.dumps(event) + "\n")
        wire.flush()

    for line in sys.stdin:
        try:
            answer(json.loads(line), tell)
            tell({"event": "done"})
        except (AlignError, OSError) as caught:
            error = of_place(caught) if isinstance(caught, OSError) else caught
            if not isinstance(error, AlignError):
                raise
            tell({"event": "failed", "class": type(error).__name__, "args": list(error.args)})


def _end_with_the_asking_side(parent: int) -> None:
    """Nobody waits for an answer any more once the process that asked was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1])
