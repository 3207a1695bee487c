"""Preference alignment from one recipe, with lineage between the stages.

    import align
    align.run("quickstart.yaml", seed=1)
    path = align.open("quickstart:dpo").path       # a plain transformers folder

Importing it is light: what runs a recipe is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from align.face import Opened, open, run

__version__ = "0.1.0"
__all__ = ["Opened", "open", "run"]


def __getattr__(name: str) -> Any:
    """`align.run`, `align.open` and `align.Opened` come from align/face.py at first use (PEP 562)."""
    if name in __all__:
        return getattr(importlib.import_module("align.face"), name)
    raise AttributeError(f"module align has no attribute {name}")
