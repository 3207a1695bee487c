"""mix: rows of several data entries in set shares or counts. A data entry with `mix:` in the place of `source:`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from align.specs.base import Port, RowType, Spec


class MixSpec(Spec):
    version: ClassVar = 2  # 2: pairs say which ranking they come of
    writes: ClassVar = "rows"
    seeded: ClassVar = False
    telling: ClassVar = ("rows/train",)

    kind: Literal["mix"] = "mix"
    mix: list[Annotated[str, Port("rows")]] = Field(
        min_length=1, description="entry: its share of the rows (they sum to 1), or entry: how many of its rows"
    )
    amounts: list[float] = Field(default_factory=list, description="filled in from mix")
    as_: RowType = Field(alias="as", description="the row type of all of them")
    rows: int | None = Field(None, ge=1, description="rows in all, with shares; as many as there are when not given")
    repeat: bool = Field(False, description="take rows more than once where an entry has too few")
    mix_seed: int = Field(0, description="its own seed, so that a new training seed reshuffles no data")

    @model_validator(mode="before")
    @classmethod
    def _split_amounts(cls, given: Any) -> Any:
        """`mix: {chat: 0.8, code: 0.2}` as names and amounts."""
        if isinstance(given, dict) and isinstance(given.get("mix"), dict):
            if "amounts" in given:
                raise ValueError("amounts stand in mix: {entry: amount}")
            return {**given, "mix": list(given["mix"]), "amounts": list(given["mix"].values())}
        return given

    @model_validator(mode="after")
    def _sensible(self) -> MixSpec:
        if len(self.amounts) != len(self.mix):
            raise ValueError("mix is written as {entry: share} or {entry: rows}")
        if min(self.amounts) <= 0:
            raise ValueError(f"mix: {self.mix[self.amounts.index(min(self.amounts))]} needs a share or count above 0")
        total = sum(self.amounts)
        if not self.counted and abs(total - 1) > 1e-6:
            raise ValueError(f"mix: the shares sum to {total:g}, not to 1 (whole numbers would be counts of rows)")
        if self.counted and self.rows:
            raise ValueError(f"rows: mix already says how many rows of each, {total:,.0f} in all")
        return self

    @property
    def counted(self) -> bool:
        """Whether the amounts are rows; else they are shares."""
        return sum(self.amounts) > 1 and all(amount == int(amount) for amount in self.amounts)

    def narrow(self, field: str, port: Port) -> Port:
        return Port("rows", (self.as_,))

    def parts(self) -> tuple[str, ...]:
        return ("train",)
