"""Settings, data and plain metrics that differ between the steps of two sides."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from align.artifact.manifest import Manifest
from align.artifact.store import Sealed
from align.versus.sides import Side


@dataclass(frozen=True)
class StepDifference:
    """One step that both sides have and that is not the same artifact; every mapping is name -> (A, B)."""

    name: str
    kind: str
    keys: tuple[str, str]
    settings: dict[str, tuple[Any, Any]]
    data: dict[str, tuple[str, str]]
    metrics: dict[str, tuple[float | None, float | None]]
    content: bool  # whether what later steps read of it differs

    @property
    def cause(self) -> bool:
        """Whether it differs by itself, and not only because a step before it does."""
        return bool(self.settings or self.data)


@dataclass(frozen=True)
class Differences:
    steps: list[StepDifference] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def differences(a: Side, b: Side) -> Differences:
    """Step by step by name; two artifacts of one kind are held against each other whatever they are called."""
    pairs = {name: name for name in a.steps if name in b.steps}
    if a.top and b.top and a.top != b.top and a.steps[a.top].manifest.kind == b.steps[b.top].manifest.kind:
        pairs = {x: y for x, y in pairs.items() if a.top not in (x, y) and b.top not in (x, y)} | {a.top: b.top}
    found = [(x, y, _step(x, y, a.steps[x], b.steps[y])) for x, y in pairs.items()]
    return Differences(
        [step for *_, step in found if step],
        [x for x, _, step in found if not step],
        [name for name in a.steps if name not in pairs],
        [name for name in b.steps if name not in pairs.values()],
    )


def _step(name: str, other: str, a: Sealed, b: Sealed) -> StepDifference | None:
    ours, theirs = a.manifest, b.manifest
    if ours.key == theirs.key and ours.digest == theirs.digest:
        return None
    metrics = {m: (ours.metrics.get(m), theirs.metrics.get(m)) for m in [*ours.metrics, *theirs.metrics]}
    return StepDifference(
        name if name == other else f"{name}, {other}",
        ours.kind,
        (ours.key, theirs.key),
        _differing(_settings(ours), _settings(theirs)),
        _differing(_data(ours), _data(theirs)),
        {m: pair for m, pair in metrics.items() if pair[0] != pair[1]},
        ours.digest != theirs.digest,
    )


def _differing(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*ours, *theirs])
    return {n: (ours.get(n), theirs.get(n)) for n in names if ours.get(n) != theirs.get(n)}


def _settings(manifest: Manifest) -> dict[str, Any]:
    """What a person set, and what of the software changes numbers."""
    known = {k: v for k, v in manifest.spec.items() if v is not None}
    about = {"seed": manifest.seed, "stage version": manifest.stage_version}
    return known | about | {f"{n} version": v for n, v in manifest.versions.items()}


def _data(manifest: Manifest) -> dict[str, str]:
    """Sources with the beginning of their digest, and rows by part."""
    sources = {
        name: " ".join(filter(None, [p.source, p.revision and f"@ {p.revision[:12]}", f"({p.digest[:8]})"]))
        for name, p in manifest.parents.items()
        if p.key is None
    }
    return sources | {f"rows, {part}": f"{count:,}" for part, count in manifest.rows.items()}
