"""`python -m align.workloads MODULE FUNCTION PLAN.json RESULT.json`: one measurement in a process of its own."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main(module: str, function: str, plan: str, result: str) -> None:
    measured = getattr(importlib.import_module(f"align.workloads.{module}"), function)(
        json.loads(Path(plan).read_text())
    )
    versions = {name: getattr(sys.modules.get(name), "__version__", None) for name in ("torch", "transformers", "trl")}
    Path(result).write_text(json.dumps(measured | {"versions": versions}))


if __name__ == "__main__":
    main(*sys.argv[1:])
