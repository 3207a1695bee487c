"""A plan: which steps a recipe has, which are done already, and why the others run. Pure: it reads, and changes nothing.

    key = sha256(kind, stage version, settings that decide the result, seed, inputs)

An input enters the key as its own step's key and the part used, a source as its digest. A step is reused when an artifact
with its key is sealed and each of its parents still holds what the manifest says it held.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align.artifact import digests
from align.artifact.inputs import SourceInput
from align.artifact.manifest import Manifest
from align.artifact.store import Sealed, Store
from align.errors import ArtifactError, DataError, Problem, RecipeError
from align.recipe import Recipe, split_reference
from align.sources import Sources
from align.specs import PrepareSpec, Spec

Action = Literal["run", "reuse"]
DIGEST = re.compile(r"[0-9a-f]{64}")
OTHER_CODE = ", align has changed since"


@dataclass(frozen=True)
class Edge:
    """Where one input comes from: another step (and which part of it), or a source outside."""

    step: str | None = None
    part: str | None = None
    source: SourceInput | None = None


@dataclass(frozen=True)
class Step:
    """One step of a plan. `key` is empty while a hub source that it rests on was never resolved to a commit."""

    name: str
    spec: Spec
    seed: int | None
    edges: dict[str, Edge]
    key: str
    action: Action
    reason: str
    artifact: Path | None
    about: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None  # how long it took the last time
    sealed: bool = False  # whether an artifact with this key is there, to be reused or replaced

    @property
    def kind(self) -> str:
        return self.spec.kind


@dataclass(frozen=True)
class Plan:
    recipe: Recipe
    steps: dict[str, Step]

    def to_run(self) -> list[Step]:
        return [s for s in self.steps.values() if s.action == "run"]

    def to_json(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "steps": [
                {
                    "name": s.name,
                    "kind": s.kind,
                    "key": s.key or None,
                    "action": s.action,
                    "reason": s.reason,
                    "artifact": str(s.artifact) if s.artifact else None,
                }
                for s in self.steps.values()
            ],
        }


def make(recipe: Recipe, store: Store, force: frozenset[str] = frozenset(), strict_code: bool = False) -> Plan:
    """The plan of a recipe against a store. Steps named in `force` run whatever the store holds.

    `strict_code` runs again what other code of ours made. Raises RecipeError when sources are missing.
    """
    planner = _Planner(recipe, store, force, strict_code)
    steps = recipe.steps()
    problems: list[Problem] = []
    for name in order(recipe):
        if problems and any(
            split_reference(r, steps)[0] not in planner.steps for r, _ in steps[name].references().values()
        ):
            continue  # rests on a source that is missing
        try:
            planner.add(name)
        except DataError as error:
            problems.append(_problem(recipe, error))
    if problems:
        raise RecipeError(recipe.path, list(dict.fromkeys([*_outside(recipe, planner.sources), *problems])))
    return Plan(recipe, planner.steps)


def _outside(recipe: Recipe, sources: Sources) -> Iterator[Problem]:
    """What is wrong with the models from outside: the steps that would have told it may rest on another missing source."""
    for named in recipe.outside().values():
        try:
            sources.locate(*named, "model")
        except DataError as error:
            yield _problem(recipe, error)


def _problem(recipe: Recipe, error: DataError) -> Problem:
    return Problem(recipe.line_of(error.where), error.where, str(error).removeprefix(f"{error.where}: "))


def order(recipe: Recipe) -> list[str]:
    """Names of a recipe's steps so that each stands after what it needs; otherwise in the order written."""
    steps = recipe.steps()
    names: list[str] = []

    def visit(name: str) -> None:
        if name in names or name not in steps:
            return
        for reference, _ in steps[name].references().values():
            visit(split_reference(reference, steps)[0])
        names.append(name)

    for name in steps:
        visit(name)
    return names


