"""What every stage's settings share: strict, frozen pydantic models, and the typed inputs a stage names.

An input is a field annotated with a `Port`; its value in the recipe is a name (`sft`, `pairs.holdout`, `base`).
The plan reads the annotations to draw edges and to check that what an edge carries is what its end expects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

RowType = Literal[
    "text", "tokens", "messages", "prompt", "preference", "unpaired_preference", "ranking", "scored_generation"
]
Written = Literal["model", "reward", "rows", "report"]

# The only casts made without being asked; the plan tells them.
CASTS: dict[str, tuple[str, ...]] = {
    "prompt": ("preference", "messages", "unpaired_preference", "ranking", "scored_generation"),
    "preference": ("ranking",),
}


@dataclass(frozen=True)
class Port:
    """One typed input: what it takes (`model`, `reward` (a model that scores), `rows`, `report`) and rows of which types."""

    takes: Written
    row_types: tuple[str, ...] = ()

    def admits(self, row_type: str) -> bool:
        return row_type in self.row_types or any(row_type in CASTS.get(wanted, ()) for wanted in self.row_types)


Model = Annotated[str, Port("model")]


class Settings(BaseModel):
    """Strict and frozen: an unknown key or a wrong type is an error, and nothing changes after the recipe was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    def narrow(self, field: str, port: Port) -> Port | None:
        """The port of a field, given the other settings: some inputs depend on what is done with them.

        None where the field, as it is set, names no input at all.
        """
        return port

    def references(self) -> dict[str, tuple[str, Port]]:
        """Input name -> (what the recipe wrote, port). Nested ones are dotted: `models.0`, `suites.general.data`."""
        return {path: (value, port) for path, value, port in _walk(self, "") if port and value is not None}


class Spec(Settings):
    """Settings of one step. `version` is raised whenever the same settings would give other numbers."""

    version: ClassVar[int] = 1
    writes: ClassVar[Written]
    runtime: ClassVar[frozenset[str]] = frozenset()  # fields that change how, not what: they stay out of the key
    seeded: ClassVar[bool] = True  # whether the recipe's seed decides anything here
    trains: ClassVar[str] = ""  # the input whose weights the model written here grew from
    telling: ClassVar[tuple[str, ...]] = ()  # metrics that a summary line shows, most telling first

    kind: str
    seed: int | None = Field(None, description="this stage's own seed; the recipe's when not given")

    def identity(self) -> dict[str, Any]:
        """The settings that decide the result: everything but runtime fields and the names of inputs."""
        outside = self.runtime | {"kind", "seed"}
        flat = {path: value for path, value, port in _walk(self, "") if not port and path.split(".")[0] not in outside}
        return dict(sorted(flat.items()))


def _walk(settings: Settings, prefix: str) -> Iterator[tuple[str, Any, Port | None]]:
    """Every leaf of nested settings as (dotted path, plain value, port if it names an input)."""
    for name, field in type(settings).model_fields.items():
        port = next((m for m in field.metadata if isinstance(m, Port)), None) or _port_in(field.annotation)
        port = settings.narrow(name, port) if port else None
        yield from _leaves(getattr(settings, name), prefix + (field.alias or name), port)


def _leaves(value: Any, path: str, port: Port | None) -> Iterator[tuple[str, Any, Port | None]]:
    if isinstance(value, Settings):
        yield from _walk(value, path + ".")
    elif isinstance(value, dict) and any(isinstance(v, Settings) for v in value.values()):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}", port)
    elif isinstance(value, (list, tuple)) and (port or any(isinstance(v, Settings) for v in value)):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}.{i}", port)
    else:
        yield path, list(value) if isinstance(value, tuple) else value, port


def _port_in(annotation: Any) -> Port | None:
    """The port inside `Annotated[str, Port] | None` or `list[Annotated[str, Port]]`."""
    if get_origin(annotation) is Annotated:
        return next((m for m in get_args(annotation)[1:] if isinstance(m, Port)), None)
    if get_origin(annotation) is dict:  # a dictionary of settings has ports of its own, deeper down
        return None
    return next((p for p in map(_port_in, get_args(annotation)) if p), None)
