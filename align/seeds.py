"""One model from several training seeds: its figures over seeds, which is what another training run may give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from align.artifact.store import Store
from align.estimates import Seeds, over_seeds
from align.gates.figures import ALL, read_report, sample_of
from align.sweep import Point, is_seed

Name = tuple[str, str, str]  # suite, metric, part


@dataclass(frozen=True)
class Seeded:
    """The points that differ in nothing but their seed, and their figures summarised."""

    label: str
    model: str
    settings: dict[str, str]
    count: int
    figures: dict[Name, Seeds]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model, "settings": self.settings, "seeds": self.count,
            "values": [
                {
                    "suite": suite, "metric": metric, "slice": part, "values": list(s.values),
                    "over_seeds": s.over.to_json(), "within_seeds": s.within.to_json(),
                }
                for (suite, metric, part), s in self.figures.items()
            ],
        }  # fmt: skip


def summarised(points: list[Point], store: Store) -> list[Seeded]:
    """Every group of at least two models that differ in seeds alone, with each figure that is a mean over rows."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Point]] = {}
    for point in points:
        others = {k: v for k, v in point.settings.items() if not is_seed(k)}
        groups.setdefault((point.model, tuple(others.items())), []).append(point)
    found = []
    for (model, settings), group in groups.items():
        if len(group) > 1 and len({_model(point, store) for point in group}) > 1:
            told = ", ".join(f"{k.rpartition('.')[2]}={v}" for k, v in settings)
            label = " ".join(filter(None, [model, told])) + f", {len(group)} seeds"
            found.append(Seeded(label, model, dict(settings), len(group), _figures(group, store)))
    return found


def _model(point: Point, store: Store) -> str:
    """What was measured: one model under several seeds says nothing of another training run."""
    sealed = store.find("measure", point.key)
    parent = sealed.manifest.parents["model"] if sealed else None
    return (parent.key or parent.digest) if parent else ""


def _figures(group: list[Point], store: Store) -> dict[Name, Seeds]:
    """Figures whose rows every seed was asked alike."""
    sealed = [store.find("measure", point.key) for point in group]
    reports = [read_report(s.path)["suites"] for s in sealed if s]
    found: dict[Name, Seeds] = {}
    for suite, body in reports[0].items() if len(reports) == len(group) else ():
        same = all(r[suite]["data"] == body["data"] for r in reports)
        for metric in body["metrics"] if same else ():
            samples = [sample_of(r[suite]["rows"], metric, ALL) for r in reports]
            rows = [s for s in samples if s and len(s.values)]
            if len(rows) == len(group) and all(list(s.clusters) == list(rows[0].clusters) for s in rows):
                found[suite, metric, ALL] = over_seeds(rows)
    return found
