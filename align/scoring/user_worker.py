"""The process that runs a user's reward function: a script of its own, so that it holds nothing of ours.

    python user_worker.py PATH FUNCTION

Lines of JSON: first {"ready": arguments}, then for each line [[prompt, completion, reference], ...] one line
{"scores": [...]} or {"error": what, "row": which}. What the user's code prints goes to standard error.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any


def load(path: str, name: str) -> Callable[..., Any]:
    """The function of a file; modules beside the file can be imported."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120
    spec = importlib.util.spec_from_file_location("user_rewards", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def scores(function: Callable[..., Any], arguments: int, rows: list[list[Any]]) -> dict[str, Any]:
    found = []
    for number, row in enumerate(rows):
        try:
            value = function(*row[:arguments])
        except Exception:
            return {"error": traceback.format_exc(limit=-2), "row": number}
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            kind = "None" if value is None else f"{value!r:.60} of type {type(value).__name__}"
            return {"error": f"it returned {kind}", "row": number}
        found.append(float(value))
    return {"scores": found}


def serve(path: str, name: str) -> None:
    wire = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        function = load(path, name)
        arguments = len(inspect.signature(function).parameters)
    except Exception:
        wire.write(json.dumps({"error": traceback.format_exc(limit=-2)}) + "\n")
        return
    wire.write(json.dumps({"ready": arguments}) + "\n")
    for line in sys.stdin:
        wire.write(json.dumps(scores(function, min(arguments, 3), json.loads(line))) + "\n")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
