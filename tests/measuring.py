"""Reports without any measuring: recipes with an evaluate stage whose steps are sealed with rows made up by a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from align import plan as plans
from align.artifact.store import Store
from align.data.store_rows import RowWriter
from align.estimates import Scale, mean, ratio
from align.plan import Plan
from align.recipe import Recipe, load
from tests.sealing import seal_step

RECIPE = """\
name: judged
base: ./model
data:
  chat: {source: quickstart:chat, as: messages}
  pairs: {source: quickstart:pairs, as: preference, holdout: 0.2}
  probes: {source: quickstart:probes, as: prompt}
stages:
  sft: {kind: sft, model: base, data: chat, learning_rate: 1e-3}
  dpo: {kind: dpo, policy: sft, data: pairs, learning_rate: 1e-5, eval_data: pairs.holdout}
  evaluate:
    kind: evaluate
    models: [base, sft, dpo]
    suites:
      preference: {data: pairs.holdout}
      probes: {kind: generation, data: probes, scorers: [quickstart, stops]}
"""


def suite(
    metrics: Mapping[str, Sequence[float]],
    slices: Sequence[str] | None = None,
    weights: Mapping[str, Sequence[float]] | None = None,
    clusters: Sequence[str] | None = None,
    data: str = "rows of today",
) -> dict[str, Any]:
    """One suite of a measure report, its estimates taken from its rows."""
    count = len(next(iter(metrics.values())))
    clusters = list(clusters or map(str, range(count)))
    weights = {name: list(w) for name, w in (weights or {}).items()}
    groups = {"all": list(range(count))}
    for i, name in enumerate(slices or ()):
        groups.setdefault(name, []).append(i)
    scales: dict[str, Scale] = {
        name: "share" if set(values) <= {0.0, 1.0} else "real" for name, values in metrics.items()
    }
    told: dict[str, Any] = {}
    for name, values in metrics.items():
        told[name] = {}
        for group, rows in groups.items():
            picked, near = [values[i] for i in rows], [clusters[i] for i in rows]
            kept, scale = [weights[name][i] for i in rows] if name in weights else None, scales[name]
            found = ratio(picked, kept, near, scale) if kept else mean(picked, near, scale)
            told[name][group] = found.to_json()
    values = {name: list(v) for name, v in metrics.items()}
    rows = {"values": values, "weights": weights, "clusters": clusters, "slices": list(slices or [None] * count)}
    rows["scales"] = scales
    return {"kind": "generation", "data": data, "metrics": told, "rows": rows}


def _say(answers: Sequence[str], folder: Path) -> None:
    if not answers:
        return
    with RowWriter(folder, "scored_generation", ["probes"]) as writer:
        for number, text in enumerate(answers):
            prompt = [{"role": "user", "content": f"question {number}"}]
            answer = [{"role": "assistant", "content": text}]
            writer.write("probes", {"prompt": prompt, "completion": answer, "score": 0.0, "source": "model"})


def write_recipe(folder: Path, gates: Sequence[str], extra: str = "") -> Path:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "config.json").write_text("{}")
    path = folder / "judged.yaml"
    path.write_text(RECIPE + extra + ("gates:\n" + "".join(f"  - {g}\n" for g in gates) if gates else ""))
    return path


def seal_reports(
    recipe: Recipe | Path,
    suites: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, dict[str, float]] | None = None,
    joint: Sequence[Mapping[str, Any]] = (),
    store: str = ".align",
    said: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """Seals every step of `evaluate` and before: `suites` by model, `metrics` by step, `joint` the rows of the table.

    `said`: what each model answered to the probes.
    """
    recipe = load(recipe) if isinstance(recipe, Path) else recipe
    place = Store(Path(store))
    for name in plans.order(recipe):
        plan = plans.make(recipe, place)
        if plan.steps[name].action == "reuse":
            continue
        told = (metrics or {}).get(
            name, {"loss": 1.5, "eval_rewards/accuracies": 0.7} if name == "dpo" else {"loss": 1.5}
        )
        kind, report, spoken = plan.steps[name].kind, None, [] if said is None else said.get(name.partition(".")[2], [])
        if kind == "measure":
            model = name.partition(".")[2]
            report = {"model": model, "suites": dict(suites.get(model, {}))}
        elif kind == "compare":
            report = {"baseline": "sft", "models": list(suites), "rows": list(joint)}
        if kind == "prepare":
            told = (metrics or {}).get(name, {"rows/train": 100.0, "rows/dropped": 2.0})
        seal_step(place, plan, name, content=name, metrics=told, report=report, also=partial(_say, spoken))
    return plans.make(recipe, place)
