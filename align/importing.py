"""Heavy libraries, imported fast. `python -m align.importing MODULE ARGUMENT ...` runs its `main` with the arguments."""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType


def load(module: str) -> ModuleType:
    """Imports a module and all it needs, and leaves what is there by then out of every later garbage collection.

    Next to nothing that an import makes is garbage, and looking through it again and again is a third of the time that
    torch, transformers, peft and TRL take.
    """
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    raise SystemExit(load(sys.argv[1]).main(*sys.argv[2:]))
