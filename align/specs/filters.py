"""`filters:` of a data entry: rows that are left out because the recipe asks for it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from align.specs.base import Settings

# What langdetect tells apart.
LANGUAGES = (  # noqa: SIM905
    "af ar bg bn ca cs cy da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ne nl no pa pl pt ro ru "
    "sk sl so sq sv sw ta te th tl tr uk ur vi zh-cn zh-tw"
).split()


class LengthFilter(Settings):
    of: Literal["row", "prompt", "answer"] = Field("row", description="answer: each of a pair's two")
    unit: Literal["characters", "words", "tokens"] = "characters"
    min: int | None = Field(None, ge=0)
    max: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _limits(self) -> LengthFilter:
        if self.min is None and self.max is None:
            raise ValueError("a length filter needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: no row would be left")
        return self


class Filters(Settings):
    length: list[LengthFilter] = Field(default_factory=list, description="one filter, or a list of them")
    language: list[str] = Field(default_factory=list, description="languages to keep, as en, de, zh-cn")
    duplicates: Literal["rows", "prompts"] | None = Field(
        default=None, description="keep the first row of equal rows, or prompts"
    )

    @field_validator("language")
    @classmethod
    def _known_languages(cls, value: list[str]) -> list[str]:
        if unknown := [language for language in value if language not in LANGUAGES]:
            raise ValueError(f"language {unknown[0]} is not known; these are: {', '.join(LANGUAGES)}")
        return value

    @field_validator("length", "language", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, (dict, str)) else value
