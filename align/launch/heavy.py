"""What the server that forks children imports once: all that a step needs. Importing this module does it."""

from __future__ import annotations

from align.importing import load
from align.launch.child import HEAVY

load(HEAVY)
