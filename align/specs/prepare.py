"""prepare: a source becomes standard rows, validated and split by prompt. One entry under `data:` is one such step."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from align.specs.base import Model, Port, RowType, Spec
from align.specs.filters import Filters

# What `format:` may name, by row type; align/data/known_formats.py holds the converters.
_CHATS, _LISTS = ("single_key", "chat", "sharegpt"), ("ranking", "scored", "ultrafeedback")
_PAIRS = ("pairs", "hh", "llamafactory", "swift")
_TEXTS = tuple(row_type for row_type in get_args(RowType) if row_type != "tokens")  # what can be held against a text
FORMATS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "tokens": ("token_ids",),
    "messages": (*_CHATS, "prompt_completion", "alpaca", "self_instruct", "openassistant", "transcript"),
    "prompt": ("conflicts", "transcript", "prompt", *_CHATS, "self_instruct", "openassistant", "alpaca", "pairs", "hh"),
    "preference": (*_PAIRS, *_LISTS, "openassistant"),
    "unpaired_preference": ("kto", *_PAIRS),
    "ranking": (*_LISTS, "openassistant"),
    "scored_generation": ("scored", "ultrafeedback"),
}


class PrepareSpec(Spec):
    version: ClassVar = 10  # 9: facts hold both answers in meta; 10: copies made for a weight are no repetitions
    writes: ClassVar = "rows"
    seeded: ClassVar = False
    telling: ClassVar = ("rows/train", "rows/holdout")

    kind: Literal["prepare"] = "prepare"
    source: str = Field(description="hub id, file, folder, or quickstart:NAME of the bundled world")
    split: str | None = Field(
        None,
        description="SPLIT or CONFIGURATION/SPLIT of a hub data set, or the split of a folder whose files are named by it",
    )
    revision: str | None = Field(None, description="commit of a hub data set; pinned at first run when not given")
    as_: RowType = Field(alias="as", description="the row type wanted")
    format: str | None = Field(None, description="a known format by name, where what is detected is not what is meant")
    columns: dict[str, str] = Field(default_factory=dict, description="our name: theirs")
    tokenizer: Model | None = Field(
        None, description="the model whose tokenizer counts tokens of text, and reads token ids for against"
    )
    filters: Filters = Field(default_factory=Filters, description="rows to leave out: length, language, duplicates")
    weights: Literal["refuse", "ignore", "resample"] = Field(
        "refuse", description="of rows: no stage weighs its loss; resample repeats or leaves out rows in proportion"
    )
    against: list[Annotated[str, Port("rows", _TEXTS)]] = Field(
        default_factory=list, description="data entries, or parts of them, whose questions must not be among these rows"
    )
    leaks: Literal["quarantine", "keep", "refuse"] = Field(
        "quarantine", description="rows that repeat a question of `against`: set aside, only counted, or an error"
    )
    near_duplicates: Literal["count", "drop", "ignore"] = Field(
        "count", description="rows that nearly repeat an earlier one; ignore does not look for them"
    )
    holdout: float | None = Field(None, gt=0, lt=1, description="share of prompts set aside as NAME.holdout")
    split_seed: int = Field(0, description="its own seed, so that a new training seed reshuffles no data")
    limit: int | None = Field(None, ge=1, description="read only so many rows")
    drop_budget: float = Field(0.001, ge=0, le=1, description="share of rows that may break the schema and be left out")

    def identity(self) -> dict[str, Any]:
        """Without where the rows lie: the digest of the source stands for what they are."""
        return {
            name: value for name, value in super().identity().items() if name not in ("source", "revision", "split")
        }

    @model_validator(mode="after")
    def _known_format(self) -> PrepareSpec:
        if self.format and self.format not in FORMATS[self.as_]:
            raise ValueError(f"format {self.format}: {self.as_} rows are read from {', '.join(FORMATS[self.as_])}")
        return self

    @model_validator(mode="after")
    def _tokens_are_no_text(self) -> PrepareSpec:
        units = {each.unit for each in self.filters.length}
        if self.as_ != "tokens":
            if "tokens" in units and not self.tokenizer:
                raise ValueError(
                    "a length in tokens depends on the tokenizer: name the model whose it is, e.g. tokenizer: base; "
                    "or count characters or words"
                )
            return self
        if self.against and not self.tokenizer:
            raise ValueError(
                "token ids are held against texts as the text that they stand for: name the model whose tokenizer made "
                "them, e.g. tokenizer: base; or leave against out"
            )
        if self.filters.language:
            raise ValueError("the language of token ids is not looked for: leave language out")
        if units - {"tokens"} or any(each.of != "row" for each in self.filters.length):
            raise ValueError("the length of token ids is said of: row, unit: tokens")
        return self

    @model_validator(mode="after")
    def _tokenizer_is_used(self) -> PrepareSpec:
        counts = self.as_ != "tokens" and any(each.unit == "tokens" for each in self.filters.length)
        if self.tokenizer and not counts and not (self.as_ == "tokens" and self.against):
            raise ValueError(
                "tokenizer is for as: tokens with against, and for filters of text with unit: tokens; here it does nothing"
            )
        return self

    @model_validator(mode="after")
    def _copies_stay(self) -> PrepareSpec:
        if self.near_duplicates == "drop" and self.weights == "resample":
            raise ValueError("near_duplicates: drop would take out again the copies that weights: resample makes")
        return self

    def parts(self) -> tuple[str, ...]:
        return ("train", "holdout") if self.holdout else ("train",)