class _Planner:
    def __init__(self, recipe: Recipe, store: Store, force: frozenset[str], strict_code: bool) -> None:
        self._recipe, self._store, self._force, self._strict_code = recipe, store, force, strict_code
        self._specs = recipe.steps()
        self.sources = Sources(store, Path(recipe.path).parent)
        self._last = store.last_keys(recipe.name)
        self.steps: dict[str, Step] = {}

    def add(self, name: str) -> None:
        spec = self._specs[name]
        edges = self._edges(name, spec)
        seed = (self._recipe.seed if spec.seed is None else spec.seed) if spec.seeded else None
        key = self._key(spec, seed, edges)
        sealed = self._store.find(spec.kind, key) if key else None
        action, reason = self._judge(name, spec, seed, edges, key, sealed)
        shown = sealed if action == "reuse" else None
        previous = sealed or self._previous(name)
        self.steps[name] = Step(
            name,
            spec,
            seed,
            edges,
            key,
            action,
            reason,
            shown.path if shown else None,
            shown.manifest.metrics if shown else {},
            previous.manifest.seconds if previous else None,
            sealed is not None,
        )

    def _edges(self, name: str, spec: Spec) -> dict[str, Edge]:
        edges: dict[str, Edge] = {}
        if isinstance(spec, PrepareSpec):
            where = f"data.{name}.source"
            found = self.sources.locate(where, spec.source, "dataset", spec.split, spec.revision)
            edges["source"] = Edge(source=found)
        for field_name, (reference, _) in spec.references().items():
            step, part = split_reference(reference, self._specs)
            if step not in self._specs:
                edges[field_name] = Edge(source=self.sources.locate(*self._recipe.outside()[step], "model"))
            else:
                target = self._specs[step]
                edges[field_name] = Edge(step, part or ("train" if target.writes == "rows" else None))
        return edges

    def _key(self, spec: Spec, seed: int | None, edges: dict[str, Edge]) -> str:
        inputs: dict[str, Any] = {}
        for name, edge in edges.items():
            identity = self.steps[edge.step].key if edge.step else edge.source.digest if edge.source else ""
            if not identity:
                return ""
            inputs[name] = [identity, edge.part]
        return digests.of_value([spec.kind, spec.version, spec.identity(), seed, inputs])

    def _judge(
        self, name: str, spec: Spec, seed: int | None, edges: dict[str, Edge], key: str, sealed: Sealed | None
    ) -> tuple[Action, str]:
        if not key:
            waiting = [e.source.location for e in edges.values() if e.source and not e.source.digest]
            return (
                "run",
                f"{waiting[0]} was never resolved"
                if waiting
                else f"input {self._unresolved(edges)} is not resolved yet",
            )
        if name in self._force:
            return "run", "forced"
        if sealed:
            if changed := self._changed_parent(edges, sealed.manifest):
                return "run", changed
            other_code = sealed.manifest.code != digests.of_code()
            if other_code and self._strict_code:
                return "run", "made by other code of align"
            return "reuse", f"sealed {ago(sealed.manifest)}" + (OTHER_CODE if other_code else "")
        if (self._store.partial(spec.kind, key) / "checkpoints").is_dir():
            return "run", "was interrupted; goes on from its last checkpoint"
        if spec.kind == "measure" and (self._store.partial(spec.kind, key) / "job.json").is_file():
            return "run", "was interrupted; answers so far are kept"
        if self._last.get(name) == f"{spec.kind}-{key}":
            return "run", "its artifact is gone"
        previous = self._previous(name)
        return "run", self._difference(spec, seed, edges, previous.manifest) if previous else "never built"

    def _unresolved(self, edges: dict[str, Edge]) -> str:
        return next((e.step for e in edges.values() if e.step and not self.steps[e.step].key), "")

    def _changed_parent(self, edges: dict[str, Edge], manifest: Manifest) -> str | None:
        for name, edge in edges.items():
            if edge.step is None:
                continue  # a source's digest is part of the key
            parent = self.steps[edge.step]
            if parent.action == "run":
                return f"input {edge.step} will be built again"
            held = self._store.find(parent.kind, parent.key)
            if held and held.manifest.digest != manifest.parents[name].digest:
                return f"{edge.step} was rebuilt with other content"
        return None

    def _previous(self, name: str) -> Sealed | None:
        """What this step of this recipe last was, under whatever key."""
        kind, _, key = self._last.get(name, "").partition("-")
        try:
            return self._store.find(kind, key) if key else None
        except ArtifactError:
            return None  # only a hint is lost; opening it as an input would complain

    def _difference(self, spec: Spec, seed: int | None, edges: dict[str, Edge], old: Manifest) -> str:
        """What changed since this step was last built, in a few words."""
        now = spec.identity()
        told = [f"{k} {show(old.spec.get(k))} -> {show(v)}" for k, v in now.items() if old.spec.get(k) != v]
        told += [f"{k} is gone" for k in old.spec if k not in now]
        if old.seed != seed:
            told.append(f"seed {show(old.seed)} -> {show(seed)}")
        for name, edge in edges.items():
            before = old.parents.get(name)
            label = edge.step or (Path(edge.source.location).name if edge.source else name)
            if before is None:
                told.append(f"input {label} is new")
            elif edge.step and (self.steps[edge.step].key != before.key or edge.part != before.part):
                told.append(f"input {label} changed")
            elif edge.source and edge.source.location == before.source and edge.source.digest != before.digest:
                told.append(f"{label} changed")
            elif edge.source and edge.source.digest != before.digest:
                told.append(f"{name} {Path(before.source or '?').name} -> {label}")
        told += [f"input {name} is gone" for name in old.parents if name not in edges]
        if old.stage_version != spec.version:
            told.append(f"{spec.kind} stage version {old.stage_version} -> {spec.version}")
        return ", ".join(dict.fromkeys(told)) or "never built with this key"


def show(value: Any) -> str:
    """A setting as a person would write it; the digest that stands for a file's name is cut short."""
    if isinstance(value, str):
        return DIGEST.sub(lambda whole: whole[0][:8], value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {show(each)}' for key, each in value.items())}}}"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def ago(manifest: Manifest) -> str:
    """How long ago an artifact was sealed, as people say it."""
    started = calendar.timegm(time.strptime(manifest.started, "%Y-%m-%dT%H:%M:%SZ"))
    seconds = max(0.0, time.time() - started - manifest.seconds)
    return f"{spoken(seconds)} ago"


def spoken(seconds: float) -> str:
    """`8 s`, `6 min`, `2 h`, `3 days`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 129600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"
