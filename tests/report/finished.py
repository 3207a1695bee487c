"""A recipe whose steps are all sealed without any training, with generations, scores and curves of the test's choice."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from align import plan as plans
from align.artifact.digests import write_json
from align.artifact.inputs import Inputs, ReportInput
from align.artifact.manifest import Manifest
from align.artifact.store import Store
from align.data.store_rows import RowWriter
from align.evals.measured import Measured, report_of
from align.plan import Plan, Step
from align.recipe import load
from align.specs import CompareSpec
from align.stages import compare
from tests.sealing import parent_of
from tests.tiny import Recorder

RECIPE = """\
# A chain of two stages that nobody needs to train. <script>alert("recipe")</script>
name: small
data:
  chat: {source: quickstart:chat, as: messages}
  pairs: {source: quickstart:pairs, as: preference, holdout: 0.2}
  corpus: {source: quickstart:corpus, as: text}
  probes: {source: quickstart:probes, as: prompt}
stages:
  pretrain:
    kind: pretrain
    data: corpus
    architecture: {layers: 1, width: 16, heads: 2, vocab_size: 400}
    learning_rate: 1e-3
  sft: {kind: sft, model: pretrain, data: chat, learning_rate: 1e-3}
  dpo: {kind: dpo, policy: sft, data: pairs, learning_rate: 1e-5}
  evaluate:
    kind: evaluate
    models: [sft, dpo]
    suites:
      probes: {kind: generation, data: probes, scorers: [length, stops]}
"""
PREPARED = {"rows/read": 120.0, "rows/kept": 117.0, "rows/dropped": 3.0, "rows/train": 117.0, "dropped/no_turns": 3.0}
TRAINED = {"loss": 1.5, "rows/dropped": 0.0, "rows/truncated": 2.0}


def finish(
    folder: Path, said: dict[str, Sequence[str]], scores: dict[str, Sequence[float]], text: str = RECIPE
) -> tuple[Plan, Store]:
    """Seals every step. `said`: what each model answers to `question 0`, `question 1` ...; `scores`: the gold score of each."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    path.write_text(text)
    store = Store(folder / ".align")
    recipe = load(path)
    for name in plans.make(recipe, store).steps:
        plan = plans.make(recipe, store)
        step = plan.steps[name]
        partial = store.partial(step.kind, step.key)
        partial.mkdir(parents=True)
        metrics = _write(partial, plan, step, store, said, scores)
        _seal(store, plan, step, metrics)
    return plans.make(recipe, store), store


def _write(partial: Path, plan: Plan, step: Step, store: Store, said: Any, scores: Any) -> dict[str, float]:
    if step.kind in ("prepare", "mix"):
        (partial / "rows-train.parquet").write_bytes(b"not read here")
        return PREPARED if step.kind == "prepare" else {"rows/train": 117.0}
    if step.kind == "measure":
        model = step.name.partition(".")[2]
        return _measured(partial, model, said[model], scores[model])
    if step.kind == "compare":
        reports = {f: _report(store, plan, e.step or "") for f, e in step.edges.items()}
        assert isinstance(step.spec, CompareSpec)
        return compare.run(step.spec, Inputs(reports, store.cache), partial, Recorder())
    (partial / "model").mkdir()
    (partial / "model" / "model.safetensors").write_text(f"weights of {step.name}")
    lines = [{"step": i, "time": 0.1 * i, "loss": 3.0 / i, "grad_norm": 1.0 + i % 3} for i in range(1, 31)]
    lines += [{"step": i, "eval_loss": 3.1 / i} for i in (10, 20, 30)]
    (partial / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return TRAINED


def _measured(partial: Path, model: str, said: Sequence[str], scores: Sequence[float]) -> dict[str, float]:
    slices = ["near" if i % 2 else "far" for i in range(len(said))]
    measured = Measured(clusters=[str(i) for i in range(len(said))], slices=slices, axes=[None] * len(said))
    measured.add("gold", "share", list(scores))
    measured.add("tokens", "real", [float(len(s.split())) for s in said])
    suite = {"kind": "generation", "data": "d" * 64, **report_of(measured)}
    write_json(partial / "report.json", {"model": model, "suites": {"probes": suite}})
    with RowWriter(partial, "scored_generation", ["probes"]) as writer:
        for i, (text, score) in enumerate(zip(said, scores, strict=True)):
            prompt = [{"role": "user", "content": f"question {i}"}]
            answer = [{"role": "assistant", "content": text}]
            row = {"prompt": prompt, "completion": answer, "score": score, "source": "model", "slice": slices[i]}
            writer.write("probes", row)
    return {"probes/gold": sum(scores) / len(scores)}


def _report(store: Store, plan: Plan, name: str) -> ReportInput:
    step = plan.steps[name]
    sealed = store.open(step.kind, step.key)
    return ReportInput(name, sealed.path / "report.json", sealed.manifest.digest)


def _seal(store: Store, plan: Plan, step: Step, metrics: dict[str, float]) -> None:
    store.remember(plan.recipe.name, step.name, step.kind, step.key)
    store.seal(
        Manifest(
            kind=step.kind,
            name=f"{plan.recipe.name}:{step.name}",
            key=step.key,
            stage_version=step.spec.version,
            spec=step.spec.identity(),
            seed=step.seed,
            parents={name: parent_of(store, plan, step, name) for name in step.edges},
            files={},
            digest="",
            row_type=getattr(step.spec, "as_", None),
            rows={"train": 117} if step.kind == "prepare" else {},
            metrics=metrics,
            notes=["</p><script>alert('note')</script>"],
            versions={"python": "3.11.7", "torch": "2.13.0"},
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            seconds=1.5,
        )
    )
