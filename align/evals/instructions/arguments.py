"""The types of what an instruction asks for; rows that give something else are refused (registry.py)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=0)]
Ordinal = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(pattern=r"\S")]
Texts = Annotated[list[Text], Field(min_length=1)]
Character = Annotated[str, Field(min_length=1, max_length=1)]
Relation = Literal["less than", "at least"]


def holds(relation: Relation, found: int, asked: int) -> bool:
    """Whether `found` stands in the relation to `asked`."""
    return found < asked if relation == "less than" else found >= asked
