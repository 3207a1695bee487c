"""One run or artifact against another: what was set otherwise, what data differed, what was measured, what was said."""

from __future__ import annotations

from align.versus.differences import Differences, StepDifference, differences
from align.versus.measured import MeasuredPair, Row, measured_pairs
from align.versus.said import Answers, answers
from align.versus.sides import Side, open_sides

__all__ = [
    "Answers",
    "Differences",
    "MeasuredPair",
    "Row",
    "Side",
    "StepDifference",
    "answers",
    "differences",
    "measured_pairs",
    "open_sides",
]
