"""What an artifact is and what it came from, as a reader of a report looks it up."""

from __future__ import annotations

from dataclasses import dataclass

from align import lineage, words
from align.artifact.manifest import Manifest
from align.artifact.store import Store
from align.plan import show
from align.report.accounting import named
from align.report.collect import Seen


@dataclass(frozen=True)
class Parent:
    """One input: its name, what it is, and the digest it had."""

    name: str
    identity: str
    step: str  # the step of this recipe that made it, if one did
    digest: str


@dataclass(frozen=True)
class Facts:
    step: str
    manifest: Manifest
    folder: str
    size: str
    parents: list[Parent]
    settings: list[tuple[str, str]]
    metrics: list[tuple[str, str]]
    files: list[tuple[str, str, str]]

    @property
    def came_from(self) -> list[str]:
        """Its inputs by name, each once however many of its parts were read."""
        return list(dict.fromkeys(parent.step or parent.identity for parent in self.parents))


def about(seen: Seen, store: Store) -> Facts:
    assert seen.sealed
    manifest = seen.sealed.manifest
    return Facts(
        seen.name,
        manifest,
        str(seen.sealed.path.relative_to(store.root)),
        words.size(lineage.bytes_of(seen.sealed)),
        _parents(seen, manifest),
        [(name, show(value)) for name, value in manifest.spec.items() if value not in (None, {}, [])],
        [(name, words.number(value)) for name, value in manifest.metrics.items()],
        [(name, words.size(entry["size"]), entry["sha256"][:12]) for name, entry in manifest.files.items()],
    )


def _parents(seen: Seen, manifest: Manifest) -> list[Parent]:
    found = []
    for name, parent in manifest.parents.items():
        edge = seen.step.edges.get(name)
        step = edge.step if edge and edge.step else ""
        if parent.key:
            identity = f"{parent.kind}-{parent.key[:12]}"
        else:
            identity = f"{named(parent)}{f' @ {parent.revision[:12]}' if parent.revision else ''}"
        found.append(Parent(name, f"{identity}{f' · {parent.part}' if parent.part else ''}", step, parent.digest))
    return found


def versions(seen: dict[str, Seen]) -> list[tuple[str, str]]:
    """Each library with every version that a step was made with."""
    found: dict[str, list[str]] = {}
    for s in seen.values():
        for name, version in (s.manifest.versions if s.manifest else {}).items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return [(name, ", ".join(all_)) for name, all_ in found.items()]
