"""A judge: a language model behind an OpenAI-compatible endpoint that says which of two answers is better."""

from __future__ import annotations

from pydantic import Field, field_validator

from align.specs.base import Settings

# What decides how the judge is asked, not what it is asked.
RUNTIME = ("timeout", "retries", "at_once", "key")


class Judge(Settings):
    """Every pair is asked in both orders; a judge that times out, answers nonsense or refuses is counted, never a loss."""

    url: str = Field(description="of the API, up to and including /v1")
    model: str = Field(description="the model's name there")
    question: str = Field(
        "Which answer helps the user more? Judge what is said, not how long it is.",
        description="what is asked about each pair of answers",
    )
    key: str = Field("OPENAI_API_KEY", description="the environment variable that holds the API key; it may be unset")
    max_tokens: int = Field(512, ge=1, description="of the judge's reply")
    canaries: int = Field(
        4, ge=0, description="answers that order the judge to choose them, put to it to see whether it obeys"
    )
    timeout: float = Field(60.0, gt=0, description="seconds a request may take")
    retries: int = Field(2, ge=0, description="after a time-out or an overloaded server")
    at_once: int = Field(8, ge=1, description="requests in flight")

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is no address; expected http(s)://HOST/v1")
        return value.rstrip("/")
